"""What reading and writing a clip have in common: opening it, and how its pixels are shown."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream

from frrcam.errors import SourceForbidden, SourceUnusable
from frrcam.media.display import BT601

REJOINED_S = 1.0
"""Seconds by which a clip's clock may go back; further, and it has been reset, as where two recordings were joined."""

STILL = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
"""What says of a stream that it is no film."""


@dataclass(frozen=True)
class Look:
    """How players are to show a clip's pixels."""

    pixel_aspect: Fraction = Fraction(1)
    """How many times as wide as high one is: 64/45 in PAL's 16:9."""
    primaries: int = ColorPrimaries.BT709
    """FFmpeg's number of what red, green and blue are; a phone's HDR has its own, which BGR pixels keep."""
    transfer: int = ColorTrc.BT709
    """And of the curve between their values and light."""
    matrix: int = BT601
    """And of the matrix between BGR and YUV."""


def open_clip(path: Path) -> InputContainer:
    """A clip open for reading. Raises SourceForbidden or SourceUnusable."""
    try:
        # a title need not be UTF-8: programs of Windows wrote their own code page
        return av.open(str(path.absolute()), metadata_errors="replace")
    except PermissionError:
        raise SourceForbidden(f"{path}: no permission to read it") from None
    except (av.error.FFmpegError, OSError, ValueError):
        raise SourceUnusable(f"{path}: not a clip that can be played, or a truncated one") from None


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams without cover art, still images and timed thumbnails."""
    return [stream for stream in container.streams.video if not stream.disposition & STILL]

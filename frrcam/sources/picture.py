"""A still picture: read with care, or held up as if it were a camera that sees nothing move."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2

from frrcam.closing import Closing
from frrcam.errors import SourceLost
from frrcam.frame import Frame, Image
from frrcam.limits import check_rate, check_read_size
from frrcam.sources.base import SourceInfo
from frrcam.sources.files import quiet_opencv
from frrcam.sources.raw import ENDINGS as RAW
from frrcam.sources.still import open_picture

SUFFIXES = RAW | {
    *(".avif", ".bmp", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
}
"""What is taken for a picture by its name alone, whatever is inside: raw files are refused by name, not passed over;
FFmpeg would play the first tile of a phone's HEIC as a clip."""

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
"""ISO/IEC 23008-12 and the AV1 Image File Format, as they stand in a file's first box."""


def is_picture(path: Path) -> bool:
    """True if the name says picture, or else the first bytes do (GIFs are clips)."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix == ".gif" or not os.path.isfile(path):
        return suffix in SUFFIXES
    return _is_heif(path) or bool(_asked(cv2.haveImageReader, path))


def read_picture(path: str | Path) -> Image:
    """The picture as uint8 BGR H×W×3, upright by its orientation: `open_picture` without what networks do not see.

    Grey becomes three equal channels, 16 bits become 8, and transparency is dropped. Raises what open_picture() does.
    """
    return open_picture(Path(path)).view


class PictureSource(Closing):
    """The same picture for ever, `fps` times a second: a call's placeholder, or a face to try settings on.

    Raises what read_picture() does, SourceUnusable for a side above 8192 pixels, UsageError for a rate outside 1 … 240.
    """

    def __init__(self, path: str | Path, fps: float = 30.0) -> None:
        check_rate(fps)
        self._image: Image | None = read_picture(path)
        height, width = self._image.shape[:2]
        check_read_size(width, height, Path(path))
        self.info = SourceInfo(Path(path).name, width, height, fps, live=False)
        self._index = 0

    def read(self) -> Frame:
        """Never ends. Raises SourceLost once closed."""
        image = self._image
        if image is None:
            raise SourceLost(f"{self.info.name}: closed")
        frame = Frame(image, self._index, self._index / self.info.fps, self.info.name)
        self._index += 1
        return frame

    def close(self) -> None:
        self._image = None


def _is_heif(path: Path) -> bool:
    """True if the first bytes are those of HEIC or AVIF, whatever the name: FFmpeg would play its tiles."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _asked(ask: Callable[[str], int], path: Path) -> int:
    """What OpenCV tells of a file; 0 where that cannot be read. A name that is not UTF-8 would crash the process."""
    quiet_opencv()
    try:
        with path.open("rb") as file:
            name = str(path)
            return ask(name if name.encode(errors="replace").decode() == name else f"/dev/fd/{file.fileno()}")
    except OSError:
        return 0

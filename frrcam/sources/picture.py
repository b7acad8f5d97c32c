"""A still picture: read with care, or held up as if it were a camera that sees nothing move."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from frrcam.closing import Closing
from frrcam.errors import SourceForbidden, SourceLost, SourceNotFound, SourceUnusable
from frrcam.frame import Frame, Image
from frrcam.limits import check_rate, check_read_size
from frrcam.sources.base import SourceInfo
from frrcam.sources.files import check_file, quiet_opencv

SUFFIXES = frozenset({".avif", ".bmp", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What is taken for a picture by its name alone, whatever is inside. HEIC, a phone's, cannot be decoded, and must not
be passed over in a folder, nor played: FFmpeg sees a clip of the first of its tiles."""


def is_picture(path: Path) -> bool:
    """True if the name says picture, or else the first bytes do (GIFs are clips)."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (suffix != ".gif" and os.path.isfile(path) and bool(_asked(cv2.haveImageReader, path)))


def count_pictures(path: Path) -> int:
    """How many a file holds: the pages of a TIFF, the frames of an animation. read_picture() reads the first."""
    return max(1, _asked(cv2.imcount, path))


def read_picture(path: str | Path) -> Image:
    """The picture as uint8 BGR H×W×3, upright by its EXIF orientation.

    Grey becomes three equal channels, 16 bits become 8, and transparency is dropped. Each side is 32 to 8192 pixels.

    Raises SourceNotFound, SourceForbidden, or SourceUnusable (folder, empty, no picture, truncated, absurd size).
    """
    path = Path(path)
    check_file(path, "picture")
    try:
        data = path.read_bytes()
    except PermissionError:
        raise SourceForbidden(f"{path}: no permission to read it") from None
    except OSError as error:
        raise SourceNotFound(f"{path}: cannot be read: {error.strerror}") from None
    if not _is_whole(data):
        raise SourceUnusable(f"{path}: truncated: the picture's end is missing; copy or download it again")
    quiet_opencv()
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise SourceUnusable(f"{path}: not a picture that can be decoded (JPEG, PNG, WebP, TIFF or BMP is)")
    image = np.asarray(decoded, np.uint8)
    check_read_size(image.shape[1], image.shape[0], path)
    return image


class PictureSource(Closing):
    """The same picture for ever, `fps` times a second: a call's placeholder, or a face to try settings on.

    Raises what read_picture() does, and UsageError for a rate outside 1 … 240.
    """

    def __init__(self, path: str | Path, fps: float = 30.0) -> None:
        check_rate(fps)
        self._image: Image | None = read_picture(path)
        height, width = self._image.shape[:2]
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


def _asked(ask: Callable[[str], int], path: Path) -> int:
    """What OpenCV tells of a file; 0 where that cannot be read. A name that is not UTF-8 would crash the process."""
    quiet_opencv()
    try:
        with path.open("rb") as file:
            name = str(path)
            return ask(name if name.encode(errors="replace").decode() == name else f"/dev/fd/{file.fileno()}")
    except OSError:
        return 0


def _is_whole(data: bytes) -> bool:
    """False if the format marks its end and the end is not there: decoders paint the rest grey and say nothing."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_has_end(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" in data
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True


def _jpeg_has_end(data: bytes) -> bool:
    """Walks the segments to the first scan (thumbnails in EXIF have ends of their own), then seeks its EOI marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
        at += 1 if marker == 0xFF else 2 + length
    return False

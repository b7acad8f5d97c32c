"""Writes one picture whole or not at all, with what its original had besides the three colours."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.errors import SinkUnusable, UsageError
from frrcam.frame import Image
from frrcam.sinks.exif import upright
from frrcam.sinks.files import written_whole

Bytes = NDArray[np.uint8]

QUALITY = 95
"""Of JPEG and WebP."""
WRITABLE = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings that pictures are written under."""

_WITH_ALPHA = frozenset({".png", ".tif", ".tiff", ".webp"})
_WITH_METADATA = frozenset({".jpeg", ".jpg", ".png", ".webp"})
_QUALITY_OF = {
    ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
    ".jpg": cv2.IMWRITE_JPEG_QUALITY,
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
}


class Extras(NamedTuple):
    """What a picture file holds besides BGR pixels and is worth keeping."""

    alpha: Bytes | None = None
    """H×W transparency."""
    profile: Bytes | None = None
    """An ICC profile: a phone's colours are paler without theirs."""
    exif: Bytes | None = None
    """When, where and with what it was taken, as of a picture that stands upright: albums are sorted by it."""


NOTHING = Extras()


def read_extras(path: Path, image: Image) -> Extras:
    """The extras of the file that `image` was read from; none of a format or an OpenCV that does not tell."""
    data = np.fromfile(path, np.uint8)
    alpha = profile = exif = None
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if hasattr(cv2, "imdecodeWithMetadata"):
        _, kinds, chunks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_REDUCED_GRAYSCALE_8)
        metadata = {kind: np.asarray(chunk, np.uint8).ravel() for kind, chunk in zip(kinds, chunks, strict=True)}
        found = metadata.get(cv2.IMAGE_METADATA_ICCP)
        if found is not None and found[16:20].tobytes() == b"RGB ":
            profile = found
        if block := upright(metadata.get(cv2.IMAGE_METADATA_EXIF, np.empty(0, np.uint8)).tobytes()):
            exif = np.frombuffer(block, np.uint8)
    if raw is not None and raw.dtype == np.uint16:
        raw = np.asarray(raw // 256, np.uint8)  # as the picture's own 16 bits have become 8, but for TIFF's rounding
    # an EXIF orientation turns the picture and not the raw pixels: then the transparency does not fit
    if raw is not None and raw.shape == (*image.shape[:2], 4) and cv2.norm(raw[..., :3], image, cv2.NORM_INF) <= 1:
        alpha = np.asarray(raw[..., 3], np.uint8)
    return Extras(alpha, profile, exif)


def write_picture(path: Path, image: Image, extras: Extras = NOTHING) -> None:
    """Writes a BGR picture (H×W×3) in the format of the name's ending, with the extras that the format has.

    A file under the final name is whole. JPEG and WebP at quality 95, the others lossless.

    Raises UsageError (ending), SinkNotFound (no such folder), SinkForbidden, SinkUnusable (the disk is full).
    """
    data = _encode(path, image, extras)
    with written_whole(path) as part:
        part.write_bytes(data)


def _encode(path: Path, image: Image, extras: Extras) -> bytes:
    ending = path.suffix.lower()
    if ending not in WRITABLE:
        raise UsageError(f"{path}: a picture is written as {', '.join(sorted(WRITABLE))}")
    pixels = image if extras.alpha is None or ending not in _WITH_ALPHA else np.dstack((image, extras.alpha))
    parameters = [_QUALITY_OF[ending], QUALITY] if ending in _QUALITY_OF else []
    metadata: dict[int, Bytes] = {}
    if extras.profile is not None and ending in _WITH_METADATA:
        metadata[cv2.IMAGE_METADATA_ICCP] = extras.profile
    if extras.exif is not None and ending in _WITH_METADATA:
        metadata[cv2.IMAGE_METADATA_EXIF] = extras.exif
    written, data = False, np.empty(0, np.uint8)
    while metadata and not written:  # a broken profile, or notes longer than JPEG's 64 KB, spoil no picture
        with contextlib.suppress(cv2.error):
            written, data = cv2.imencodeWithMetadata(ending, pixels, [*metadata], [*metadata.values()], parameters)
        metadata.popitem()
    if not written:
        with contextlib.suppress(cv2.error):
            written, data = cv2.imencode(ending, pixels, parameters)
    if not written:
        raise SinkUnusable(f"{path}: a {ending} file cannot hold {image.shape[1]}x{image.shape[0]} pixels")
    return data.tobytes()

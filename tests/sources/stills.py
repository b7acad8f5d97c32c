"""Picture files of many kinds, with their bytes written here."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

from frrcam.frame import Image as Bgr

pillow_heif.register_heif_opener()
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a rating</x:xmpmeta>"


def soft(height: int = 128, width: int = 160) -> Bgr:
    """BGR: four soft colours, so that no two of the eight orientations look the same."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [40 + 150 * x / width, 60 + 120 * y / height, 200 - 100 * x * y / (width * height)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def save(path: Path, image: NDArray[Any] | Image.Image, **options: Any) -> Path:
    """By Pillow; BGR pixels, or a Pillow picture."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image[..., ::-1] if image.ndim == 3 else image)
    image.save(path, **options)
    return path


def exif(orientation: int = 1, order: str = ">") -> bytes:
    """An orientation, and a maker's name after it."""
    entries = [(0x010F, 2, 10, None), (0x0112, 3, 1, orientation)]
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}IH", 8, len(entries))
    after = 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        head += struct.pack(f"{order}HHI", tag, kind, count)
        head += struct.pack(f"{order}I", after) if value is None else struct.pack(f"{order}HH", value, 0)
    return head + bytes(4) + b"A camera\0\0"


def deep_png(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """Grey, BGR or BGRA of 16 bits."""
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def bytes_of(image: Bgr, kind: str = "JPEG", **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(image[..., ::-1]).save(out, kind, **options)
    return out.getvalue()


def raw_tiff(
    *,
    order: str = "<",
    first: tuple[int, int] = (160, 120),
    reduced: bool = True,
    below: tuple[int, int] | None = (1200, 800),
    following: tuple[int, int] | None = None,
    dng: bool = False,
) -> bytes:
    """A TIFF whose first directory (width, height) may be a preview, with one below it, or one after it; all black."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        text = struct.pack(f"{order}HHI", tag, kind, 1)
        return text + struct.pack(f"{order}HH" if kind == 3 else f"{order}I", *((value, 0) if kind == 3 else (value,)))

    def directory(size: tuple[int, int], kind: int, sub: int, after: int, pixels: int) -> bytes:
        width, height = size
        rows = [(254, 4, kind), (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
        rows += [(273, 4, pixels), (277, 3, 1), (278, 4, height), (279, 4, width * height)]
        rows += [(330, 4, sub)] if sub else []
        rows += [(50706, 4, 0x401)] if dng else []
        entries = b"".join(entry(*row) for row in rows)
        return struct.pack(f"{order}H", len(rows)) + entries + struct.pack(f"{order}I", after)

    size = 2 + 12 * 12 + 4
    sub, after = (8 + size if below else 0), (8 + 2 * size if following else 0)
    data = 8 + 3 * size
    parts = [directory(first, int(reduced), sub, after, data)]
    parts.append(directory(below or (1, 1), 0, 0, 0, data))
    parts.append(directory(following or (1, 1), 0, 0, 0, data))
    longest = max(w * h for w, h in (first, below or (1, 1), following or (1, 1)))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + b"".join(part.ljust(size, b"\0") for part in parts) + bytes(longest)

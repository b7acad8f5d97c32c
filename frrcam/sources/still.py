"""A picture file with all that is worth keeping: depth, grey, transparency, profile, notes, what comes behind it."""

import contextlib
import re
import warnings
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, JpegImagePlugin

from frrcam.errors import SourceError, SourceForbidden, SourceNotFound, SourceUnusable
from frrcam.frame import LUMA, Image
from frrcam.limits import READ_SIDES
from frrcam.sources.files import check_file, quiet_opencv
from frrcam.sources.raw import raw_reason

Pixels = NDArray[Any]
"""uint8 or uint16."""

Pillow.MAX_IMAGE_PIXELS = None  # check_pixels() knows how much memory there is

DEPTHS = (255, 1023, 4095, 16383, 65535)
"""The white of pictures of 8 to 16 bits; cameras store 10, 12 and 14 in 16 without shifting them up."""
BYTES_A_PIXEL = {8: 30, 16: 42}
"""Memory that enhancing takes at its peak, by bits a colour: decoded, seen, lit, composed, encoded."""
BAND = 512
"""Rows that a change is added to at a time."""
UPRIGHT = 1
_ORIENTATION = 0x0112
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_STRUCTURE = {
    *range(254, 270),
    *range(273, 282),
    *range(288, 293),
    *range(301, 304),
    *range(317, 348),
    *(284, 530, 531, 532, 700, 34675),
}
"""TIFF tags that describe pixels and not the picture: they are the writer's."""
_CHUNKS = {b"cHRM", b"cICP", b"gAMA", b"sRGB", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
_SRGB = ImageCms.createProfile("sRGB")
_READABLE = "JPEG, PNG, WebP, TIFF, BMP, HEIC or AVIF is"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A still, upright."""

    pixels: Pixels
    """H×W (grey) or H×W×3 (BGR), 8 or 16 bits."""
    alpha: Pixels | None = None
    """H×W transparency, of the same depth: 0 is clear."""
    peak: int = 255
    """White: 255, or of 16 bits the smallest of `DEPTHS` that no pixel is above."""
    profile: bytes | None = None
    """An ICC profile for these pixels: a phone's colours are paler without theirs."""
    exif: bytes | None = None
    """When, where and with what it was taken: a TIFF header and its tags."""
    xmp: bytes | None = None
    """An XMP packet: edits, ratings, what a phone's camera says of its own formats."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    subsampling: int | None = None
    """A JPEG's, as Pillow has it: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0."""
    original: bytes = b""
    """A JPEG's file, where more stands behind the first picture: a gain map, a second picture, a film."""
    chunks: bytes = b""
    """A PNG's own: texts, and what its values mean where no profile says it."""
    pages: int = 1
    """Pictures in the file, of which this is the first."""
    lost: tuple[str, ...] = field(default=())
    """What of the file these pixels do not hold, for people."""

    @property
    def deep(self) -> bool:
        """True for 16 bits a colour."""
        return self.pixels.dtype == np.uint16

    @property
    def view(self) -> Image:
        """The picture as the networks see it: H×W×3 uint8 BGR, white at 255."""
        shown: Pixels = self.pixels
        if self.deep:
            shown = cv2.convertScaleAbs(np.asarray(shown), alpha=255 / self.peak)
        return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR) if shown.ndim == 2 else shown, np.uint8)

    def changed(self, before: Image, after: Image) -> "Picture":
        """The picture with the change from `before` (its view) to `after` added, in its own depth.

        A grey one takes the change of brightness. A pixel that did not change keeps its bits.
        """
        if not self.deep and self.pixels.ndim == 3:
            return replace(self, pixels=after)
        pixels = self.pixels.copy()
        for top in range(0, len(pixels), BAND):
            rows = np.s_[top : top + BAND]
            change = after[rows].astype(np.float32) - before[rows]
            if pixels.ndim == 2:
                change = change @ LUMA
            total = pixels[rows] + np.rint(change * np.float32(self.peak / 255))
            pixels[rows] = np.clip(total, 0, self.peak)
        return replace(self, pixels=pixels)

    def beside_itself(self) -> "Picture":
        """Twice, side by side."""
        alpha = self.alpha if self.alpha is None else np.hstack((self.alpha, self.alpha))
        return replace(self, pixels=np.hstack((self.pixels, self.pixels)), alpha=alpha)

    def turned(self, turns: int) -> "Picture":
        """Turned clockwise by this number of quarter turns."""
        alpha = self.alpha if self.alpha is None else np.ascontiguousarray(np.rot90(self.alpha, -turns))
        return replace(self, pixels=np.ascontiguousarray(np.rot90(self.pixels, -turns)), alpha=alpha)


def open_picture(path: Path, *, free_memory: int | None = None) -> Picture:
    """The first picture of a file, upright by its orientation, with what is worth keeping.

    `free_memory`: bytes that may be used; None asks the system. Colours in CMYK become sRGB.

    Raises SourceNotFound, SourceForbidden, or SourceUnusable: folder, empty, no picture, truncated, a camera's raw
    file, a side under 32 pixels, more pixels than there is memory for, numbers that are no levels.
    """
    check_file(path, "picture")
    try:
        data = path.read_bytes()
    except PermissionError:
        raise SourceForbidden(f"{path}: no permission to read it") from None
    except OSError as error:
        raise SourceNotFound(f"{path}: cannot be read: {error.strerror}") from None
    if reason := raw_reason(data, path.name):
        raise SourceUnusable(f"{path}: {reason}; develop it to TIFF or JPEG first")
    if not _is_whole(data):
        raise SourceUnusable(f"{path}: truncated: the picture's end is missing; copy or download it again")
    quiet_opencv()
    _register_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and of odd notes
        try:
            return _decode(data, path, free_memory)
        except SourceError:
            raise
        except Exception:  # Pillow's plugins raise whatever they stumble over
            return _decode_plainly(data, path, free_memory)


def _decode(data: bytes, path: Path, free_memory: int | None) -> Picture:
    with Pillow.open(BytesIO(data)) as image:
        bits = _bits(image, data)
        check_pixels(image.width, image.height, bits, path, free_memory)
        orientation = image.getexif().get(_ORIENTATION, UPRIGHT)
        pages = getattr(image, "n_frames", 1)
        lost = []
        if image.mode == "CMYK":
            lost.append("its CMYK colours become RGB" + f", its {bits} bits a colour 8" * (bits > 8))
        if image.format == "AVIF" and bits > 8:
            lost.append(f"its {bits} bits a colour become 8")
        lost += [f"its {what} is left out" for what, key in _HEIF_EXTRAS if image.info.get(key)]
        notes: dict[str, Any] = {"exif": _exif(image), "xmp": image.info.get("xmp"), "dpi": _dpi(image)}
        profile = image.info.get("icc_profile") or None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            notes["subsampling"] = max(JpegImagePlugin.get_sampling(image), 0)
            notes["original"] = data
        if image.format == "PNG":
            notes["chunks"] = _png_chunks(data)
        transparent = image.info.get("transparency")
        if bits > 8 and image.format == "HEIF":
            pixels, alpha = _deep_heif(data)
        elif bits == 16 and image.mode != "CMYK":
            pixels, alpha = _deep(data, transparent)
            if image.format == "TIFF":  # which OpenCV turns itself
                orientation = UPRIGHT
                if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # type: ignore[attr-defined]
                    pixels = np.asarray(65535 - pixels, np.uint16)
        else:
            profile = None if image.mode in ("CMYK", "LAB") else profile
            pixels, alpha = _shallow(image)
            orientation = image.getexif().get(_ORIENTATION, UPRIGHT)  # Pillow turns a TIFF itself
    pixels, alpha = _upright(pixels, orientation), None if alpha is None else _upright(alpha, orientation)
    if profile is not None and profile[16:20] != (b"GRAY" if pixels.ndim == 2 else b"RGB "):
        profile = None
    return Picture(pixels, alpha, _peak(pixels), profile, pages=pages, lost=tuple(lost), **notes)


_HEIF_EXTRAS = (("depth map", "depth_images"), ("gain map, or another picture beside it,", "aux"))


def _decode_plainly(data: bytes, path: Path, free_memory: int | None) -> Picture:
    """What Pillow does not read, by OpenCV."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is not None and decoded.dtype == np.uint8:  # upright, with as many channels as there should be
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise SourceUnusable(f"{path}: not a picture that can be decoded ({_READABLE})")
    if decoded.dtype not in (np.uint8, np.uint16):
        raise SourceUnusable(f"{path}: its values are {decoded.dtype}, not levels; convert it to 16 bits first")
    check_pixels(decoded.shape[1], decoded.shape[0], 8 * decoded.itemsize, path, free_memory)
    pixels, alpha = _split(decoded)
    lost = "only its colours can be read: transparency, profile and notes are left out"
    return Picture(pixels, alpha, _peak(pixels), lost=(lost,))


def check_pixels(width: int, height: int, bits: int, path: Path, free_memory: int | None = None) -> None:
    """Raises SourceUnusable for a side under 32 pixels, or more pixels than there is memory for."""
    if min(width, height) < READ_SIDES[0]:
        raise SourceUnusable(f"{path}: {width}x{height} pixels; each side must be at least {READ_SIDES[0]}")
    free = psutil.virtual_memory().available if free_memory is None else free_memory
    needed = width * height * BYTES_A_PIXEL[16 if bits > 8 else 8]
    if needed > free:
        raise SourceUnusable(
            f"{path}: {width}x{height} pixels need about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB is "
            "free; close other programs, or make it smaller first"
        )


def _register_heif() -> None:
    import pillow_heif  # takes 30 ms, which a meeting without pictures does not owe

    pillow_heif.register_heif_opener()


def _bits(image: Pillow.Image, data: bytes) -> int:
    """Bits a colour in the file."""
    if image.format == "PNG":
        return 16 if data[24] == 16 else 8
    if image.format == "TIFF":
        given = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        most = max(given) if isinstance(given, tuple) else given
        if most > 16 or image.mode == "F":
            raise ValueError("no levels")
        return 16 if most > 8 else 8
    if image.format == "AVIF":
        at = data.find(b"av1C")  # AV1 in ISO-BMFF, §2.3: the third byte has high_bitdepth and twelve_bit
        flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    if image.format == "HEIF":
        return int(image.info.get("bit_depth") or 8)
    return 8


def _shallow(image: Pillow.Image) -> tuple[Pixels, Pixels | None]:
    """Eight bits by Pillow: pixels and transparency."""
    mode = image.mode
    profile = image.info.get("icc_profile")
    if mode in ("F", "I"):
        raise ValueError("no levels")
    if mode == "CMYK" and profile:
        with contextlib.suppress(ImageCms.PyCMSError):
            converted = ImageCms.profileToProfile(image, BytesIO(profile), _SRGB, outputMode="RGB")
            if converted is not None:
                return _split(np.asarray(converted)[..., ::-1])
    grey = mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
    elif mode not in ("L", "RGB"):
        image = image.convert("L" if grey else "RGB")
    array = np.asarray(image)
    if image.mode == "LA":
        return np.ascontiguousarray(array[..., 0]), np.ascontiguousarray(array[..., 1])
    if image.mode == "L":
        return array, None
    order = (2, 1, 0, 3) if image.mode == "RGBA" else (2, 1, 0)
    return _split(np.asarray(cv2.merge([np.ascontiguousarray(array[..., index]) for index in order])))


def _deep(data: bytes, transparent: object) -> tuple[Pixels, Pixels | None]:
    """Sixteen bits of a PNG or TIFF by OpenCV: Pillow has no such colours. `transparent` is a PNG's clear colour."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("no levels")
    pixels, alpha = _split(decoded)
    if data.startswith(b"\x89PNG") and data[25] == 4 and pixels.ndim == 3:  # grey with transparency
        pixels = np.ascontiguousarray(pixels[..., 0])
    if alpha is None and isinstance(transparent, int | tuple):
        clear = np.array(transparent if isinstance(transparent, int) else transparent[::-1])
        same = pixels == clear
        alpha = np.where(same if pixels.ndim == 2 else same.all(axis=2), 0, 65535).astype(np.uint16)
    return pixels, alpha


def _deep_heif(data: bytes) -> tuple[Pixels, Pixels | None]:
    import pillow_heif

    decoded = np.asarray(pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False))
    if decoded.ndim == 3:
        decoded = decoded[..., [2, 1, 0, 3][: decoded.shape[2]]]
    return _split(np.ascontiguousarray(decoded))


def _split(array: NDArray[Any]) -> tuple[Pixels, Pixels | None]:
    """Pixels (H×W or H×W×3) and transparency of an array of any number of channels."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[2] == 4:
        return np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3])
    if array.ndim == 3 and array.shape[2] != 3:
        raise ValueError("colours of another number")
    return np.ascontiguousarray(array), None


def _peak(pixels: Pixels) -> int:
    if pixels.dtype == np.uint8:
        return 255
    most = int(pixels.max()) or DEPTHS[-1]
    return next(depth for depth in DEPTHS if depth >= most)


def _upright(array: Pixels, orientation: int) -> Pixels:
    """By EXIF's eight orientations: 2, 4, 5 and 7 are mirrored."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _exif(image: Pillow.Image) -> bytes | None:
    """The notes without an Exif header. A TIFF's are gathered from its own tags."""
    block = image.info.get("exif")
    if image.format == "TIFF":
        block = None
        with contextlib.suppress(Exception):  # odd tags that Pillow reads and cannot write
            notes = Pillow.Exif()  # a copy: Pillow reads the pixels by the original
            notes.load(image.getexif().tobytes())
            for tag in _STRUCTURE & set(notes):
                del notes[tag]
            block = notes.tobytes() if len(notes) else None
    if not isinstance(block, bytes) or not block:
        return None
    return block.removeprefix(b"Exif\0\0")


def _dpi(image: Pillow.Image) -> tuple[float, float] | None:
    given = image.info.get("dpi")
    if not isinstance(given, tuple) or len(given) != 2:
        return None
    across, down = float(given[0]), float(given[1])
    return (across, down) if 1 < across < 1e5 and 1 < down < 1e5 else None


def _png_chunks(data: bytes) -> bytes:
    """The chunks that are worth keeping, as they are (PNG, Third Edition, §11.3); the texts but for XMP."""
    kept, at = b"", 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in _CHUNKS and not data[at + 8 :].startswith(b"XML:com.adobe.xmp\0"):
            kept += data[at : at + 12 + length]
        at += 12 + length
    return kept


def upright_xmp(packet: bytes) -> bytes:
    """The packet without the turn that is in the pixels now."""
    return re.sub(rb"(tiff:Orientation(?:=[\"']|>))[2-8]", rb"\g<1>1", packet)


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

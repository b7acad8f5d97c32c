"""Writes one picture whole or not at all, with what its original had besides the three colours."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from frrcam.errors import SinkUnusable, UsageError
from frrcam.frame import Image
from frrcam.sinks.exif import upright
from frrcam.sinks.files import written_whole
from frrcam.sinks.jpeg_tail import tail_of, with_segments, with_tail
from frrcam.sinks.tiff import encode_tiff
from frrcam.sources.still import Picture, upright_xmp

QUALITY = 95
"""Of JPEG, WebP, AVIF and HEIC."""
WRITABLE = frozenset(
    {".avif", ".bmp", ".heic", ".heif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"},
)
"""Endings that pictures are written under."""

_JPEG, _HEIF, _TIFF = frozenset({".jpg", ".jpeg", ".jpe"}), frozenset({".heic", ".heif"}), frozenset({".tif", ".tiff"})
_DEEP = _TIFF | _HEIF | {".png"}
_WITH_ALPHA = _DEEP | {".avif", ".webp"}
_METRE = 0.0254


def write_picture(path: Path, picture: Image | Picture) -> list[str]:
    """Writes a picture, or BGR pixels (H×W×3), in the format of the name's ending, with all that the format holds.

    A file under the final name is whole. JPEG, WebP, AVIF and HEIC at quality 95, the others without loss. Returns
    what was lost that the picture had, for people.

    Raises UsageError (ending), SinkNotFound (no such folder), SinkForbidden, SinkUnusable (the disk is full).
    """
    ending = path.suffix.lower()
    if ending not in WRITABLE:
        raise UsageError(f"{path}: a picture is written as {', '.join(sorted(WRITABLE))}")
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    height, width = picture.pixels.shape[:2]
    try:
        data, dropped = _encode(ending, picture)
    except (cv2.error, OSError, ValueError, struct.error, RuntimeError, Pillow.DecompressionBombError) as error:
        raise SinkUnusable(f"{path}: a {ending} file cannot hold {width}x{height} pixels ({error})") from None
    with written_whole(path) as part:
        part.write_bytes(data)
    return [*losses(picture, ending), *dropped]


def losses(picture: Picture, ending: str) -> list[str]:
    """What the picture has that a file of that ending does not hold, for people."""
    lost = []
    if picture.deep and ending not in _DEEP:
        lost.append(f"its {picture.peak.bit_length()} bits a colour become 8")
    if picture.alpha is not None and ending not in _WITH_ALPHA:
        lost.append("its transparency is left out")
    if ending == ".bmp" and (picture.profile or picture.exif or picture.xmp):
        lost.append("its colour profile and notes are left out")
    if picture.original and ending not in _JPEG and tail_of(picture.original):
        lost.append("what stands behind its first picture (a film, a gain map, another picture) is left out")
    return lost


def _encode(ending: str, picture: Picture) -> tuple[bytes, list[str]]:
    """The file's bytes, and what its notes were too long for."""
    exif = upright(picture.exif) if picture.exif else None
    xmp = upright_xmp(picture.xmp) if picture.xmp else None
    pixels, alpha = picture.pixels, picture.alpha if ending in _WITH_ALPHA else None
    if picture.deep and ending in _HEIF and picture.peak < 65535:
        pixels = np.asarray(pixels * (65535 / picture.peak), np.uint16)
    if picture.deep and ending not in _DEEP:
        pixels = _shallow(pixels, picture.peak)
        alpha = None if alpha is None else _shallow(alpha, 65535)
    if ending in _TIFF:
        return encode_tiff(pixels, alpha, picture.profile, exif, xmp, picture.dpi), []
    if ending == ".png":
        return _png(pixels, alpha, {"iccp": picture.profile, "exif": exif, "xmp": xmp}, picture.dpi, picture.chunks), []
    if ending == ".bmp":
        return cv2.imencode(ending, pixels)[1].tobytes(), []
    options: dict[str, Any] = {"icc_profile": picture.profile, "exif": exif, "xmp": xmp}
    if ending in _JPEG:
        options |= {"dpi": picture.dpi and (round(picture.dpi[0]), round(picture.dpi[1]))}
        options |= {"subsampling": picture.subsampling, "exif": exif and b"Exif\0\0" + exif}
    options = {name: value for name, value in options.items() if value is not None}
    dropped = []
    while True:  # notes longer than a JPEG's 64 KB spoil no picture
        try:
            data = _lossy(ending, pixels, alpha, options)
            break
        except (ValueError, OSError):
            name = next((name for name in ("exif", "xmp", "icc_profile") if name in options), None)
            if name is None:
                raise
            del options[name]
            dropped.append(f"its {_NOTES[name]} is left out: too long, or broken")
    if ending in _JPEG and picture.original:
        data = with_tail(with_segments(data, picture.original), picture.original)
    return data, dropped


_NOTES = {"exif": "EXIF block", "xmp": "XMP packet", "icc_profile": "colour profile"}


def _lossy(ending: str, pixels: NDArray[Any], alpha: NDArray[Any] | None, options: dict[str, Any]) -> bytes:
    """JPEG, WebP, AVIF or HEIC."""
    out = BytesIO()
    if ending in _HEIF:
        _save_heif(out, pixels, alpha, options)
        return out.getvalue()
    kind = {".webp": "WEBP", ".avif": "AVIF"}.get(ending, "JPEG")
    _as_pillow(pixels, alpha).save(out, kind, quality=QUALITY, **options)
    return out.getvalue()


def _as_pillow(pixels: NDArray[Any], alpha: NDArray[Any] | None) -> Pillow.Image:
    if pixels.ndim == 2:
        image = Pillow.fromarray(np.ascontiguousarray(pixels))
        return image if alpha is None else Pillow.merge("LA", (image, Pillow.fromarray(alpha)))
    colours = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return Pillow.fromarray(colours if alpha is None else np.dstack((colours, alpha)))


def _save_heif(out: BytesIO, pixels: NDArray[Any], alpha: NDArray[Any] | None, options: dict[str, Any]) -> None:
    import pillow_heif  # takes 30 ms, which others do not owe

    image: Any
    if pixels.dtype == np.uint16:  # the upper 10 bits of them are kept, as phones have them
        colours = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB)
        mode, planes = ("RGB;16", colours) if alpha is None else ("RGBA;16", np.dstack((colours, alpha)))
        image = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(planes).tobytes())
    else:
        image = pillow_heif.from_pillow(_as_pillow(pixels, alpha))
    if profile := options.get("icc_profile"):
        image.info["icc_profile"], image.info["icc_profile_type"] = profile, "prof"
    image.save(out, quality=QUALITY, exif=options.get("exif"), xmp=options.get("xmp"))


def _png(
    pixels: NDArray[Any],
    alpha: NDArray[Any] | None,
    notes: dict[str, bytes | None],
    dpi: tuple[float, float] | None,
    carried: bytes,
) -> bytes:
    """OpenCV writes all but grey with transparency, six times as fast as Pillow; the notes follow its head."""
    if pixels.ndim == 2 and alpha is not None:
        data = _grey_alpha_png(pixels, alpha)
    else:
        data = cv2.imencode(".png", pixels if alpha is None else np.dstack((pixels, alpha)))[1].tobytes()
    head = 33  # the signature and IHDR, which comes first
    chunks = b""
    if profile := notes["iccp"]:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if dpi is not None:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", round(dpi[0] / _METRE), round(dpi[1] / _METRE), 1))
    if exif := notes["exif"]:
        chunks += _chunk(b"eXIf", exif)
    if xmp := notes["xmp"]:
        chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    return data[:head] + carried + chunks + data[head:]


def _grey_alpha_png(pixels: NDArray[Any], alpha: NDArray[Any]) -> bytes:
    """Colour type 4 (PNG, Third Edition, §11.2.1), every row filtered by the one above."""
    height, width = pixels.shape
    both = np.dstack((pixels, alpha)).astype(pixels.dtype.newbyteorder(">"))
    rows = np.frombuffer(both.tobytes(), np.uint8).reshape(height, -1)
    up = rows.copy()
    up[1:] -= rows[:-1]
    filtered = np.hstack((np.full((height, 1), 2, np.uint8), up))
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, 4, 0, 0, 0)
    body = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 4)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _shallow(pixels: NDArray[Any], peak: int) -> NDArray[Any]:
    """Sixteen bits in eight, white at 255."""
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / peak), np.uint8)

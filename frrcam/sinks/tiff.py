"""A TIFF writer for what Pillow cannot write: 16 bits a colour with transparency, profile and notes (TIFF 6.0)."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.sinks.exif import UPRIGHT

STRIP = 1 << 20
"""Bytes of pixels in one strip, about."""
_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_DEFLATE, _HORIZONTAL, _GREY, _RGB, _STRAIGHT_ALPHA, _INCH = 8, 2, 1, 2, 2, 2
_DROPPED = {254, 255, 273, 279, 330, 322, 323, 324, 325, 513, 514}
"""Tags of the notes that describe other pixels than these."""


def encode_tiff(
    pixels: NDArray[Any],
    alpha: NDArray[Any] | None,
    profile: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """A TIFF of grey (H×W) or BGR (H×W×3) pixels of 8 or 16 bits, compressed without loss.

    EXIF notes are a TIFF without pixels: the file begins with them, so that every offset in them holds, and its first
    directory is written again behind them, with the pixels' tags. Raises struct.error above TIFF's 4 GB.
    """
    order: Literal["<", ">"] = ">" if exif is not None and exif[:2] == b"MM" else "<"
    block = bytearray(exif or b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    entries = _entries(block, order)
    height, width = pixels.shape[:2]
    bits = 8 * pixels.itemsize
    rows = _interleaved(pixels, alpha).astype(pixels.dtype.newbyteorder(order))
    channels = rows.shape[2]
    each = max(1, STRIP // (width * channels * pixels.itemsize))
    offsets, counts = [], []
    for strip in _strips(rows, each):
        offsets.append(len(block))
        counts.append(len(strip))
        block += strip
    block += b"\0" * (len(block) % 2)
    grey = pixels.ndim == 2
    values: dict[int, tuple[int, list[int] | bytes]] = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [bits] * channels),
        259: (_SHORT, [_DEFLATE]),
        262: (_SHORT, [_GREY if grey else _RGB]),
        273: (_LONG, offsets),
        274: (_SHORT, [UPRIGHT]),
        277: (_SHORT, [channels]),
        278: (_LONG, [each]),
        279: (_LONG, counts),
        284: (_SHORT, [1]),
        317: (_SHORT, [_HORIZONTAL]),
    }
    if alpha is not None:
        values[338] = (_SHORT, [_STRAIGHT_ALPHA])
    if dpi is not None:
        values |= {282: (_RATIONAL, _fraction(dpi[0])), 283: (_RATIONAL, _fraction(dpi[1])), 296: (_SHORT, [_INCH])}
    if xmp is not None:
        values[700] = (1, xmp)
    if profile is not None:
        values[34675] = (_UNDEFINED, profile)
    for tag, (kind, value) in values.items():
        entries[tag] = _entry(block, order, tag, kind, value)
    at = len(block)
    block += struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    struct.pack_into(f"{order}I", block, 4, at)
    return bytes(block)


def _entries(block: bytearray, order: str) -> dict[int, bytes]:
    """The entries of the block's first directory, but for those of pixels."""
    (at,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(f"{order}H", block, entry)
        if tag not in _DROPPED:
            found[tag] = bytes(block[entry : entry + 12])
    return found


def _entry(block: bytearray, order: str, tag: int, kind: int, value: list[int] | bytes) -> bytes:
    letters = {_SHORT: "H", _LONG: "I", _RATIONAL: "I"}
    data = value if isinstance(value, bytes) else struct.pack(f"{order}{len(value)}{letters[kind]}", *value)
    head = struct.pack(f"{order}HHI", tag, kind, len(data) // _SIZES[kind])
    if len(data) <= 4:
        return head + data.ljust(4, b"\0")
    offset = len(block)
    block += data + b"\0" * (len(data) % 2)
    return head + struct.pack(f"{order}I", offset)


def _interleaved(pixels: NDArray[Any], alpha: NDArray[Any] | None) -> NDArray[Any]:
    """H×W×C in TIFF's order: grey or RGB, then transparency."""
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., index] for index in (2, 1, 0)]
    merged = np.asarray(cv2.merge([np.ascontiguousarray(p) for p in (*planes, *([] if alpha is None else [alpha]))]))
    return merged.reshape(*pixels.shape[:2], -1)


def _strips(rows: NDArray[Any], each: int) -> Iterator[bytes]:
    for top in range(0, len(rows), each):
        part = rows[top : top + each].copy()
        part[:, 1:] = part[:, 1:] - rows[top : top + each, :-1]  # wraps around, as the predictor does
        yield zlib.compress(part.tobytes(), 4)


def _fraction(value: float) -> list[int]:
    return [round(value * 1000), 1000]

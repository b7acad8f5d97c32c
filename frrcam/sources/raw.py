"""Tells a camera's raw file, of which decoders show the small preview, from a picture."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

ENDINGS = frozenset(
    {
        *(".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".eip"),
        *(".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf"),
        *(".pef", ".ptx", ".pxn", ".r3d", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f"),
    }
)
"""Names that raw files have."""
_MAGICS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
"""How raw files begin that are no plain TIFF: Fujifilm, Panasonic, Olympus, Sigma, Minolta, old Canon."""
_LARGER = 4
"""Least ratio of areas, of a following page to the first, from which on the first is a preview: the pages of a scan
differ less."""
_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _SUB_IFDS, _DNG_VERSION = 254, 256, 257, 330, 50706
_MOST_DIRECTORIES = 64


class _Directory(NamedTuple):
    """What is read of one TIFF directory."""

    width: int
    height: int
    reduced: bool
    dng: bool
    below: list[int]
    following: int

    @property
    def area(self) -> int:
        return self.width * self.height


def raw_reason(data: bytes, name: str = "") -> str | None:
    """Why these bytes of a file of that name are a camera's raw file, for people; None if they are not.

    A raw file is one that says so, or a TIFF whose first picture is a reduced one or has a larger one below it
    (TIFF 6.0, NewSubfileType; Adobe TIFF Technical Note 1, SubIFDs; DNG 1.7).
    """
    if data.startswith(_MAGICS) or data[8:10] == b"CR" or data[4:12] == b"ftypcrx ":
        return "a camera's raw file"
    if data[:4] in (b"II*\0", b"MM\0*"):
        directories = list(_directories(data))
        if directories:
            first, others = directories[0][1], directories[1:]
            below = [one for is_below, one in others if is_below and one.area > first.area]
            after = [one for is_below, one in others if not is_below and one.area >= _LARGER * first.area]
            if larger := max(below + after, key=lambda one: one.area, default=None):
                sizes = f"{first.width}x{first.height} of {larger.width}x{larger.height}"
                return f"a camera's raw file, or one like it: its first picture is a preview, {sizes} pixels"
            if first.reduced or first.dng:
                return "a camera's raw file"
    if any(name.lower().endswith(ending) for ending in ENDINGS):
        return "a camera's raw file"
    return None


def _directories(data: bytes) -> Iterator[tuple[bool, _Directory]]:
    """Whether it is below another, and the directory; the file's first comes first. Stops at what makes no sense."""
    order = "<" if data.startswith(b"II") else ">"
    waiting = [(False, struct.unpack_from(f"{order}I", data, 4)[0])] if len(data) >= 8 else []
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        is_below, at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        try:
            directory = _read(data, at, order)
        except struct.error:
            continue
        yield is_below, directory
        waiting += [(True, sub) for sub in directory.below]
        waiting.append((is_below, directory.following))


def _read(data: bytes, at: int, order: str) -> _Directory:
    (count,) = struct.unpack_from(f"{order}H", data, at)
    values: dict[int, list[int]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        if tag in (_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _SUB_IFDS):
            letter, size = ("H", 2) if kind == 3 else ("I", 4)
            number = min(number, _MOST_DIRECTORIES)
            where = entry + 8
            if size * number > 4:
                (where,) = struct.unpack_from(f"{order}I", data, where)
            values[tag] = list(struct.unpack_from(f"{order}{number}{letter}", data, where))
        elif tag == _DNG_VERSION:
            values[tag] = [1]
    (following,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * count)
    first = {tag: found[0] for tag, found in values.items() if found}
    return _Directory(
        first.get(_WIDTH, 0),
        first.get(_HEIGHT, 0),
        bool(first.get(_NEW_SUBFILE_TYPE, 0) & 1),
        _DNG_VERSION in first,
        values.get(_SUB_IFDS, []),
        following,
    )

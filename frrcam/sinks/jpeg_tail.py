"""What a JPEG file holds besides its first picture: captions and comments, a gain map, a phone's film. It is kept."""

import re
import struct
from collections.abc import Iterator

_MPF = b"MPF\0"
"""The APP2 segment of the Multi-Picture Format (CIPA DC-007): where the other pictures are."""
_ENTRIES, _ENTRY = 0xB002, 16


def tail_of(jpeg: bytes) -> bytes:
    """The bytes behind the end of the first picture; empty where there are none."""
    return jpeg[end_of_picture(jpeg) :]


def end_of_picture(jpeg: bytes) -> int:
    """Where the first picture's end marker ends; the length of what has none."""
    at = 2
    while at + 4 <= len(jpeg):
        if jpeg[at] != 0xFF:
            return len(jpeg)
        marker = jpeg[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            # entropy-coded data: the next marker that is neither a stuffed byte nor a restart
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(jpeg, at + 2 + _length(jpeg, at))
            if found is None:
                return len(jpeg)
            at = found.start()
        else:
            at += 2 + _length(jpeg, at)
    return at + 2 if jpeg[at : at + 2] == b"\xff\xd9" else len(jpeg)


def with_tail(picture: bytes, original: bytes) -> bytes:
    """A new first picture (a JPEG) before all that stands behind the original's; the table of pictures is put right."""
    tail = tail_of(original)
    if not tail:
        return picture
    table = _segment(original)
    if table is None:
        return picture + tail
    at, segment = table
    place = _behind_notes(picture)
    end = len(picture) + len(segment)
    patched = _moved(segment, end_of_picture(original) - (at + 8), end - (place + 8), end)
    return picture[:place] + patched + picture[place:] + tail


def with_segments(picture: bytes, original: bytes) -> bytes:
    """A new JPEG with the captions, comments and makers' segments of the original, which no encoder writes."""
    carried = b"".join(segment for marker, segment in _segments(original) if _is_carried(marker, segment))
    place = _behind_notes(picture)
    return picture[:place] + carried + picture[place:]


def _is_carried(marker: int, segment: bytes) -> bool:
    """Comments, the APPn of makers and Photoshop (IPTC), XMP's continuation; not what seals or describes the pixels."""
    if marker == 0xE1:
        return segment[4:].startswith(b"http://ns.adobe.com/xmp/extension/")
    return marker == 0xFE or (0xE3 <= marker <= 0xED and marker != 0xEB)


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker and the bytes of each segment before the first scan."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] not in (0xDA, 0xD9):
        end = at + 2 + _length(jpeg, at)
        yield jpeg[at + 1], jpeg[at:end]
        at = end


def _length(jpeg: bytes, at: int) -> int:
    return int.from_bytes(jpeg[at + 2 : at + 4], "big")


def _segment(jpeg: bytes) -> tuple[int, bytes] | None:
    """Where the table of pictures is, and the whole segment."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        length = _length(jpeg, at)
        if jpeg[at + 1] == 0xE2 and jpeg[at + 4 : at + 8] == _MPF:
            return at, jpeg[at : at + 2 + length]
        at += 2 + length
    return None


def _behind_notes(jpeg: bytes) -> int:
    """Behind the last APPn segment that the picture begins with."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and 0xE0 <= jpeg[at + 1] <= 0xEF:
        at += 2 + _length(jpeg, at)
    return at


def _moved(segment: bytes, old_end: int, new_end: int, size: int) -> bytes:
    """The table for a first picture of `size` bytes. Both ends count from the table's TIFF header, as offsets do."""
    head, body = segment[:8], bytearray(segment[8:])
    order = "<" if body.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, length, where = struct.unpack_from(f"{order}HHII", body, entry)
            if tag == _ENTRIES:
                for index, one in enumerate(range(where, where + length, _ENTRY)):
                    if index == 0:
                        struct.pack_into(f"{order}I", body, one + 4, size)
                    else:
                        (offset,) = struct.unpack_from(f"{order}I", body, one + 8)
                        struct.pack_into(f"{order}I", body, one + 8, offset - old_end + new_end if offset else 0)
    except struct.error:
        return segment
    return head + bytes(body)

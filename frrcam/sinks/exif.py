"""The EXIF block of a picture that has been turned upright and changed."""

import struct

ORIENTATION = 0x0112
UPRIGHT = 1


def upright(block: bytes) -> bytes | None:
    """The block (a TIFF header and its tags: Exif 2.32, §4.5) with an upright orientation and no thumbnail.

    The thumbnail would go on showing the picture as it was. All else stays in its place to the byte, for a maker's
    notes count from the beginning. None for what is no such block.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    kept = bytearray(block)
    try:
        if order is None or struct.unpack_from(f"{order}H", block, 2) != (42,):
            return None
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        after = start + 2 + 12 * count
        for entry in range(start + 2, after, 12):
            if struct.unpack_from(f"{order}H", block, entry) == (ORIENTATION,):
                struct.pack_into(f"{order}H", kept, entry + 8, UPRIGHT)
        struct.pack_into(f"{order}I", kept, after, 0)  # where the thumbnail's tags would be
    except struct.error:
        return None
    return bytes(kept)

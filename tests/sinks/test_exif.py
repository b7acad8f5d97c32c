import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.sinks.exif import ORIENTATION, upright

DATE = b"2024:05:06 07:08:09\0"


def block(order: str, orientation: int, following: int = 0) -> bytes:
    """Orientation and date; `following`: where the thumbnail's tags stand."""
    size = 8 + 2 + 2 * 12 + 4
    tags = struct.pack(f"{order}HHIHH", ORIENTATION, 3, 1, orientation, 0) + struct.pack(
        f"{order}HHII", 0x0132, 2, len(DATE), size
    )
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    return header + struct.pack(f"{order}H", 2) + tags + struct.pack(f"{order}I", following) + DATE


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_only_orientation_and_thumbnail_are_changed(order: str, orientation: int) -> None:
    assert upright(block(order, orientation, following=99)) == block(order, 1)


def test_what_is_no_block_is_none() -> None:
    whole = block("<", 6)
    assert upright(b"") is None
    assert upright(b"XX" + whole[2:]) is None
    assert upright(whole[:2] + b"\0\0" + whole[4:]) is None
    assert all(upright(whole[:end]) is None for end in range(len(whole) - len(DATE)))


@given(st.binary(max_size=64), st.sampled_from([b"II*\0", b"MM\0*"]))
def test_any_bytes_come_out_as_long_as_they_are_or_not_at_all(rest: bytes, header: bytes) -> None:
    found = upright(header + rest)
    assert found is None or len(found) == 4 + len(rest)

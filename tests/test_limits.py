"""Sizes and rates outside the limits are refused, with the limit in the message."""

from pathlib import Path

import pytest

from frrcam.errors import SourceUnusable, UsageError
from frrcam.limits import check_chosen_size, check_rate, check_read_size


@pytest.mark.parametrize("fps", [0.5, 241, float("nan")])
def test_a_rate_out_of_range_is_a_usage_error(fps: float) -> None:
    with pytest.raises(UsageError, match="choose 1 to 240"):
        check_rate(fps)


@pytest.mark.parametrize("size", [(31, 64), (64, 8193)])
def test_a_read_size_out_of_range_names_the_file(size: tuple[int, int]) -> None:
    with pytest.raises(SourceUnusable, match=r"a\.png: .*each side must be 32 to 8192"):
        check_read_size(*size, Path("a.png"))


def test_an_odd_chosen_size_is_refused_with_the_next_even_one() -> None:
    with pytest.raises(UsageError, match="try 642x480"):
        check_chosen_size((641, 480))


def test_sizes_at_the_limits_are_taken() -> None:
    check_rate(1)
    check_rate(240)
    check_read_size(32, 8192, Path("a.png"))
    assert check_chosen_size((64, 4096)) == (64, 4096)

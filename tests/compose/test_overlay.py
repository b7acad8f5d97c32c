import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frrcam.compose.overlay import letterbox, side_by_side, with_notice
from frrcam.frame import Image

sides = st.integers(1, 200)


def grey(width: int, height: int, level: int = 128) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def test_a_picture_of_the_right_size_is_itself():
    image = grey(64, 48)
    assert letterbox(image, (64, 48)) is image


@pytest.mark.parametrize(
    ("size", "into", "box"),
    [
        ((160, 160), (320, 240), (40, 0, 280, 240)),
        ((640, 360), (320, 240), (0, 30, 320, 210)),
        ((320, 240), (640, 480), (0, 0, 640, 480)),
        ((90, 160), (160, 90), (54, 0, 105, 90)),
    ],
)
def test_the_whole_picture_is_centred_on_black(
    size: tuple[int, int], into: tuple[int, int], box: tuple[int, int, int, int]
):
    out = letterbox(grey(*size), into)
    left, top, right, bottom = box
    assert (out[top:bottom, left:right] == 128).all()
    rest = out.copy()
    rest[top:bottom, left:right] = 0
    assert not rest.any()


@settings(deadline=None, derandomize=True)
@given(sides, sides, sides, sides)
def test_any_size_fits_into_any_other(width: int, height: int, into_width: int, into_height: int):
    image = grey(width, height)
    out = letterbox(image, (into_width, into_height))
    assert out.shape == (into_height, into_width, 3)
    assert out.dtype == np.uint8
    assert (out == 128).any()
    assert (image == 128).all()
    rows, columns = (out == 128).all(axis=2).any(axis=1), (out == 128).all(axis=2).any(axis=0)
    assert rows.all() or columns.all(), "it fills one side"


def test_a_part_of_a_larger_picture_can_be_letterboxed():
    large = grey(100, 100)
    assert letterbox(large[10:60, ::2], (64, 64)).shape == (64, 64, 3)


@settings(deadline=None, derandomize=True)
@given(sides, sides, st.text("abc XYZ-", max_size=60))
def test_a_notice_fits_any_picture(width: int, height: int, text: str):
    image = grey(width, height)
    noted = with_notice(image, text)
    assert noted.shape == image.shape
    assert (image == 128).all(), "the picture itself is not written to"


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (1920, 1080)])
def test_a_notice_is_readable_and_small(size: tuple[int, int]):
    image = grey(*size, level=200)
    noted = with_notice(image, "Camera is not answering - reconnecting")
    changed = np.flatnonzero((noted != image).any(axis=(1, 2)))
    assert changed.max() == size[1] - 1
    assert len(changed) < 0.15 * size[1]
    assert (noted == 255).any(), "white text"
    strip = noted[changed.min() :]
    assert np.median(strip) == 200 // 3
    bright = np.flatnonzero((strip > 150).any(axis=(0, 2)))
    assert bright.min() > 0.02 * size[0]
    assert bright.max() < 0.99 * size[0], "the whole line is in the picture"


def test_before_and_after_stand_side_by_side():
    both = side_by_side(grey(30, 20, 10), grey(30, 20, 240))
    assert both.shape == (20, 62, 3)
    assert (both[:, :30] == 10).all()
    assert (both[:, 30:32] == 255).all()
    assert (both[:, 32:] == 240).all()

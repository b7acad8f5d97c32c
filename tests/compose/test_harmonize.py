"""Light and colour fit the surroundings; detail stays."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.compose.blend import Change, Mask
from frrcam.compose.harmonize import COLOUR_LIMIT, LIGHT_LIMIT
from frrcam.compose.harmonize import harmonize as harmonized

SIDE = 168
SKIN = np.full((SIDE, SIDE, 3), (90, 110, 150), np.uint8)


def harmonize(change: Change, mask: Mask) -> Change:
    return harmonized(change, mask, SKIN)


def disc(radius: float = 0.42) -> Mask:
    axis = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    return (axis[:, None] ** 2 + axis**2 < radius**2).astype(np.float32)


def uniform(blue: float, green: float, red: float) -> Change:
    return np.broadcast_to(np.array([blue, green, red], np.float32), (SIDE, SIDE, 3)).copy()


def middle(change: Change) -> np.ndarray:
    return change[SIDE // 2 - 8 : SIDE // 2 + 8, SIDE // 2 - 8 : SIDE // 2 + 8].mean((0, 1))


@pytest.mark.parametrize("levels", [-12.0, 5.0, 20.0])
def test_a_small_change_of_light_is_kept(levels: float) -> None:
    assert middle(harmonize(uniform(levels, levels, levels), disc())) == pytest.approx(levels, rel=0.05)


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(-200, 200))
def test_light_and_colour_never_pass_their_limits(blue: float, green: float, red: float) -> None:
    after = middle(harmonize(uniform(blue, green, red), disc()))
    light = float(after @ np.array([0.114, 0.587, 0.299]))
    assert abs(light) <= LIGHT_LIMIT + 0.5
    assert float(np.linalg.norm(after - light)) <= COLOUR_LIMIT + 0.5


def test_a_cast_is_corrected_in_its_own_direction() -> None:
    before, after = np.array([60.0, 0.0, -30.0]), middle(harmonize(uniform(60, 0, -30), disc()))
    light = float(before @ np.array([0.114, 0.587, 0.299]))
    cosine = (before - light) @ (after - light) / np.linalg.norm(before - light) / np.linalg.norm(after - light)
    assert cosine > 0.99
    assert 0.3 < np.linalg.norm(after - light) / np.linalg.norm(before - light) < 0.8


def test_an_overexposed_highlight_stays_the_cameras() -> None:
    """Taking light from what is white leaves grey, for nothing is known of the skin beneath."""
    crop = SKIN.copy()
    cv2.circle(crop, (SIDE // 2, SIDE // 2), 30, (255, 255, 255), -1)
    change = harmonized(uniform(-30, -25, -20), disc(), crop)
    assert np.abs(middle(change)).max() < 1.0
    beside = np.s_[SIDE // 2 - 4 : SIDE // 2 + 4, SIDE // 2 + 46]
    assert np.abs(change - harmonize(uniform(-30, -25, -20), disc()))[beside].max() < 1.0
    assert np.abs(np.diff(change[SIDE // 2], axis=0)).max() < 4.0


def test_a_face_that_is_only_bright_is_restored() -> None:
    bright = np.full_like(SKIN, (190, 215, 250))
    change = uniform(-12, -12, -12)
    assert np.array_equal(harmonized(change, disc(), bright), harmonize(change, disc()))


def test_a_rung_of_another_size_brings_no_step() -> None:
    """A face's light fell by six levels from one picture to the next as the budget went from 336 to 160 px."""
    means = []
    for side in (336, 224, 160):
        change, mask, crop = (cv2.resize(one, (side, side)) for one in (uniform(40, 40, 40), disc(), SKIN))
        fitted = np.asarray(cv2.resize(harmonized(change, mask, np.asarray(crop, np.uint8)), (SIDE, SIDE)))
        means.append(float(fitted[disc() > 0].mean()))
    assert np.ptp(means) < 0.02 * max(means)


def test_colour_comes_up_from_the_edge_without_a_step() -> None:
    row = harmonize(uniform(30, 30, 30), disc())[SIDE // 2, :, 0] * disc()[SIDE // 2]
    rim = int(np.flatnonzero(disc()[SIDE // 2])[0])
    assert row[rim + 1] < 6
    assert row[SIDE // 2] > 25
    assert np.abs(np.diff(row)).max() < 6


def test_detail_stays() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (SIDE, SIDE, 3)).astype(np.float32)
    fine = noise - cv2.blur(noise, (9, 9))
    kept = (harmonize(fine, disc()) - fine)[disc() > 0]
    assert np.abs(kept).mean() < 0.05 * np.abs(fine).mean()


def test_no_face_leaves_the_change() -> None:
    change = uniform(1, 2, 3)
    assert harmonize(change, np.zeros((SIDE, SIDE), np.float32)) is change


def test_a_monochrome_camera_stays_so() -> None:
    """The network gives every face the colour of skin; around it all is grey."""
    noise = np.random.default_rng(0).integers(-20, 21, (SIDE, SIDE, 1))
    grey = np.repeat((100 + noise).astype(np.uint8), 3, axis=2)
    change = uniform(-10, 5, 40) + np.random.default_rng(1).normal(0, 5, (SIDE, SIDE, 3)).astype(np.float32)
    after = harmonized(change, disc(), grey)
    assert np.ptp(after, axis=2).max() < 1e-3
    assert middle(after) @ (0.114, 0.587, 0.299) == pytest.approx(middle(change) @ (0.114, 0.587, 0.299), rel=0.1)
    dim = np.asarray(SKIN // 10)
    assert np.array_equal(harmonized(change, disc(), dim), harmonize(change, disc())), (
        "a dark picture is not a grey one"
    )

"""Spoiled pictures have the light, and the noise, that their kind says, and the same every time."""

import numpy as np
import pytest

from benchmarks.scene.light import encode, linear, luminance
from benchmarks.scene.spoil import AGAINST, DARK, DIM, KINDS, Spoiler, guessed_person
from frrcam.frame import Image

FACE = (120.0, 60.0, 200.0, 160.0)
SHAPE = (240, 320)


def grey(level: int = 200) -> Image:
    return np.full((*SHAPE, 3), level, np.uint8)


def spoiled(kind: str, image: Image, number: int = 0, seed: int = 0, clip: str = "clip") -> Image:
    return Spoiler(kind, clip, [FACE], seed).spoil(image, [FACE], number)


def mean_gain(kind: str, rows: slice, columns: slice) -> np.ndarray:
    """Linear gain of B, G and R in a part of the picture."""
    before, after = linear(grey()), linear(spoiled(kind, grey()))
    return after[rows, columns].mean((0, 1)) / before[rows, columns].mean((0, 1))


def test_linear_light_encoded_again_is_the_same_picture() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    np.testing.assert_array_equal(encode(linear(image)), image)


def test_luminance_of_white_is_one() -> None:
    assert luminance(linear(grey(255))) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["dim", "still"])
def test_dim_light_has_the_constants_of_the_design(kind: str) -> None:
    assert DIM == (0.12, 0.17, 0.22)
    assert mean_gain(kind, slice(None), slice(None)) == pytest.approx(DIM, rel=0.01)


def test_side_lamp_lights_the_left_of_a_face_and_is_warm() -> None:
    left = mean_gain("side_lamp", slice(60, 160), slice(120, 140))
    right = mean_gain("side_lamp", slice(60, 160), slice(180, 200))
    assert left[1] > 3 * right[1]
    assert left[2] > 1.3 * left[1] > 1.3 * left[0]


def test_screen_lights_a_face_from_below_and_is_blue() -> None:
    chin = mean_gain("screen", slice(145, 160), slice(140, 180))
    forehead = mean_gain("screen", slice(60, 75), slice(140, 180))
    assert chin[1] > 1.8 * forehead[1]
    assert chin[0] > 1.2 * chin[2]


def test_backlight_darkens_the_person_and_leaves_the_background() -> None:
    face = mean_gain("backlight", slice(90, 130), slice(145, 175))
    corner = mean_gain("backlight", slice(0, 30), slice(0, 30))
    assert face == pytest.approx([AGAINST] * 3, rel=0.02)
    assert corner == pytest.approx([1] * 3, rel=0.02)


def test_person_mask_has_a_soft_edge() -> None:
    mask = guessed_person(SHAPE, [FACE])
    assert mask.shape == SHAPE
    assert mask.min() >= 0
    assert mask.max() <= 1.001
    assert np.abs(np.diff(mask, axis=1)).max() < 0.15


def test_noise_has_the_deviation_that_its_sensor_says() -> None:
    light = np.full((200, 200, 3), 0.1, np.float32)
    noisy = DARK.apply(light, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(np.sqrt(DARK.read**2 + DARK.shot * 0.1), rel=0.02)
    assert noisy.mean() == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("kind", ["nothing", "as_is"])
def test_kind_without_change_returns_the_very_picture(kind: str) -> None:
    image = grey()
    assert spoiled(kind, image) is image


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.noise])
def test_same_seed_gives_the_same_picture_and_another_frame_other_noise(kind: str) -> None:
    first = spoiled(kind, grey(), number=3, seed=1)
    np.testing.assert_array_equal(first, spoiled(kind, grey(), number=3, seed=1))
    for other in (spoiled(kind, grey(), 4, 1), spoiled(kind, grey(), 3, 2), spoiled(kind, grey(), 3, 1, "other")):
        assert (first != other).any()


@pytest.mark.parametrize("kind", KINDS)
def test_picture_without_a_face_can_be_spoiled(kind: str) -> None:
    assert Spoiler(kind, "clip", [], 0).spoil(grey(), [], 0).shape == (*SHAPE, 3)


def test_light_that_does_not_follow_the_face_stays_where_it_was() -> None:
    moved = (20.0, 60.0, 100.0, 160.0)
    lamp = Spoiler("screen", "clip", [FACE], 0)
    np.testing.assert_array_equal(lamp.spoil(grey(), [FACE], 0), lamp.spoil(grey(), [moved], 0))


def test_person_that_is_known_is_darkened_exactly() -> None:
    person = np.zeros(SHAPE, np.float32)
    person[:, 200:] = 1
    given = Spoiler("backlight", "clip", [FACE], 0).spoil(grey(), [FACE], 0, person)
    gain = luminance(linear(given)) / luminance(linear(grey()))
    assert gain[:, 200:].mean() == pytest.approx(AGAINST, rel=0.02)
    assert gain[:, :200].mean() == pytest.approx(1, rel=0.02)


def test_light_that_follows_the_face_moves_with_it() -> None:
    moved = (20.0, 60.0, 100.0, 160.0)
    against = Spoiler("backlight", "clip", [FACE], 0)
    assert (against.spoil(grey(), [FACE], 0) != against.spoil(grey(), [moved], 0)).any()

import numpy as np
import pytest

from frrcam.compose.exposure import halved
from frrcam.compose.tone import Toner, curve
from frrcam.frame import Image
from tests.compose.scenes import dimmed, levels, scene

STOPS = 2.0
EVEN = np.zeros((9, 16, 3), np.float32)


def field(stops: float) -> np.ndarray:
    return np.full((9, 16), stops, np.float32)


def lit(image: Image, stops: float = STOPS, noise: float = 0.0, **options: bool) -> Image:
    return Toner(**options).apply(image, field(stops), EVEN, noise, 1 / 30)


def ramp() -> Image:
    return np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (64, 1, 3))


@pytest.mark.parametrize("gain", [1.0, 1.2, 2.0, 3.0])
def test_the_curve_meets_black_and_white_and_never_turns(gain: float):
    x = np.arange(256) / 255
    y = x * (1 + curve(gain))
    assert y[0] == 0
    assert y[255] == pytest.approx(1, abs=1e-5)
    assert np.diff(y).min() >= -1e-6
    assert y[20] == pytest.approx(gain * x[20], rel=0.02)
    assert y.max() <= 1 + 1e-5


def test_no_gain_is_the_identity():
    assert np.abs(curve(1.0)).max() < 1e-6


def test_no_light_and_no_colour_leave_the_picture_itself():
    image = scene()
    assert lit(image, 0.0) is image
    assert lit(image, 0.019) is image


def test_dark_parts_get_the_gain_that_is_asked_for():
    dark = levels(np.full((64, 64, 3), 0.05, np.float32))
    after = lit(dark)
    assert ((after / 255.0) ** 2.2).mean() == pytest.approx(0.05 * 2**STOPS, rel=0.1)


def test_black_stays_black_and_white_stays_white():
    after = lit(ramp())
    assert after[32, 0].max() <= 2
    assert after[32, 255].min() >= 253
    assert np.diff(after[32, :, 1].astype(int)).min() >= -2


def test_grey_stays_grey_and_colours_keep_their_hue():
    assert np.ptp(lit(ramp())[32, 64].astype(int)) <= 2
    image = dimmed(scene(), 0.2)
    before, after = (p[90, 160].astype(float) for p in (image, lit(image)))
    assert after / after.sum() == pytest.approx(before / before.sum(), abs=0.02)


def test_a_field_lights_where_it_is_and_leaves_no_edge():
    light = field(0.0)
    light[:, 8:] = STOPS
    flat = np.full((90, 160, 3), 60, np.uint8)
    after = Toner().apply(flat, light, EVEN, 0.0, 1 / 30).astype(int)
    assert np.abs(after[45, 10] - 60).max() <= 2
    assert after[45, 150, 1] > 100
    assert np.abs(np.diff(after[45, :, 1])).max() < 12


def test_a_tint_takes_off_a_cast_in_proportion_to_brightness():
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = (60, 90, 120), (6, 9, 12)
    tint = EVEN + np.array((0.5, 0.0, -0.5), np.float32)
    after = Toner().apply(image, field(0.0), tint, 0.0, 1 / 30).astype(int)
    assert np.ptp(after[32, 20]) < 40
    assert np.abs(after[32, 80] - image[32, 80]).max() <= 6


@pytest.mark.parametrize("shape", [(63, 81), (64, 80), (7, 5), (2, 2), (241, 97)])
def test_pictures_of_any_size_keep_it(shape: tuple[int, int]):
    image = np.full((*shape, 3), 50, np.uint8)
    after = lit(image, noise=1.0)
    assert after.shape == image.shape
    assert after.mean() > 80


def test_the_half_that_is_given_is_the_half_that_is_made():
    image = dimmed(scene(), 0.2)
    given = Toner().apply(image, field(STOPS), EVEN, 0.0, 1 / 30, halved(image))
    assert np.array_equal(given, lit(image))


def noisy(count: int, seed: int = 0) -> list[Image]:
    random, flat = np.random.default_rng(seed), dimmed(scene(), 0.15).astype(float)
    return [np.clip(flat + random.normal(0, 3, flat.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def flicker(pictures: list[Image]) -> float:
    return float(np.asarray(pictures, float).std(axis=0).mean())


def test_the_noise_of_what_is_lit_is_reduced_over_time():
    toner, frames = Toner(), noisy(40)
    after = [toner.apply(frame, field(STOPS), EVEN, 1.0, 1 / 30) for frame in frames]
    gain = float(np.mean(after[-1])) / float(np.mean(frames[-1]))
    assert flicker(after[20:]) / gain < 0.45 * flicker(frames[20:])


def test_noise_reduction_can_be_declined():
    toner, frames = Toner(), noisy(20)
    after = [toner.apply(frame, field(STOPS), EVEN, 0.0, 1 / 30) for frame in frames]
    assert flicker(after) > flicker(frames)


def test_what_moves_is_sharp_and_leaves_no_trail():
    def frame(left: int) -> Image:
        picture = np.full((96, 160, 3), 40, np.uint8)
        picture[32:64, left : left + 24] = 110
        return picture

    toner = Toner()
    for _ in range(10):
        toner.apply(frame(10), field(STOPS), EVEN, 1.0, 1 / 30)
    for left in range(10, 100, 10):
        moved = toner.apply(frame(left), field(STOPS), EVEN, 1.0, 1 / 30)
    fresh = lit(frame(left), noise=1.0)
    assert np.abs(moved.astype(int) - fresh).mean() < 1.5
    assert np.abs(moved[48, 60].astype(int) - fresh[48, 60]).max() <= 8


def test_a_change_of_exposure_is_followed_at_once():
    toner = Toner()
    for frame in noisy(10):
        toner.apply(frame, field(STOPS), EVEN, 1.0, 1 / 30)
    brighter = np.asarray(np.minimum(noisy(1)[0] * 1.3, 255), np.uint8)
    after = toner.apply(brighter, field(STOPS), EVEN, 1.0, 1 / 30)
    assert np.abs(after.astype(float) - lit(brighter)).mean() < 8


def test_a_single_picture_is_cleaned_within():
    image = noisy(1)[0]
    before, after = (np.asarray(lit(image, noise=amount, still=True), float) for amount in (0.0, 1.0))
    wall = np.s_[20:60, 10:60]
    assert after[wall].std() < 0.6 * before[wall].std()

"""Measures of invented pictures whose answers are known."""

import math

import numpy as np
import pytest

from benchmarks.scene import measures
from benchmarks.scene.light import encode, linear, luminance
from frrcam.frame import Image

BOX = (20.0, 20.0, 116.0, 116.0)
EVERYWHERE = np.ones((144, 144), np.bool_)


def noisy(level: float, deviation: float, seed: int = 0) -> Image:
    random = np.random.default_rng(seed)
    return np.clip(np.rint(random.normal(level, deviation, (144, 144, 3))), 0, 255).astype(np.uint8)


def grey(level: int) -> Image:
    return np.full((144, 144, 3), level, np.uint8)


def test_psnr_of_a_known_error() -> None:
    error = measures.squared_error(grey(100), grey(110)).mean()
    assert error == pytest.approx(100)
    assert measures.psnr(float(error)) == pytest.approx(20 * math.log10(25.5))


def test_identical_pictures_have_the_highest_psnr() -> None:
    assert measures.psnr(float(measures.squared_error(grey(9), grey(9)).mean())) == measures.IDENTICAL


def test_even_gain_has_a_spread_of_one() -> None:
    before = np.full((144, 144), 0.1, np.float32)
    gain, cells = measures.face_gain(before, 3 * before, BOX)
    assert gain == pytest.approx(3, rel=0.01)
    assert measures.spread(cells) == pytest.approx(1)


def test_face_lit_on_one_half_has_the_spread_of_its_halves() -> None:
    before = np.full((144, 144), 0.1, np.float32)
    after = before.copy()
    after[:, 68:] *= 4
    gain, cells = measures.face_gain(before, after, BOX)
    assert gain == pytest.approx(2.5, rel=0.01)
    assert measures.spread(cells) == pytest.approx(4, rel=0.01)


def test_light_in_the_corners_of_the_box_does_not_count() -> None:
    before = np.full((144, 144), 0.1, np.float32)
    after = before.copy()
    after[20:28, 20:28] = 1
    assert measures.spread(measures.face_gain(before, after, BOX)[1]) == pytest.approx(1)


def test_face_outside_the_picture_has_no_cells() -> None:
    plane = np.ones((144, 144), np.float32)
    gain, cells = measures.face_gain(plane, plane, (200.0, 0.0, 250.0, 50.0))
    assert (gain, cells.size) == (1.0, 0)


def test_noise_is_measured_in_levels_before_and_after() -> None:
    images = grey(80), noisy(80, 4), noisy(80, 2, seed=1)
    lights = luminance(linear(images[1])), luminance(linear(images[2]))
    found = measures.noise(images, lights, {"all": EVERYWHERE})["all"]
    assert found.before == pytest.approx(4, rel=0.08)
    assert found.after == pytest.approx(2, rel=0.08)
    assert found.gain == pytest.approx(1, rel=0.02)


def test_noise_of_textured_parts_is_not_measured() -> None:
    texture = noisy(80, 20)
    light = luminance(linear(texture))
    assert measures.noise((texture, texture, texture), (light, light), {"all": EVERYWHERE}) == {}


def test_noise_is_measured_where_it_is_lit_if_part_of_a_place_is() -> None:
    before, after = noisy(40, 3), noisy(40, 3)
    after[:, :72] = encode(6 * linear(before[:, :72]))
    lights = luminance(linear(before)), luminance(linear(after))
    found = measures.noise((grey(40), before, after), lights, {"all": EVERYWHERE})["all"]
    assert found.gain == pytest.approx(6, rel=0.05)
    assert found.after / found.before == pytest.approx(6 ** (1 / 2.2), rel=0.05)
    assert measures.by_gain(found.after / found.before, found.gain) == pytest.approx(1, rel=0.05)


def test_flicker_is_the_deviation_over_time_by_the_mean() -> None:
    flicker = measures.Flicker()
    for number in range(40):
        flicker.add(grey(90 if number % 2 else 110))
    assert flicker.share(EVERYWHERE) == pytest.approx(0.1, rel=0.02)


def test_still_picture_does_not_flicker() -> None:
    flicker = measures.Flicker()
    for _ in range(3):
        flicker.add(grey(90))
    assert flicker.share(EVERYWHERE) == pytest.approx(0, abs=1e-6)


def test_flicker_of_one_picture_or_of_no_pixel_is_not_a_number() -> None:
    flicker = measures.Flicker()
    flicker.add(grey(90))
    assert math.isnan(flicker.share(EVERYWHERE))
    flicker.add(grey(90))
    assert math.isnan(flicker.share(~EVERYWHERE))


def test_mean_of_an_empty_region_and_percentile_of_nothing_are_not_numbers() -> None:
    assert math.isnan(measures.mean_within(np.ones((144, 144), np.float32), ~EVERYWHERE))
    assert math.isnan(measures.percentile([], 95))

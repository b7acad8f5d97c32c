import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from frrcam.compose.detail import MOST_LIGHT, in_light, kept

Image = NDArray[np.uint8]


def textured(height: int = 96, width: int = 80, seed: int = 0) -> Image:
    """What a face has: detail of all sizes."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.normal(0, 12, (height // cell, width // cell, 3)), (width, height)) for cell in (1, 2, 4, 16)
    ]
    return np.clip(128 + np.sum(layers, axis=0), 0, 255).astype(np.uint8)


def grey(level: float, noise: float = 0, height: int = 96, width: int = 80, seed: int = 1) -> Image:
    random = np.random.default_rng(seed)
    return np.clip(np.full((height, width, 3), level) + random.normal(0, noise, (height, width, 1)), 0, 255).astype(
        np.uint8
    )


def change(crop: Image, restored: NDArray[np.float32]) -> NDArray[np.float32]:
    return (restored - crop.astype(np.float32)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(8, 120), width=st.integers(8, 120), seed=st.integers(0, 99))
def test_a_face_that_is_left_keeps_all(height: int, width: int, seed: int) -> None:
    crop = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    factor = kept(crop, np.zeros(crop.shape, np.float32))
    assert factor.shape == (height, width)
    assert np.all(factor == 1)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(8, 60), width=st.integers(8, 60), seed=st.integers(0, 99), size=st.floats(0, 300))
def test_the_factor_is_within_its_bounds(height: int, width: int, seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    crop = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    factor = kept(crop, random.normal(0, size, crop.shape).astype(np.float32))
    assert np.all((factor >= 0) & (factor <= MOST_LIGHT))


def test_noise_that_is_taken_away_is_not_kept() -> None:
    crop = grey(120, noise=10)
    assert kept(crop, change(crop, np.full(crop.shape, 120, np.float32))).max() < 0.05


def test_noise_is_taken_away_where_it_is_taken_away() -> None:
    crop = grey(120, noise=10)
    restored = crop.astype(np.float32)
    restored[:, :40] = 120
    factor = kept(crop, change(crop, restored))
    assert factor[:, :30].max() < 0.05
    assert factor[:, 50:].min() > 0.95


def test_a_little_light_and_colour_leave_detail() -> None:
    crop = textured()
    restored = crop * np.array([0.95, 1.0, 1.08], np.float32)
    assert kept(crop, change(crop, restored)).mean() == pytest.approx(1.0, abs=0.1)


def test_detail_is_lit_with_the_face() -> None:
    crop = (textured() * 0.4).astype(np.uint8)
    assert kept(crop, change(crop, crop * np.float32(1.6))).mean() == pytest.approx(1.6, abs=0.1)


def test_what_is_sharpened_at_the_crops_scale_is_not_amplified_between_its_pixels() -> None:
    crop = textured()
    soft = cv2.GaussianBlur(crop, (0, 0), 1.5).astype(np.float32)
    factor = kept(crop, change(crop, crop + (crop - soft)))
    assert factor.mean() == pytest.approx(1.0, abs=0.1)


def test_half_taken_is_mostly_taken() -> None:
    crop = grey(120, noise=10)
    half = kept(crop, change(crop, (crop.astype(np.float32) + 120) / 2))
    assert 0.2 < half.mean() < 0.4


def _texture(seed: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:84, :84]
    return np.asarray(100 + 20 * np.sin(columns * 1.3) + 15 * np.sin(rows * 1.1) + seed, np.float32)[..., None].repeat(
        3, 2
    )


def test_detail_in_the_pictures_own_light_is_what_was_restored():
    restored = _texture()
    lit = np.full((84, 84, 3), 100, np.uint8)
    change = in_light(restored, lit, np.ones((84, 84), np.float32))
    middle = np.s_[20:64, 20:64]
    assert np.abs(lit + change - restored)[middle].mean() < 3


def test_detail_takes_on_another_light_and_its_contrast():
    restored, lit = _texture(), np.full((84, 84, 3), 50, np.uint8)
    change = in_light(restored, lit, np.ones((84, 84), np.float32))
    middle = np.s_[20:64, 20:64]
    assert abs(float(change[middle].mean())) < 1.5
    assert float(change[middle].std()) == pytest.approx(float(restored[middle].std()) / 2, rel=0.15)


def test_a_light_that_is_all_coarse_leaves_no_detail():
    lit = np.tile(np.linspace(60, 140, 84)[None, :, None], (84, 1, 3)).astype(np.uint8)
    restored = np.asarray(lit * 1.4 + 10, np.float32)
    assert np.abs(in_light(restored, lit, np.ones((84, 84), np.float32))).mean() < 2


def test_without_a_mask_there_is_no_light_to_compare():
    change = in_light(_texture(), np.full((84, 84, 3), 100, np.uint8), np.zeros((84, 84), np.float32))
    assert np.isfinite(change).all()

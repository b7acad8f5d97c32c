import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from frrcam.compose.blend import Change, Mask, blend, effect, feather
from frrcam.faces.alignment import TEMPLATE, Affine, crop, invert, similarity

SIDE = 64


def disc(side: int = SIDE, radius: float = 0.35) -> NDArray[np.float32]:
    axis = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    return (np.hypot(axis[:, None], axis) < radius).astype(np.float32)


def picture(height: int = 120, width: int = 160, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def placed(side: float, x: float, y: float, angle: float = 0.0, crop: int = SIDE) -> Affine:
    """The affine of a face whose crop covers `side` pixels around (x, y)."""
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return similarity(((TEMPLATE - 0.5) * side @ turn.T + (x, y)).astype(np.float32), crop)


def put(picture: NDArray[np.uint8], change: Change, mask: Mask, affine: Affine, strength: float = 1.0) -> None:
    """Blends the change of the face that `affine` cuts out."""
    blend(picture, crop(picture, affine, mask.shape[0]), change, mask, affine, strength)


places = st.builds(placed, st.floats(16, 300), st.floats(-60, 220), st.floats(-60, 180), st.floats(-3.2, 3.2))


@settings(deadline=None, max_examples=60)
@given(affine=places, seed=st.integers(0, 99))
def test_outside_the_mask_no_bit_changes(affine: Affine, seed: int) -> None:
    before = picture(seed=seed)
    after = before.copy()
    change = np.full((SIDE, SIDE, 3), 40.0, np.float32)
    put(after, change, disc(), affine, 1.0)
    # a picture pixel is outside if no mask pixel lies within one crop pixel or one picture pixel of it
    reach = np.ones((5, 5), np.uint8)
    covered = cv2.warpAffine(cv2.dilate(disc(), reach), invert(affine), (160, 120), flags=cv2.INTER_LINEAR) > 0
    covered = cv2.dilate(covered.astype(np.uint8), reach) > 0
    assert np.array_equal(after[~covered], before[~covered])


@settings(deadline=None, max_examples=40)
@given(affine=places)
def test_no_change_and_no_mask_and_no_strength_leave_the_picture(affine: Affine) -> None:
    before = picture()
    change = np.full((SIDE, SIDE, 3), 40.0, np.float32)
    for arguments in ((change * 0, disc(), 1.0), (change, disc() * 0, 1.0), (change, disc(), 0.0)):
        after = before.copy()
        put(after, arguments[0], arguments[1], affine, arguments[2])
        assert np.array_equal(after, before)


@settings(deadline=None, max_examples=40)
@given(side=st.floats(30, 110), angle=st.floats(-3.2, 3.2), strength=st.floats(0.05, 1), level=st.floats(-90, 90))
def test_the_middle_of_the_face_gets_strength_times_change(
    side: float, angle: float, strength: float, level: float
) -> None:
    after = np.full((120, 160, 3), 128, np.uint8)
    put(after, np.full((SIDE, SIDE, 3), level, np.float32), disc(), placed(side, 80, 60, angle), strength)
    assert np.abs(after[60, 80].astype(float) - 128 - strength * level).max() <= 1.0


@pytest.mark.parametrize("side", [20.0, 64.0, 100.0, 150.0])
def test_a_change_lands_where_it_was_cut(side: float) -> None:
    """A bright spot of the crop comes back to the point of the picture that it belongs to."""
    affine = placed(side, 81.0, 58.0, 0.3)
    axis = np.arange(SIDE, dtype=np.float32)
    spot = 200 * np.exp(-((axis[:, None] - 27) ** 2 + (axis - 36) ** 2) / (2 * (0.08 * SIDE) ** 2))
    after = np.zeros((120, 160, 3), np.uint8)
    put(after, np.repeat(spot[..., None], 3, axis=2).astype(np.float32), np.ones_like(spot), affine, 1.0)
    weights = after[..., 0].astype(float)
    found = np.array([(weights * np.arange(160)).sum(), (weights * np.arange(120)[:, None]).sum()]) / weights.sum()
    expected = invert(affine) @ np.array([36, 27, 1.0])
    assert np.hypot(*(found - expected)) < 0.25


def test_clips_at_black_and_white() -> None:
    after = picture()
    put(after, np.full((SIDE, SIDE, 3), 400.0, np.float32), disc(), placed(80, 80, 60), 1.0)
    assert np.all(after[60, 80] == 255)
    put(after, np.full((SIDE, SIDE, 3), -400.0, np.float32), disc(), placed(80, 80, 60), 1.0)
    assert np.all(after[60, 80] == 0)


def test_no_square_shows_where_the_mask_fills_the_crop() -> None:
    after = np.full((120, 160, 3), 100, np.uint8)
    put(after, np.full((SIDE, SIDE, 3), 60.0, np.float32), np.ones((SIDE, SIDE), np.float32), placed(64, 80, 60))
    row = after[60, :, 0].astype(int)
    assert row.max() == 160
    assert np.abs(np.diff(row)).max() <= 20


def test_a_small_face_does_not_alias() -> None:
    """A fine checkerboard of change, eight crop pixels to one of the picture's, averages to nothing."""
    board = np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 200.0 - 100.0
    change = np.repeat(board[..., None], 3, axis=2).astype(np.float32)
    after = np.full((120, 160, 3), 128, np.uint8)
    put(after, change, disc(), placed(SIDE / 8, 80.3, 60.4, 0.2), 1.0)
    assert np.abs(after.astype(int) - 128).max() <= 8


@pytest.mark.parametrize("side", [64.0, 90.0, 130.0])
def test_noise_that_is_restored_is_gone_from_the_picture_too(side: float) -> None:
    """Also where the face is larger than the crop, and its pixels lie between the crop's."""
    affine = placed(side, 80, 60, 0.1)
    noise = np.random.default_rng(1).normal(0, 12, (120, 160, 3))
    after = np.clip(128 + noise, 0, 255).astype(np.uint8)
    cut = crop(after, affine, SIDE)
    put(after, 128.0 - cut.astype(np.float32), disc(), affine)
    middle = after[45:75, 65:95].astype(float) - 128
    assert middle.std() < 0.2 * noise[45:75, 65:95].std()


def test_detail_that_the_face_keeps_is_not_blurred() -> None:
    """A face twice as large as its crop, given light: stripes as fine as the picture holds stay as they are."""
    stripes = np.tile(np.array([100, 140], np.uint8), 80)
    before = np.repeat(np.repeat(stripes[None], 120, axis=0)[..., None], 3, axis=2)
    after = before.copy()
    put(after, np.full((SIDE, SIDE, 3), 10.0, np.float32), disc(), placed(2 * SIDE, 80, 60))
    added = after[40:80, 60:100].astype(float) - before[40:80, 60:100]
    assert np.abs(added - 10).max() <= 3


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), side=st.sampled_from([32, 64, 224]))
def test_the_feathered_mask_is_soft_and_never_above_the_mask(seed: int, side: int) -> None:
    noise = np.random.default_rng(seed).random((6, 6)).astype(np.float32)
    mask = np.clip(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC) * 3 - 1, 0, 1).astype(np.float32)
    weight = feather(mask)
    assert np.all(weight <= mask + 1.5 / 255)
    assert np.all(weight[mask == 0] == 0)
    assert not weight[:2].any()
    assert not weight[:, -2:].any()


def test_the_edge_is_as_wide_on_every_rung() -> None:
    means = [float(feather(disc(side)).mean()) for side in (336, 224, 160)]
    assert means == pytest.approx([means[0]] * 3, rel=0.04)


def test_a_weight_of_one_is_reached_inside() -> None:
    assert feather(disc(336))[168, 168] == pytest.approx(1.0, abs=1e-4)


def test_effect_is_nothing_for_a_good_face_and_all_for_a_bad_one() -> None:
    words = [effect(np.array([p, 0.0, 0.1], np.float32)) for p in (0.0, 0.39, 0.45, 0.55, 0.65, 1.0)]
    assert words[:2] == [0.0, 0.0]
    assert words[4:] == pytest.approx([1.0, 1.0])
    assert words == sorted(words)
    assert effect(np.array([np.nan, 0.1, 0.1], np.float32)) == 0.0

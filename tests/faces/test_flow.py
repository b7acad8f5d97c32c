import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.drawn.moving_head import HALF, SIDE, Pose, picture, wall
from frrcam.faces.flow import Patch, motion

WALL = wall()


def box_of(pose: Pose) -> np.ndarray:
    half = pose.side / SIDE * complex(*HALF)
    return np.array([complex(pose.x, pose.y) - half, complex(pose.x, pose.y) + half])


@given(
    x=st.integers(0, 600),
    y=st.integers(0, 340),
    side=st.floats(10, 500),
    at=st.complex_numbers(max_magnitude=2000, allow_nan=False),
)
@settings(deadline=None, max_examples=50)
def test_in_and_out_of_a_patch_undo_each_other(x: int, y: int, side: float, at: complex) -> None:
    patch = Patch.around(WALL, complex(x, y), side)
    if patch is not None:
        assert abs(patch.outside(patch.inside(np.array([at])))[0] - at) < 1e-6
        assert 0 <= patch.x <= patch.x + patch.width <= 640
        assert 0 <= patch.y <= patch.y + patch.height <= 360
        assert min(patch.grey.shape) >= 8


@settings(deadline=None, max_examples=20)
@given(dx=st.floats(-8, 8), dy=st.floats(-8, 8), grow=st.floats(0.97, 1.03), turn=st.floats(-0.05, 0.05))
def test_a_known_motion_is_measured(dx: float, dy: float, grow: float, turn: float) -> None:
    one, two = Pose(320, 180, 150), Pose(320 + dx, 180 + dy, 150 * grow, turn)
    before = Patch.around(picture(WALL, one), 320 + 180j, 150)
    assert before is not None
    found = motion(before, before.again(picture(WALL, two), 0j), box_of(one), 0j)
    assert found is not None
    expected = two.points.astype(np.float64) @ (1, 1j)
    assert np.abs(found(one.points.astype(np.float64) @ (1, 1j)) - expected).mean() < 0.35


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
def test_exposure_is_not_motion(gain: float) -> None:
    one = Pose(320, 180, 150)
    image = picture(WALL, one)
    before = Patch.around(image, 320 + 180j, 150)
    assert before is not None
    relit = np.clip(image * gain, 0, 255).astype(np.uint8)
    found = motion(before, before.again(relit, 0j), box_of(one), 0j)
    assert found is not None
    assert abs(found.factor - 1) < 0.003
    assert np.abs(found(box_of(one)) - box_of(one)).max() < 0.3


def test_a_face_in_a_dark_room_is_followed() -> None:
    """At a tenth of the light a face has a hundredth of the gradients' energy, and noise beside."""
    random = np.random.default_rng(4)
    one, two = Pose(320, 180, 150), Pose(324, 182, 150)
    dark, later = ((picture(WALL, pose) * 0.1 + random.normal(0, 1.5, (360, 640, 3))) for pose in (one, two))
    before = Patch.around(dark.clip(0, 255).astype(np.uint8), 320 + 180j, 150)
    assert before is not None
    found = motion(before, before.again(later.clip(0, 255).astype(np.uint8), 0j), box_of(one), 0j)
    assert found is not None
    assert np.abs(found(box_of(one)) - box_of(two)).max() < 1.0


def test_another_scene_is_no_motion() -> None:
    one = Pose(320, 180, 150)
    before = Patch.around(picture(WALL, one), 320 + 180j, 150)
    assert before is not None
    assert motion(before, before.again(wall(seed=7), 0j), box_of(one), 0j) is None


def test_a_face_without_texture_gives_no_motion() -> None:
    flat = np.full((360, 640, 3), 120, np.uint8)
    before = Patch.around(flat, 320 + 180j, 150)
    assert before is not None
    assert motion(before, before.again(flat, 0j), box_of(Pose(320, 180, 150)), 0j) is None


def test_a_foreseen_leap_is_followed() -> None:
    """Further than the patch reaches: only a patch moved ahead sees the face again."""
    one, two = Pose(200, 180, 60), Pose(270, 180, 60)
    before = Patch.around(picture(WALL, one), 200 + 180j, 60)
    assert before is not None
    ahead = 66 + 0j
    found = motion(before, before.again(picture(WALL, two), ahead), box_of(one), ahead)
    assert found is not None
    assert abs(found(box_of(one)).mean() - (270 + 180j)) < 0.5

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.detector.data.geometry import MIRRORED, Pose, affine, map_box, map_points, overlap, visible_share

BOX = np.array((0.3, 0.2, 0.7, 0.75), np.float32)
POINTS = np.array([(0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.62), (0.58, 0.62)], np.float32)

poses = st.builds(
    Pose,
    height=st.floats(6, 400),
    degrees=st.floats(-32, 32),
    squeeze=st.floats(0.68, 1.08),
    slant=st.floats(-0.12, 0.12),
    mirror=st.booleans(),
)
centres = st.tuples(st.floats(-50, 400), st.floats(-50, 400))


@given(poses, centres)
def test_points_stay_inside_the_box(pose: Pose, centre: tuple[float, float]) -> None:
    matrix = affine(BOX, pose, centre)
    x1, y1, x2, y2 = map_box(BOX, matrix)
    points = map_points(POINTS, matrix)
    assert ((points > (x1, y1)) & (points < (x2, y2))).all()


@given(poses, centres)
def test_left_stays_left(pose: Pose, centre: tuple[float, float]) -> None:
    left, right, _, mouth_left, mouth_right = map_points(POINTS, affine(BOX, pose, centre))
    assert left[0] < right[0]
    assert mouth_left[0] < mouth_right[0]


@given(poses, centres)
def test_the_box_is_centred_where_it_was_put(pose: Pose, centre: tuple[float, float]) -> None:
    x1, y1, x2, y2 = map_box(BOX, affine(BOX, pose, centre))
    assert math.isclose((x1 + x2) / 2, centre[0], abs_tol=0.01)
    assert math.isclose((y1 + y2) / 2, centre[1], abs_tol=0.01)


def test_an_upright_pose_scales_the_box() -> None:
    box = map_box(BOX, affine(BOX, Pose(110.0), (100.0, 100.0)))
    np.testing.assert_allclose(box, (60, 45, 140, 155), atol=1e-3)


def test_a_mirror_swaps_the_names_of_the_points() -> None:
    plain = map_points(POINTS, affine(BOX, Pose(100.0), (0.0, 0.0)))
    mirrored = map_points(POINTS, affine(BOX, Pose(100.0, mirror=True), (0.0, 0.0)))
    np.testing.assert_allclose(mirrored, (plain * (-1, 1))[MIRRORED], atol=1e-4)


def test_visible_share() -> None:
    assert visible_share(np.array((0, 0, 10, 10), np.float32), 20, 20) == 1
    assert visible_share(np.array((-5, 0, 5, 10), np.float32), 20, 20) == 0.5
    assert visible_share(np.array((30, 30, 40, 40), np.float32), 20, 20) == 0


def test_overlap_is_measured_on_the_smaller_box() -> None:
    small, large = np.array((2, 2, 4, 4), np.float32), np.array(((0, 0, 10, 10),), np.float32)
    assert overlap(small, large) == 1
    assert overlap(small, np.zeros((0, 4), np.float32)) == 0

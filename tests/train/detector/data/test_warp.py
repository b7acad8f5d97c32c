import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.detector.data.faces import FaceBank
from train.detector.data.warp import draw_shift, warp

POINTS = np.array([(0.41, 0.43), (0.59, 0.43), (0.5, 0.53), (0.43, 0.64), (0.57, 0.64)], np.float32)


def spotted(points: np.ndarray) -> np.ndarray:
    """A black 256² picture with a white spot on each point."""
    rows, columns = np.mgrid[:256, :256] + 0.5
    spots = [np.exp(-((columns - x * 256) ** 2 + (rows - y * 256) ** 2) / 18) for x, y in points]
    return np.repeat((np.max(spots, 0) * 255).astype(np.uint8)[..., None], 3, 2)


@given(st.integers(0, 2**32 - 1))
def test_what_lay_on_a_point_lies_on_the_moved_point(seed: int) -> None:
    shift = draw_shift(np.random.default_rng(seed))
    warped, moved = warp(spotted(POINTS), POINTS, shift)
    np.testing.assert_allclose(moved, POINTS + shift * 0.18, atol=1e-5)
    for x, y in np.floor(moved * 256).astype(int):
        assert warped[y - 1 : y + 2, x - 1 : x + 2].max() > 200


def test_no_shift_changes_nothing(bank: FaceBank) -> None:
    warped, moved = warp(bank.level(0, 128), bank.points[0], np.zeros((5, 2), np.float32))
    np.testing.assert_array_equal(warped, bank.level(0, 128))
    np.testing.assert_array_equal(moved, bank.points[0])

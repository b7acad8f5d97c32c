import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.faces.alignment import TEMPLATE, Affine, crop, invert, scale, similarity


def placed(side: float, x: float, y: float, angle: float, size: int) -> Affine:
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return similarity(((TEMPLATE - 0.5) * side @ turn.T + (x, y)).astype(np.float32), size)


affines = st.builds(
    placed,
    st.floats(10, 2000),
    st.floats(-500, 2000),
    st.floats(-500, 2000),
    st.floats(-3.1, 3.1),
    st.sampled_from([112, 224, 336]),
)


@given(affines)
def test_a_similarity_and_its_inverse_undo_each_other(affine: Affine) -> None:
    points = np.array([(0, 0), (100, 0), (30, 70)], np.float64)
    there = points @ affine[:, :2].T.astype(np.float64) + affine[:, 2]
    back = there @ invert(affine)[:, :2].T.astype(np.float64) + invert(affine)[:, 2]
    assert np.abs(back - points).max() <= 2e-3 * max(1.0, float(np.abs(affine[:, 2]).max()) / scale(affine) / 100)


@given(st.floats(10, 2000), st.floats(-500, 2000), st.floats(-3.1, 3.1), st.sampled_from([112, 224, 336]))
def test_the_template_is_met_exactly_by_a_placed_template(side: float, x: float, angle: float, size: int) -> None:
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    points = ((TEMPLATE - 0.5) * side @ turn.T + (x, 300)).astype(np.float32)
    affine = similarity(points, size).astype(np.float64)
    met = points @ affine[:, :2].T + affine[:, 2]
    assert np.abs(met - TEMPLATE * size).max() <= 0.02 * max(1.0, size / side)
    assert scale(similarity(points, size)) == pytest.approx(size / side, rel=1e-3)


@given(st.integers(0, 999))
def test_it_is_the_best_similarity(seed: int) -> None:
    """No similarity near by fits noisy points better: the closed form is the least-squares one."""
    random = np.random.default_rng(seed)
    points = (TEMPLATE * 100 + random.normal(0, 5, (5, 2))).astype(np.float32)

    def error(affine: Affine) -> float:
        return float(((points @ affine[:, :2].T + affine[:, 2] - TEMPLATE * 112) ** 2).sum())

    best = similarity(points, 112).astype(np.float64)
    for _ in range(20):
        a, b, x, y = random.normal(0, 0.01, 4) * (1, 1, 50, 50)
        assert error(best + np.array([(a, -b, x), (b, a, y)])) >= error(best) - 1e-6


@pytest.mark.parametrize(
    "points", [np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32), np.full((5, 2), np.inf, np.float32)]
)
def test_points_that_are_none(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="five distinct finite points"):
        similarity(points, 224)


@pytest.mark.parametrize("size", [112, 224])
@pytest.mark.parametrize("side", [60.0, 200.0, 400.0, 640.0, 900.0])
def test_a_spot_of_the_picture_is_found_where_the_affine_says(side: float, size: int) -> None:
    affine = placed(side, 640, 360, 0.3, size)
    middle = np.array([640.0 + 0.1 * side, 360.0 - 0.15 * side])
    y, x = np.mgrid[:720, :1280]
    spot = 250 * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * (0.05 * side) ** 2))
    seen = crop(np.repeat(spot[..., None], 3, axis=2).astype(np.uint8), affine, size)[..., 0].astype(np.float64)
    axis = np.arange(size)
    found = np.array([(seen * axis).sum(), (seen * axis[:, None]).sum()]) / seen.sum()
    assert np.abs(found - (affine[:, :2] @ middle + affine[:, 2])).max() <= 0.1


def test_beyond_the_picture_its_edge_goes_on() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    for side in (20.0, 90.0, 900.0):
        assert np.all(crop(image, placed(side, 0, 0, 0.2, 64), 64) == 200)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 900)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    assert crop(np.zeros((*shape, 3), np.uint8), placed(1500, 20, 20, 0, 112), 112).shape == (112, 112, 3)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.faces.smoothing import OneEuro, PointFilter

POINTS = np.array([0 + 0j, 40 + 0j, 20 + 25j, 4 + 45j, 36 + 45j])
SIDE = 150.0


def noisy(random: np.random.Generator, deviation: float = 1.0) -> np.ndarray:
    return POINTS + random.normal(0, deviation, 5) + 1j * random.normal(0, deviation, 5)


def test_the_gain_of_a_still_face_falls_to_a_few_per_cent() -> None:
    random = np.random.default_rng(0)
    known = PointFilter(noisy(random), SIDE)
    gains = []
    for _ in range(90):
        known.carry(known.points, SIDE, sure=True)
        gains.append(known.correct(noisy(random), SIDE, 0.9))
    assert gains[0] > 0.3
    assert 0.01 < gains[-1] < 0.06


def test_motion_makes_the_next_detection_weightier() -> None:
    random = np.random.default_rng(0)
    known = PointFilter(noisy(random), SIDE)
    for _ in range(60):
        known.carry(known.points, SIDE, sure=True)
        still = known.correct(noisy(random), SIDE, 0.9)
    known.carry(known.points + 20, SIDE, sure=True)
    assert known.correct(noisy(random) + 20, SIDE, 0.9) > 3 * still


def test_after_a_guess_the_detection_is_believed() -> None:
    known = PointFilter(POINTS, SIDE)
    for _ in range(60):
        known.carry(known.points, SIDE, sure=True)
        known.correct(POINTS, SIDE, 0.9)
    for _ in range(5):
        known.carry(known.points + 3, SIDE, sure=False)
    assert known.correct(POINTS, SIDE, 0.9) > 0.8
    assert np.abs(known.points - POINTS).max() < 3.0


@given(shift=st.complex_numbers(min_magnitude=6, max_magnitude=12, allow_nan=False))
def test_a_lasting_disagreement_is_given_in_to(shift: complex) -> None:
    known = PointFilter(POINTS, SIDE)
    for _ in range(60):
        known.carry(known.points, SIDE, sure=True)
        known.correct(POINTS, SIDE, 0.9)
    for _ in range(12):
        known.carry(known.points, SIDE, sure=True)
        known.correct(POINTS + shift, SIDE, 0.9)
    assert np.abs(known.points - POINTS - shift).max() < 2.0


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_one_euro_stills_a_trembling_point(fps: float) -> None:
    random, smooth = np.random.default_rng(1), OneEuro()
    shown = np.array([smooth(noisy(random, 0.3), 0.02, 1 / fps) for _ in range(300)])[60:]
    assert shown.real.std(axis=0).max() < 0.2


@given(speed=st.floats(0.1, 10))
def test_one_euro_is_never_far_behind(speed: float) -> None:
    """At a constant speed the lag is at most 1/(2π·slope) sides."""
    smooth, at = OneEuro(), POINTS
    for _ in range(200):
        at = at + speed * SIDE / 30
        shown = smooth(at, speed, 1 / 30)
    assert np.abs(shown - at).max() <= SIDE / (2 * np.pi * 40)


@given(dt=st.floats(1e-9, 1e3))
def test_one_euro_stays_between_where_it_was_and_where_it_goes(dt: float) -> None:
    smooth = OneEuro()
    smooth(POINTS, 0.0, dt)
    moved = (smooth(POINTS + 10, 0.0, dt) - POINTS).real
    assert np.all((moved >= 0) & (moved <= 10))

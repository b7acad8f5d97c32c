import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.pipeline.estimate import LEAST, Estimate

seconds = st.floats(0.0, 10.0)


def measured(*values: float, guess: float = 0.01) -> Estimate:
    estimate = Estimate(guess)
    for value in values:
        estimate.add(value)
    return estimate


def test_the_guess_holds_until_three_were_measured():
    assert measured(0.02, 0.02).mean == 0.01
    assert measured(0.02, 0.03, 0.02).mean == 0.02


def test_one_stall_does_not_move_it():
    calm = measured(*[0.01] * 50)
    stalled = measured(*[0.01] * 50, 5.0, *[0.01] * 3)
    assert stalled.mean == pytest.approx(calm.mean, rel=0.01)
    assert stalled.high < 0.015


def test_a_lasting_change_is_believed_within_three():
    assert measured(*[0.01] * 50, 0.02, 0.02, 0.02).mean == pytest.approx(0.02)


def test_what_became_quicker_is_followed():
    assert measured(*[0.02] * 50, *[0.01] * 80).mean == pytest.approx(0.01, rel=0.05)


def test_a_relaxed_mean_is_a_guess_again():
    """It was believed that the next measurement agreed with the last ones, of a load long past."""
    estimate = measured(*[0.04] * 50)
    estimate.relax(0.01, 1.0)
    estimate.add(0.02)
    assert estimate.mean == pytest.approx(0.01)
    estimate.add(0.02)
    estimate.add(0.02)
    assert estimate.mean == pytest.approx(0.02)


def test_scaling_and_relaxing():
    estimate = Estimate(0.01)
    estimate.scale(3)
    assert estimate.mean == pytest.approx(0.03)
    estimate.relax(0.01, 0.5)
    assert estimate.mean == pytest.approx(0.02)


@given(st.lists(seconds, min_size=3, max_size=60))
def test_the_mean_stays_within_what_was_measured(values: list[float]):
    estimate = measured(*values)
    assert max(min(values), LEAST) - 1e-12 <= estimate.mean <= max(*values, LEAST) + 1e-12
    assert estimate.high >= estimate.mean >= LEAST

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test

from train.common import statistics


def test_the_mean_of_a_constant_has_no_width() -> None:
    found = statistics.known(statistics.mean(torch.full((9,), 3.5)))
    assert (found.value, found.low, found.high, found.count) == (3.5, 3.5, 3.5, 9)


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(3).normal(20, 4, 139)
    found = statistics.known(statistics.mean(torch.from_numpy(values)))
    wanted = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.1)
    assert found == statistics.mean(torch.from_numpy(values))


def test_what_was_not_measured_is_left_out() -> None:
    found = statistics.known(statistics.mean(torch.tensor([1.0, torch.nan, 3.0])))
    assert (found.value, found.count) == (2, 2)
    assert statistics.mean(torch.tensor([torch.nan])) is None
    assert statistics.mean(None) is None
    with pytest.raises(ValueError, match="no face"):
        statistics.known(None)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_an_interval_of_the_mean_lies_within_the_values(values: list[float]) -> None:
    found = statistics.known(statistics.mean(torch.tensor(values, dtype=torch.float64)))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_a_statistic_of_faces() -> None:
    values = np.array([1.0, 2, 3, 4])
    found = statistics.known(statistics.of(lambda rows: float(values[rows].max()), 4))
    assert (found.value, found.high) == (4, 4)
    assert found.low < 4


def test_the_spread_of_groups() -> None:
    groups = [torch.tensor([20.0, 20, 20]), torch.tensor([23.0, 23]), torch.tensor([22.0, 22])]
    found = statistics.known(statistics.spread(groups))
    assert (found.value, found.low, found.high, found.count) == (3, 3, 3, 7)
    assert statistics.spread(groups[:1]) is None


def test_how_a_figure_is_written() -> None:
    assert f"{statistics.Figure(25.043, 24.2, 25.9, 139):.2f}" == "25.04 [24.20, 25.90]"


def test_the_contrast_is_scipys_permutation_test() -> None:
    random = np.random.default_rng(5)
    groups = [random.normal(mean, 1.0, 20) for mean in (0.0, 0.4, 0.6)]
    found = statistics.contrast([torch.from_numpy(group) for group in groups])
    wanted = permutation_test(
        groups, lambda *parts: np.ptp([part.mean() for part in parts]), n_resamples=4000, alternative="greater", rng=1
    )
    assert found.spread == pytest.approx(wanted.statistic)
    assert found.share == pytest.approx(wanted.pvalue, abs=0.03)
    assert found.chance == pytest.approx(np.median(wanted.null_distribution), rel=0.1)
    assert (found.text, statistics.Contrast(9.0, 1.0, 0.0).text) == (f"= {found.share:.3f}", "< 0.001")

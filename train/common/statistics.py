"""Figures with a 95 % bootstrap interval (percentiles of 1,000 seeded resamplings of the faces)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

ROUNDS, SEED = 1000, 0
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """A measured value, the bounds of its 95 % interval, and how many faces (or frames) stand behind it."""

    value: float
    low: float
    high: float
    count: int

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def draws(count: int, rounds: int = ROUNDS, seed: int = SEED) -> Indices:
    """Resamplings with replacement (rounds×count)."""
    return np.random.default_rng(seed).integers(0, count, (rounds, count))


def bounded(value: float, samples: NDArray[np.floating], count: int) -> Figure:
    """The value between the 2.5th and the 97.5th percentile of the samples."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return Figure(float(value), float(low), float(high), count)


def mean(values: Tensor | None) -> Figure | None:
    """The mean of one value per face; NaN ones (nothing to measure) are left out, None if that leaves nothing."""
    if values is None:
        return None
    known = values[~values.isnan()].double().numpy()
    return bounded(known.mean(), known[draws(len(known))].mean(1), len(known)) if len(known) else None


def known(figure: Figure | None) -> Figure:
    """The figure, where there must be one; ValueError for None."""
    if figure is None:
        raise ValueError("there is no face to measure")
    return figure


def of(statistic: Callable[[Indices], float], count: int) -> Figure | None:
    """A statistic of a set of faces (their positions), over all `count` of them; None if there are none."""
    if not count:
        return None
    return bounded(statistic(np.arange(count)), np.array([statistic(drawn) for drawn in draws(count)]), count)


def spread(groups: list[Tensor]) -> Figure | None:
    """Largest less smallest mean of the groups (N values each), resampled within each; None for fewer than two.

    A range of noisy means is too large on average, so the lower bound says more than the value.
    """
    if len(groups) < 2:
        return None
    means = np.array([group.mean().item() for group in groups])
    drawn = np.stack([group.double().numpy()[draws(len(group), seed=i)].mean(1) for i, group in enumerate(groups)])
    return bounded(np.ptp(means), np.ptp(drawn, axis=0), sum(len(group) for group in groups))


@dataclass(frozen=True)
class Contrast:
    """How far apart the means of some groups lie, and how far they would by chance."""

    spread: float
    """Largest less smallest mean."""
    chance: float
    """The same where the values are dealt to groups of the same sizes by lot: the median of `ROUNDS` draws."""
    share: float
    """The share of those draws that spread at least as far: the permutation test's p."""

    @property
    def text(self) -> str:
        """The share, no more exact than the draws can tell."""
        return f"< {1 / ROUNDS:g}" if self.share == 0 else f"= {self.share:.3f}"


def contrast(groups: Sequence[Tensor]) -> Contrast:
    """The groups' (two or more, N values each) contrast, by seeded permutations."""
    values = np.concatenate([group.double().numpy() for group in groups])
    ends = np.cumsum([len(group) for group in groups])[:-1]
    generator = np.random.default_rng(SEED)

    def spread_of(dealt: NDArray[np.float64]) -> float:
        return float(np.ptp([part.mean() for part in np.split(dealt, ends)]))

    found = spread_of(values)
    drawn = np.array([spread_of(generator.permutation(values)) for _ in range(ROUNDS)])
    return Contrast(found, float(np.median(drawn)), float((drawn >= found).mean()))

"""A running cost that one stall does not move and a lasting change does, within three measurements."""

from collections import deque
from collections.abc import Iterable

RECENT = 3
"""Measurements that must agree before a change is believed at once."""
LEAP = 1.25
"""How far they must all lie above the mean, in means (beside the usual scatter)."""
WEIGHT = 0.05
"""Of a new measurement, in the long run."""
FAR = 4.0
"""Deviations from the mean beyond which a measurement is a stall, and counts as no further away than that."""
LEAST = 1e-6
"""Seconds: nothing takes no time, and costs can be divided."""


class Estimate:
    """Seconds that something takes: mean and mean absolute deviation, exponentially weighted."""

    def __init__(self, mean: float) -> None:
        """`mean` is a guess, which holds until there are three measurements."""
        self.mean, self.deviation = max(mean, LEAST), 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._seen = 0

    @property
    def high(self) -> float:
        """What a slowish run takes."""
        return self.mean + 2 * self.deviation

    def add(self, value: float) -> None:
        """Takes one measurement (seconds, ≥ 0). The median of the last three counts: one stall is none."""
        value = max(value, LEAST)
        self._recent.append(value)
        self._seen += 1
        if self._seen < RECENT:
            return
        middle = _median(self._recent)
        if self._seen == RECENT:
            self.mean, self.deviation = middle, _median(abs(one - middle) for one in self._recent)
        elif min(self._recent) > LEAP * self.mean + 3 * self.deviation:
            self.mean = middle
        else:
            weight = max(WEIGHT, 1 / self._seen)
            far = FAR * max(self.deviation, 0.05 * self.mean)
            self.deviation += weight * (min(abs(value - self.mean), far) - self.deviation)
            self.mean += weight * min(middle - self.mean, far)

    def scale(self, factor: float) -> None:
        """What runs beside it became slower by this factor, and so, presumably, did this."""
        self.mean *= factor
        self.deviation *= factor

    def relax(self, value: float, weight: float) -> None:
        """While nothing is measured it drifts towards `value`, a guess again: no load long past is to hold for ever."""
        self.mean += weight * (value - self.mean)
        self.deviation -= weight * self.deviation
        self._recent.clear()
        self._seen = 0


def _median(values: Iterable[float]) -> float:
    return sorted(values)[RECENT // 2]

"""Steady points without lag: what optical flow carries, detections correct by just as much as they are worth.

Positions are complex numbers, x + iy.
"""

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.complex128]

DETECTOR_ERROR = 0.012
"""Standard deviation of a detector's point, as a fraction of the face's side, at score 1."""
FLOW_ERROR = 0.0003
"""Standard deviation that optical flow adds per picture on a still face, as a fraction of its side."""
FLOW_DRIFT = 0.15
"""What it adds besides, as a fraction of the distance moved."""

OUTLIER = 3.0
"""Deviations beyond which a detection is believed no further: one wild one hardly moves a face that flow holds."""


class PointFilter:
    """A Kalman filter (Kalman 1960) of five points with one common variance: flow predicts, detection measures.

    On a still face flow is exact, so the gain falls to a few per cent and the detector's jitter is averaged
    away; every pixel of motion makes flow less sure and the next detection weightier. The motion itself
    comes from flow and is never delayed. Should the detections disagree with the points in one direction
    for long, the filter is wrong about itself, and the disagreement is added to its variance.
    """

    def __init__(self, points: Positions, side: float) -> None:
        self.points = points
        self._variance = (DETECTOR_ERROR * side) ** 2
        self._bias = np.zeros_like(points)

    def carry(self, points: Positions, side: float, sure: bool) -> None:
        """Moves the points to where flow (sure) or a guess from the last velocity (not sure) saw them go."""
        moved = float(np.mean(np.abs(points - self.points)))
        error = np.hypot(FLOW_ERROR * side, FLOW_DRIFT * moved) if sure else 0.02 * side + 0.5 * moved
        self._variance += float(error) ** 2
        self.points = points

    def contradicts(self, measured: Positions, side: float, score: float) -> bool:
        """Whether a detection's points lie where, by what the filter knows, they cannot be."""
        return self._off(measured) > self._believed(side, score)

    def correct(self, measured: Positions, side: float, score: float) -> float:
        """Takes in a detection's points; gives the gain it was taken with, (0,1]."""
        noise = self._noise(side, score)
        innovation = measured - self.points
        innovation = innovation * min(1.0, self._believed(side, score) / max(self._off(measured), 1e-9))
        self._bias += 0.3 * (innovation - self._bias)
        # white noise of that variance would leave about 0.42 of its deviation in this average
        lasting = float(np.sqrt(np.mean(np.abs(self._bias) ** 2) / 2)) - 0.6 * np.sqrt(noise)
        self._variance += max(lasting, 0.0) ** 2
        gain = self._variance / (self._variance + noise)
        self.points = self.points + gain * innovation
        self._bias *= 1.0 - gain
        self._variance *= 1.0 - gain
        return float(gain)

    def _off(self, measured: Positions) -> float:
        return float(np.sqrt(np.mean(np.abs(measured - self.points) ** 2) / 2))

    def _believed(self, side: float, score: float) -> float:
        return OUTLIER * float(np.sqrt(self._variance + self._noise(side, score)))

    @staticmethod
    def _noise(side: float, score: float) -> float:
        return (DETECTOR_ERROR * side / max(score, 0.1)) ** 2


class OneEuro:
    """The 1€ filter (Casiez, Roussel and Vogel, CHI 2012) for positions whose speed is already known.

    The cutoff frequency is `least + slope · speed`: low for a still face, so that what trembles is smoothed,
    high for a moving one, which is then at most 1/(2π·slope) sides behind, however fast it is.

    least  Hz; slope  Hz per (side of the face per second)
    """

    def __init__(self, least: float = 1.5, slope: float = 40.0) -> None:
        self._least, self._slope = least, slope
        self._last: Positions | None = None

    def __call__(self, positions: Positions, speed: float, dt: float) -> Positions:
        """The smoothed positions; speed in sides per second, dt > 0 in seconds."""
        if self._last is None:
            self._last = positions
        ratio = 2 * np.pi * (self._least + self._slope * speed) * dt
        self._last = self._last + (positions - self._last) * (ratio / (ratio + 1.0))
        return self._last

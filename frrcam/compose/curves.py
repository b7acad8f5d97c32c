"""Smooth steps between two values, and the low-pass over time that steady things share."""

import numpy as np
from numpy.typing import NDArray


def smoothstep(value: float, steps: tuple[float, float]) -> float:
    """0 up to the first step, 1 from the second, and `cubic` between them."""
    low, high = steps
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def cubic(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """t²(3 − 2t): from 0 to 1 as t goes from 0 to 1, and level at both ends."""
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def gain_after(dt: float, seconds: float) -> float:
    """What a first-order low-pass of this time constant takes of a new value after `dt` seconds, [0,1)."""
    return float(-np.expm1(-dt / seconds))

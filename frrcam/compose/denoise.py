"""Reduce the noise of a lit picture over time, as far as it is lit, and not where something moves.

What is lit by two stops shows its noise four times as clearly. Each pixel of the brightness is a recursive average of
the frames before it. Its weight grows with the motion there (Dubois and Sabri, "Noise reduction in image sequences
using motion-compensated temporal filtering", IEEE Trans. Communications 1984). Motion is the difference, low-passed
and in units of the sensor's noise, between this frame and the average: so a moving hand is sharp and leaves no trail.
Colour is averaged at a quarter of the resolution, where its noise is small and its detail is not missed.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.curves import cubic, gain_after

Plane = NDArray[np.float32]
Levels = NDArray[np.uint8]

SECONDS = 0.2
"""Time constant of the average where nothing moves."""
STEP = 4
"""Motion and colour are seen at one over this of the resolution."""
QUIET, MOVING = 2.2, 5.0
"""Differences below the first multiple of the noise are stillness, above the second motion."""
LEAST_NOISE, MOST_NOISE = 0.25, 4.0
"""Bounds of the noise estimate, in levels at the low resolution."""
FADING = 0.5
"""What is left of a motion one frame later: the average stays quick until it has caught up."""
BAND = 120
"""Rows worked on at a time: they stay in the cache."""
SEARCHED = 1.2, 7, 21
"""Non-local means: strength in units of the noise, sides of the patch and of the window, in pixels."""
LARGE, QUICKER = 4_000_000, (5, 9)
"""Pixels above which the patch and the window are these: a photograph of 12 million would take a minute."""
BLOTCHES = 3
"""Scales, each half of the one before, at which noise is looked for: many a camera leaves it in blotches."""
SAME = 0.004
"""Changes of exposure below this share are not followed."""


class Denoiser:
    """Owned by one thread. `reset` where the next frame shows something else."""

    def __init__(self, *, still: bool = False) -> None:
        """`still`: there is one picture and time: its noise is reduced by what looks alike within it."""
        self._still = still
        self._seen: Levels | None = None
        self._clean = np.zeros((0, 0), np.float32)
        self._light: Plane | None = None
        self._small = np.zeros((0, 0), np.float32)
        self._colour: list[Plane] = []
        self._moved = np.zeros((0, 0), np.float32)
        self._noise = 1.0

    def reset(self) -> None:
        """Forget the frames before."""
        self._light = None

    def brightness(self, grey: Levels, half: Levels, share: Plane, dt: float) -> Plane:
        """The brightness (H×W float32, levels) with its noise reduced.

        grey   H×W uint8
        half   the same at half the size
        share  h×w in [0,1], at any resolution: how far to reduce noise there; 0 leaves it
        dt     seconds since the frame before

        The result is the denoiser's own buffer, valid until the next call.
        """
        if self._still:
            return self._within(grey, share)
        size = (max(grey.shape[1] // STEP, 1), max(grey.shape[0] // STEP, 1))
        small = np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_AREA), np.float32)
        if self._light is None or self._light.shape != grey.shape:
            self._light = grey.astype(np.float32)
            self._small, self._moved = small, np.ones(small.shape, np.float32)
            self._weight = np.ones(small.shape, np.float32)
            self._full, self._difference = np.empty_like(self._light), np.empty_like(self._light[:BAND])
            return self._light
        self._follow_exposure(small)
        moving = self._motion(small)
        still = gain_after(max(dt, 1e-3), SECONDS)
        weight = still + (1 - still) * moving
        weight = 1 - np.asarray(cv2.resize(share, size), np.float32) * (1 - weight)
        self._small += weight * (small - self._small)
        self._weight = weight
        cv2.resize(weight, grey.shape[::-1], self._full)
        for first in range(0, grey.shape[0], BAND):
            rows = np.s_[first : first + BAND]
            difference = self._difference[: grey[rows].shape[0]]
            cv2.subtract(grey[rows], self._light[rows], difference, dtype=cv2.CV_32F)
            cv2.accumulateProduct(difference, self._full[rows], self._light[rows])
        return self._light

    def _within(self, grey: Levels, share: Plane) -> Plane:
        """The brightness of one picture; shown several times, it is worked on once."""
        if self._seen is None or not np.array_equal(self._seen, grey):
            self._clean = _alike(grey)
            self._seen = grey.copy()
        full = np.asarray(cv2.resize(share, grey.shape[::-1]), np.float32)
        self._light = np.asarray(grey + full * (self._clean - grey), np.float32)
        return self._light

    def colour(self, planes: Sequence[Levels]) -> list[Plane]:
        """Planes of colour (h×w uint8) averaged at low resolution, and over time as `brightness` just was (float32)."""
        if self._still:
            return [_alike(plane) for plane in planes]
        size = self._small.shape[::-1]
        keep = float(self._weight.min()) < 1.0 and len(self._colour) == len(planes)
        smooth = []
        for index, plane in enumerate(planes):
            small = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
            small = np.asarray(cv2.blur(small, (3, 3)), np.float32)
            if keep and self._colour[index].shape == small.shape:
                small = self._colour[index] + self._weight * (small - self._colour[index])
            smooth.append(small)
        self._colour = smooth
        return [np.asarray(cv2.resize(one, planes[0].shape[::-1]), np.float32) for one in smooth]

    def _follow_exposure(self, small: Plane) -> None:
        """Scale the memory where the camera's own exposure changed: that is no motion."""
        assert self._light is not None
        before, now = self._small[::4, ::4], small[::4, ::4]
        ratio = float(np.median((now + 2) / (before + 2)))
        if SAME < abs(ratio - 1) < 0.5:
            self._small *= np.float32(ratio)
            self._light *= np.float32(ratio)

    def _motion(self, small: Plane) -> Plane:
        """Motion in [0,1] at low resolution."""
        difference = np.asarray(cv2.absdiff(small, self._small), np.float32)
        # half of a picture is nearly always still; the median of |N(0,1)| is 0.6745
        now = float(np.median(difference[::3, ::3])) / 0.6745
        self._noise += 0.1 * (min(max(now, LEAST_NOISE), MOST_NOISE) - self._noise)
        difference = np.asarray(cv2.blur(difference, (3, 3)), np.float32)
        bounds = QUIET * self._noise, MOVING * self._noise
        t = np.clip((difference - np.float32(bounds[0])) * np.float32(1 / (bounds[1] - bounds[0])), 0, 1)
        moving = np.asarray(cv2.dilate(cubic(t), np.ones((3, 3), np.uint8)), np.float32)
        np.maximum(moving, self._moved * np.float32(FADING), out=moving)
        self._moved = moving
        return moving


def noise_level(plane: Levels) -> float:
    """Deviation of the noise in levels, of a picture (H×W uint8), at the scale where it is strongest.

    Immerkær, "Fast noise variance estimation" (CVIU 1996), with a median in place of the mean: edges count less.
    """
    mask = np.array([(1, -2, 1), (-2, 4, -2), (1, -2, 1)], np.float32)
    level = 0.0
    for _ in range(BLOTCHES):
        if min(plane.shape) < 16:
            break
        response = np.abs(cv2.filter2D(plane, cv2.CV_32F, mask))
        level = max(level, float(np.median(response[1:-1:2, 1:-1:2])) / (6 * 0.6745))
        half = plane.shape[1] // 2, plane.shape[0] // 2
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)
    return level


def _alike(plane: Levels) -> Plane:
    """Non-local means (Buades, Coll and Morel, CVPR 2005) of one plane, as strong as its noise."""
    strength = SEARCHED[0] * noise_level(plane)
    sides = SEARCHED[1:] if plane.size <= LARGE else QUICKER
    return np.asarray(cv2.fastNlMeansDenoising(plane, None, strength, *sides), np.float32)

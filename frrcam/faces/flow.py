"""How a face moved from one picture to the next: sparse optical flow on a small grey patch around it.

Positions are complex numbers, x + iy, because a similarity is then z ↦ factor·z + shift.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Positions = NDArray[np.complex128]
Grey = NDArray[np.uint8]

PATCH = 128
"""Side in pixels that the patch around a face is brought to, about: motion is measured as finely on every face."""
MARGIN = 1.4
"""Side of the patch in sides of the face."""
GRID = 8
"""Points followed along each axis of the face, before those outside its oval are left out."""

_AXIS = (np.arange(GRID) + 0.5) / GRID * 2 - 1
_OVAL = np.array([x + 1j * y for x in _AXIS for y in _AXIS if abs(x + 1j * y) < 1.0])
_WINDOW = (11, 11)
_LEVELS = 3
_ROUND_TRIP = 0.6
"""Patch pixels by which a point may miss its origin on the way back (Kalal, Mikolajczyk and Matas, "Forward-backward
error", ICPR 2010)."""
_OUTLIER = 0.7
"""Patch pixels from the fitted motion at which a point's word counts for a quarter."""
_LEAST_TEXTURE = 1e-5
"""Least eigenvalue of the gradients around a point. It falls with the square of the contrast, so that of a dark room's
faces is tiny: what is refused here is a surface without any; points that err are found out by the way back."""
_LEAST_SHARE = 0.35
"""Share of the points that must agree on one motion."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of a picture in grey, area-averaged or enlarged to about `PATCH` pixels."""

    grey: Grey
    x: int
    y: int
    width: int
    height: int
    """The part in picture pixels."""

    @classmethod
    def around(cls, image: Image, centre: complex, side: float) -> Self | None:
        """The patch around a face of that side; clipped by the picture, None if too little of it is left."""
        reach = max(side * MARGIN / 2, 8.0)
        left, top = max(round(centre.real - reach), 0), max(round(centre.imag - reach), 0)
        right = min(round(centre.real + reach), image.shape[1])
        bottom = min(round(centre.imag + reach), image.shape[0])
        step = max(round(2 * reach / PATCH), 1)
        width, height = (right - left) // step * step, (bottom - top) // step * step
        if min(width, height) < max(reach / 2, 8):
            return None
        return cls._cut(image, left, top, width, height, _enlargement(width, height) / step)

    def again(self, image: Image, ahead: complex) -> Self:
        """The same part of a later picture, moved ahead by whole pixels as far as it stays inside."""
        x = min(max(self.x + round(ahead.real), 0), image.shape[1] - self.width)
        y = min(max(self.y + round(ahead.imag), 0), image.shape[0] - self.height)
        return self._cut(image, x, y, self.width, self.height, 1 / self.ratio)

    @classmethod
    def _cut(cls, image: Image, x: int, y: int, width: int, height: int, scale: float) -> Self:
        grey = cv2.cvtColor(image[y : y + height, x : x + width], cv2.COLOR_BGR2GRAY)
        if scale != 1:
            size = round(width * scale), round(height * scale)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return cls(np.asarray(grey, np.uint8), x, y, width, height)

    @property
    def ratio(self) -> float:
        """Picture pixels per patch pixel."""
        return self.width / int(self.grey.shape[1])

    def inside(self, positions: Positions) -> Positions:
        """Picture positions in patch pixels (pixel centres at whole numbers in both)."""
        corner = complex(self.x - 0.5, self.y - 0.5)
        return (positions - corner) / self.ratio - (0.5 + 0.5j)

    def outside(self, positions: Positions) -> Positions:
        """Patch positions in picture pixels."""
        corner = complex(self.x - 0.5, self.y - 0.5)
        return (positions + (0.5 + 0.5j)) * self.ratio + corner

    def fits(self, centre: complex, side: float) -> bool:
        """Whether the face still lies well within this patch, at about the size it was cut for."""
        middle = complex(self.x + self.width / 2, self.y + self.height / 2)
        return abs(centre - middle) < 0.12 * side and 0.85 < max(self.width, self.height) / (side * MARGIN) < 1.18


@dataclass(frozen=True, slots=True)
class Motion:
    """A similarity in picture pixels, z ↦ factor·z + shift, and the share of points that agree on it."""

    factor: complex
    shift: complex
    share: float

    def __call__(self, positions: Positions) -> Positions:
        return self.factor * positions + self.shift


def motion(before: Patch, after: Patch, box: Positions, ahead: complex) -> Motion | None:
    """How the face in `box` (two corners, picture pixels) moved between two patches of one size.

    Pyramidal Lucas-Kanade (Bouguet 2001) from a grid on the face, there and back, started at the foreseen
    displacement `ahead`; then a similarity by iteratively reweighted least squares, so that a hand or a
    piece of background that moves otherwise is outvoted. None if too few points agree: a cut, a blur, an
    occlusion, a face without texture.
    """
    grid = _grid(box)
    start = before.inside(grid)
    height, width = before.grey.shape
    kept = (start.real > 1) & (start.real < width - 2) & (start.imag > 1) & (start.imag < height - 2)
    if kept.sum() < 12:
        return None
    grid, start = grid[kept], start[kept]
    later = _relit(after.grey, before.grey)
    reached, found = _lucas_kanade(before.grey, later, start, after.inside(grid + ahead))
    returned, found_back = _lucas_kanade(later, before.grey, reached, before.inside(after.outside(reached) - ahead))
    good = found & found_back & (np.abs(returned - start) < _ROUND_TRIP)
    if good.sum() < max(8, _LEAST_SHARE * len(start)):
        return None
    fit = _robust_similarity(grid[good], after.outside(reached[good]), _OUTLIER * before.ratio)
    agreeing = fit.share * good.sum() / len(start)
    turned = abs(np.angle(fit.factor)) > 0.4 or not 0.75 < abs(fit.factor) < 1.33
    return None if turned or agreeing < _LEAST_SHARE else Motion(fit.factor, fit.shift, float(agreeing))


def _enlargement(width: int, height: int) -> int:
    return max(min(PATCH // max(width, height), 4), 1)


def _grid(box: Positions) -> Positions:
    centre, half = (box[0] + box[1]) / 2, 0.45 * (box[1] - box[0])
    return np.asarray(centre + _OVAL.real * half.real + 1j * _OVAL.imag * half.imag, np.complex128)


def _relit(grey: Grey, like: Grey) -> Grey:
    """The patch with the other's mean and contrast: Lucas-Kanade takes a change of exposure for motion."""
    (mean, spread), (wanted_mean, wanted_spread) = _mean_and_spread(grey), _mean_and_spread(like)
    if abs(mean - wanted_mean) < 1.0 and abs(spread - wanted_spread) < 1.0:
        return grey
    gain = wanted_spread / max(spread, 1.0)
    levels = np.clip((np.arange(256) - mean) * gain + wanted_mean, 0, 255)
    return np.asarray(cv2.LUT(grey, levels.round().astype(np.uint8)), np.uint8)


def _mean_and_spread(grey: Grey) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(grey)
    return float(mean[0, 0]), float(spread[0, 0])


def _lucas_kanade(before: Grey, after: Grey, start: Positions, guess: Positions) -> tuple[Positions, NDArray[np.bool_]]:
    points, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        pairs(start),
        pairs(guess),
        winSize=_WINDOW,
        maxLevel=_LEVELS,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.01),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=_LEAST_TEXTURE,
    )
    return np.ascontiguousarray(points, np.float32).view(np.complex64).ravel().astype(np.complex128), status.ravel() > 0


def pairs(positions: Positions) -> NDArray[np.float32]:
    """Complex positions as rows of x and y."""
    return positions.astype(np.complex64).view(np.float32).reshape(-1, 2)


def _robust_similarity(source: Positions, target: Positions, outlier: float) -> Motion:
    """Least squares over z ↦ a·z + b, reweighted by 1/(1 + (r/outlier)²)² from the median displacement on."""
    displacement = target - source
    middle = len(source) // 2
    residual = np.abs(displacement - complex(np.sort(displacement.real)[middle], np.sort(displacement.imag)[middle]))
    for slack in (4.0, 2.0, 1.0):
        weight = (1.0 + (residual / (slack * outlier)) ** 2) ** -2
        weight /= weight.sum()
        source_centre, target_centre = weight @ source, weight @ target
        spread = source - source_centre
        factor = (weight * spread.conj()) @ (target - target_centre) / max((weight * np.abs(spread) ** 2).sum(), 1e-9)
        shift = target_centre - factor * source_centre
        residual = np.abs(factor * source + shift - target)
    return Motion(complex(factor), complex(shift), float(np.mean(residual < outlier)))

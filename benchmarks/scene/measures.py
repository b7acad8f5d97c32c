"""What is measured of pictures: distance from the truth, evenness of the light, noise, flicker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.scene.light import GAMMA, Light
from benchmarks.scene.regions import Box, Mask
from frrcam.frame import LUMA, Image

Plane = NDArray[np.float32]

IDENTICAL = 100.0
"""dB that stand for no difference at all; larger values are not distinguished."""
CELLS = 12
"""Cells across and down a face box over which light is averaged: coarse, so that detail and noise do not count."""
DARKEST = 1e-4
"""Linear light added to both sides of a gain, so that black cells do not decide it."""
BLOCK = 8
"""Side in pixels of the blocks whose noise is measured."""
SMOOTH = 4.0
"""Standard deviation in pixels of the blur that noise is measured against: coarser blotches count as light."""
FLAT = 1.2
"""Levels: a block whose deviation in the clean picture is smaller is flat."""
LIT = 1.5
"""Linear gain from which a block counts as lit."""
ENOUGH = 24
"""Blocks below which no noise is reported."""
USABLE = (6.0, 245.0)
"""Levels of the input between which noise is not clipped."""


def psnr(error: float) -> float:
    """dB of a mean squared error in levels²."""
    return min(IDENTICAL, 10 * float(np.log10(255**2 / error))) if error > 0 else IDENTICAL


def squared_error(one: Image, other: Image) -> Plane:
    """Of each pixel, the mean over the channels, levels²; H×W."""
    difference = cv2.absdiff(one, other).astype(np.float32)
    return cast(Plane, cv2.transform(difference * difference, np.full((1, 3), 1 / 3, np.float32)))


def face_gain(before: Light, after: Light, box: Box) -> tuple[float, NDArray[np.float64]]:
    """Gain of a face's light between two planes of luminance, H×W: of its mean, and of its cells (`CELLS`).

    Cells are those of the ellipse inside the box. A box outside the picture has a gain of 1 and no cells.
    """
    height, width = before.shape
    x1, y1, x2, y2 = (round(side) for side in box)
    area = np.s_[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
    if before[area].size == 0:
        return 1.0, np.empty(0)
    cells = [cv2.resize(plane[area], (CELLS, CELLS), interpolation=cv2.INTER_AREA) for plane in (before, after)]
    across = (np.arange(CELLS) + 0.5) / CELLS * 2 - 1
    inside = across[:, None] ** 2 + across**2 <= 1
    dark, lit = (cell[inside].astype(np.float64) + DARKEST for cell in cells)
    return float(lit.mean() / dark.mean()), lit / dark


def spread(gains: NDArray[np.float64]) -> float:
    """95th by 5th percentile: 1 is even."""
    low, high = np.percentile(gains, (5, 95))
    return float(high / low)


def noise_variance(image: Image) -> Plane:
    """Of each block, the variance in levels² of what is finer than `SMOOTH`, mean of the channels."""
    picture = image.astype(np.float32)
    fine = picture - cv2.GaussianBlur(picture, (0, 0), SMOOTH)
    return _blocks(cast(Plane, cv2.transform(fine * fine, np.full((1, 3), 1 / 3, np.float32))))


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of flat blocks, before and after."""

    before: float
    """Levels."""
    after: float
    gain: float
    """Of the blocks' linear light."""


def noise(
    images: tuple[Image, Image, Image], lights: tuple[Light, Light], places: Mapping[str, Mask]
) -> dict[str, Noise]:
    """The noise of each place where the clean picture is flat; a place with few such blocks is left out.

    images: clean, before and after; lights: luminance before and after, H×W; places: parts of the picture.
    Medians over the blocks that are lit (`LIT`), and over all flat ones where few are.
    """
    clean, before, after = (noise_variance(image) for image in images)
    level = _blocks(cast(Plane, cv2.transform(images[1].astype(np.float32), LUMA[None])))
    usable = (clean < FLAT**2) & (level > USABLE[0]) & (level < USABLE[1])
    gain = (_blocks(lights[1]) + DARKEST) / (_blocks(lights[0]) + DARKEST)
    found = {}
    for name, place in places.items():
        flat = usable & (_blocks(place.astype(np.float32)) == 1)
        lit = flat & (gain >= LIT)
        chosen = lit if lit.sum() >= ENOUGH else flat
        if chosen.sum() >= ENOUGH:
            dark, bright = (float(np.sqrt(np.median(variance[chosen]))) for variance in (before, after))
            found[name] = Noise(dark, bright, float(np.median(gain[chosen])))
    return found


def by_gain(levels: float, gain: float) -> float:
    """Levels of noise after a linear gain, as they would be without it."""
    return float(levels / gain ** (1 / GAMMA))


class Flicker:
    """Each pixel's deviation over time, divided by its mean, of pictures of a still scene."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: NDArray[np.float64] | None = None
        self._squares: NDArray[np.float64] | None = None

    def add(self, image: Image) -> None:
        """One more picture, of the same size."""
        plane = cv2.transform(image.astype(np.float32), LUMA[None]).astype(np.float64)
        if self._sum is None or self._squares is None:
            self._sum, self._squares = np.zeros_like(plane), np.zeros_like(plane)
        self._count += 1
        self._sum += plane
        self._squares += plane * plane

    def share(self, region: Mask, usable: Mask | None = None) -> float:
        """The mean over the region's pixels, of luma; NaN without pixels or with fewer than two pictures.

        `usable`: pixels to which the region is confined.
        """
        where = region if usable is None else region & usable
        if self._sum is None or self._squares is None or self._count < 2 or not where.any():
            return float("nan")
        mean = self._sum[where] / self._count
        variance = np.maximum(self._squares[where] / self._count - mean * mean, 0) * self._count / (self._count - 1)
        return float(np.mean(np.sqrt(variance) / np.maximum(mean, 1)))

    def bright(self, level: float) -> Mask:
        """Pixels whose mean luma is above a level, H×W. Needs a picture."""
        assert self._sum is not None, "no picture was added"
        return np.asarray(self._sum / self._count > level)


def mean_within(plane: Plane, region: Mask) -> float:
    """The mean over a region; NaN if it is empty."""
    return float(plane[region].mean()) if region.any() else float("nan")


def percentile(values: Sequence[float], share: float) -> float:
    """NaN of no values."""
    return float(np.percentile(values, share)) if values else float("nan")


def _blocks(plane: Plane) -> Plane:
    """The mean of each whole block, from the top left."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    whole = plane[: rows * BLOCK, : columns * BLOCK]
    return np.asarray(whole.reshape(rows, BLOCK, columns, BLOCK).mean((1, 3)), np.float32)

"""How much of a picture's finest detail a restored face keeps.

A change lives on the crop's pixels, and blending interpolates it. Of what the picture holds finer than that, or between
those pixels, a change that is merely added takes nothing away: half of the noise that the network has removed stays,
and most of it where the face is larger than the crop. So the blend has to know where fine detail was taken for noise.
Crop and restored face say it, without any network more: the restored detail is regressed on the crop's own over a small
window, as in a guided filter (He, Sun and Tang, "Guided image filtering", PAMI 2013, Eq. 5). The coefficient is near 1
where detail is left, near 0 where it is noise, and in between it is raised to a power, for what is finer still holds
more noise and less face.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Plane = NDArray[np.float32]
Levels = NDArray[np.uint8]

WINDOW = 11
"""Side in crop pixels of what detail is compared over; every other pixel of it is looked at."""
POWER = 2
"""Of the coefficient: what is half noise at the crop's scale is mostly noise between its pixels."""
LEAST = 1.0
"""Variance of the Laplacian (levels²) below which there is no detail to speak of, and none is taken away."""
LIGHT = 8
"""The light that a face is given is read from the crop shrunk by this factor."""
MOST_LIGHT = 2.0
"""The largest factor by which light multiplies detail."""
COARSE = 42
"""Cells along a side: what is coarser is light, what is finer is detail."""
SPREAD = 1.5
"""Deviation in cells of the blur over them."""


def kept(crop: Image, change: NDArray[np.float32]) -> Plane:
    """What is to become of the picture's finest detail (H×W, a factor in [0, `MOST_LIGHT`]), by place in the crop.

    crop    H×W×3 uint8 BGR: the aligned face, or a part of it
    change  H×W×3 float32 BGR, in levels: restored − crop

    1 leaves it, 0 removes it. Where the face is lit, its detail is lit along: then the factor is above 1.
    """
    before = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
    after = np.asarray(cv2.add(before, cv2.cvtColor(change, cv2.COLOR_BGR2GRAY), dtype=cv2.CV_8U), np.uint8)
    fine, restored = _finest(before), _finest(after)
    light = _light(before, after, fine.shape)
    coefficient = (_mean(fine * restored) + np.float32(LEAST)) / (_mean(fine * fine) + np.float32(LEAST))
    share = np.clip(coefficient / light, 0.0, 1.0)
    factor = np.asarray(light * share**POWER, np.float32)
    return np.asarray(cv2.resize(factor, before.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def in_light(restored: NDArray[np.float32], lit: Image, mask: Plane) -> NDArray[np.float32]:
    """The detail of a restored face in the light that the picture has been given: the change (S×S×3 levels) to `lit`.

    restored  S×S×3 float32 BGR, levels, in whatever light the network thinks right
    lit       S×S×3 uint8 BGR: the crop of the lit picture
    mask      S×S in [0,1]: the face

    Light is what is coarser than a `COARSE`th of the side. The restored face is multiplied by the ratio of both lights,
    so its contrast is that of its new light, and the change has no coarse part.
    """
    side = lit.shape[0]
    weight = np.asarray(cv2.resize(mask, (COARSE, COARSE), interpolation=cv2.INTER_AREA), np.float32)
    weight = weight[..., None] + np.float32(1e-3)
    coarse = []
    for picture in (restored, lit):
        means = np.asarray(cv2.resize(picture, (COARSE, COARSE), interpolation=cv2.INTER_AREA), np.float32)
        coarse.append(np.asarray(cv2.GaussianBlur((np.maximum(means, 0) + 4) * weight, (0, 0), SPREAD), np.float32))
    ratio = np.asarray(cv2.resize(coarse[1] / coarse[0], (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    scaled = (restored + np.float32(4)) * ratio - np.float32(4)
    return np.asarray(scaled - lit, np.float32)


def _finest(plane: Levels) -> Plane:
    """The Laplacian at every other pixel."""
    return np.asarray(cv2.Laplacian(plane, cv2.CV_16S)[::2, ::2], np.float32)


def _mean(plane: Plane) -> Plane:
    side = WINDOW // 2
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)


def _light(before: Levels, after: Levels, shape: tuple[int, ...]) -> Plane:
    """Restored over crop in what is coarse, enlarged to `shape`."""
    height, width = before.shape
    cells = max(width // LIGHT, 1), max(height // LIGHT, 1)
    coarse, lit = (np.asarray(cv2.resize(p, cells, interpolation=cv2.INTER_AREA), np.float32) for p in (before, after))
    ratio = np.clip((lit + 4) / (coarse + 4), 1 / MOST_LIGHT, MOST_LIGHT)
    return np.asarray(cv2.resize(ratio, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)

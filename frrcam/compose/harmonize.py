"""Making a restored face sit in its surroundings, which keep the light and the colour that they have.

A cast taken off the face alone leaves a mask of another colour on the neck: the person looks made up. Image
composition calls the remedy harmonization. Here only the change's coarse part is touched, light and colour apart;
what is finer, which is restoration proper, stays as it is.
"""

import cv2
import numpy as np

from frrcam.compose.blend import Change, Mask
from frrcam.frame import LUMA, Image

RAMP = 1 / 8
"""Width of the ramp from the mask's edge inwards over which light and colour come up, as a fraction of the side."""

LIGHT_LIMIT, COLOUR_LIMIT = 70.0, 32.0
"""Levels towards which the mean change of a face's light, and of its colour (norm over B, G, R), is bent."""

CELL, LEAST_CELLS = 8, 24
"""Pixels of the crop in one cell of the coarse part, and cells along a side at the least."""

COLOURLESS, COLOURED = 1.0, 3.0
"""Mean spread of B, G and R over a crop, in levels, up to which it is grey, and from which it has colours."""


def harmonize(change: Change, mask: Mask, crop: Image) -> Change:
    """The change (S×S×3 float32 BGR, levels) of a face (mask S×S in [0,1]) made to fit what surrounds the face.

    Its coarse part comes up over `RAMP` from the mask's edge inwards, and its mean over the face is bent to
    limit · tanh(mean / limit): a small correction is kept whole, a large one comes as far as looks natural.
    Where the crop (S×S×3 uint8 BGR) is grey the change is: a monochrome camera's face gets no colour of its own.
    """
    side = mask.shape[0]
    if (share := _coloured(crop)) < 1.0:
        mix = share * np.eye(3) + (1.0 - share) * np.tile(LUMA, (3, 1))
        change = np.asarray(cv2.transform(change, mix), np.float32)
    cells = max(round(side / CELL), LEAST_CELLS)
    weight = np.asarray(cv2.resize(mask, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
    total = float(weight.sum())
    if total <= 0.0:
        return change
    coarse = _coarse(change, weight)
    light = coarse @ LUMA
    colour = coarse - light[..., None]
    mean_light = abs(float((light * weight).sum())) / total
    mean_colour = float(np.linalg.norm(np.tensordot(weight, colour, axes=2))) / total
    fitting = (light * _bend(mean_light, LIGHT_LIMIT))[..., None] + colour * _bend(mean_colour, COLOUR_LIMIT)

    reach = 2 * max(round(cells * RAMP / 2), 1) + 1
    inside = cv2.blur(cv2.erode(weight, np.ones((reach, reach), np.uint8)), (reach, reach))
    correction = np.asarray(fitting * inside[..., None] - coarse, np.float32)
    return change + np.asarray(cv2.resize(correction, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _coloured(crop: Image) -> float:
    """0 for a grey crop, 1 for one in colours."""
    blue, green, red = cv2.split(np.ascontiguousarray(crop[::4, ::4]))
    spread = float(np.mean(cv2.max(cv2.max(blue, green), red) - cv2.min(cv2.min(blue, green), red)))
    return min(max((spread - COLOURLESS) / (COLOURED - COLOURLESS), 0.0), 1.0)


def _coarse(change: Change, weight: Mask) -> Change:
    """The change in cells, averaged over the face only: what lies beyond the mask has no say at its edge."""
    cells = weight.shape[0]
    means = np.asarray(cv2.resize(change, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
    spread = cv2.GaussianBlur(weight, (0, 0), 1.0)
    weighted = np.asarray(cv2.GaussianBlur(means * weight[..., None], (0, 0), 1.0), np.float32)
    return np.asarray(weighted / np.maximum(spread, 1e-3)[..., None], np.float32)


def _bend(size: float, limit: float) -> float:
    """The factor that takes a size (levels, ≥ 0) to limit · tanh(size / limit)."""
    return limit * float(np.tanh(size / limit)) / size if size > 1e-3 else 1.0

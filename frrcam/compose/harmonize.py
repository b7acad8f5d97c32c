"""Making a restored face sit in its surroundings, which keep the light and the colour that they have.

A cast taken off the face alone leaves a mask of another colour on the neck: the person looks made up. Image
composition calls the remedy harmonization. Here only the change's coarse part is touched, light and colour apart;
what is finer, which is restoration proper, stays as it is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.blend import Change, Mask
from frrcam.frame import LUMA, Image

Levels = NDArray[np.uint8]

RAMP = 1 / 8
"""Width of the ramp from the mask's edge inwards over which light and colour come up, as a fraction of the side."""

LIGHT_LIMIT, COLOUR_LIMIT = 70.0, 32.0
"""Levels towards which the mean change of a face's light, and of its colour (norm over B, G, R), is bent."""

CELLS = 42
"""Cells of the coarse part along a side, whatever the crop's: a rung's change of size is not to show."""

COLOURLESS, COLOURED = 1.0, 3.0
"""Mean spread of B, G and R over a crop, in levels, up to which it is grey, and from which it has colours."""

SAMPLED = 4
"""Pixels of the crop from one that its colours are judged by to the next."""

BLOWN, WHITE = 215.0, 250.0
"""Levels of a pixel's darkest channel from which it counts as overexposed, and from which wholly so."""


def harmonize(change: Change, mask: Mask, crop: Image) -> Change:
    """The change (S×S×3 float32 BGR, levels) of a face (mask S×S in [0,1]) made to fit what surrounds the face.

    Its coarse part comes up over `RAMP` from the mask's edge inwards, and its mean over the face is bent to
    limit · tanh(mean / limit): a small correction is kept whole, a large one comes as far as looks natural.
    Where the crop (S×S×3 uint8 BGR) is grey the change is: a monochrome camera's face gets no colour of its own.
    Where it is overexposed nothing is known of the skin, and what would be taken from the light would leave grey: the
    highlight stays the camera's.
    """
    side = mask.shape[0]
    channels = cv2.split(np.ascontiguousarray(crop[::SAMPLED, ::SAMPLED]))
    lowest, highest = (np.asarray(pick(pick(*channels[:2]), channels[2]), np.uint8) for pick in (cv2.min, cv2.max))
    if (share := _coloured(lowest, highest)) < 1.0:
        mix = share * np.eye(3) + (1.0 - share) * np.tile(LUMA, (3, 1))
        change = np.asarray(cv2.transform(change, mix), np.float32)
    weight = np.asarray(cv2.resize(mask, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32)
    total = float(weight.sum())
    if total <= 0.0:
        return change
    coarse = _coarse(change, weight)
    light = coarse @ LUMA
    colour = coarse - light[..., None]
    mean_light = abs(float((light * weight).sum())) / total
    mean_colour = float(np.linalg.norm(np.tensordot(weight, colour, axes=2))) / total
    fitting = (light * _bend(mean_light, LIGHT_LIMIT))[..., None] + colour * _bend(mean_colour, COLOUR_LIMIT)

    reach = 2 * round(CELLS * RAMP / 2) + 1
    inside = cv2.blur(cv2.erode(weight, np.ones((reach, reach), np.uint8)), (reach, reach))
    known = inside * (1.0 - _blown(lowest))
    correction = np.asarray(fitting * known[..., None] - coarse, np.float32)
    return change + np.asarray(cv2.resize(correction, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _coloured(lowest: Levels, highest: Levels) -> float:
    """0 for a grey crop, 1 for one in colours."""
    spread = float(np.mean(highest - lowest))
    return min(max((spread - COLOURLESS) / (COLOURED - COLOURLESS), 0.0), 1.0)


def _blown(lowest: Levels) -> Mask:
    """How far each cell is overexposed, in [0,1]."""
    share = np.clip((lowest.astype(np.float32) - BLOWN) / (WHITE - BLOWN), 0.0, 1.0)
    means = cv2.resize(share, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(means, (0, 0), 1.0), np.float32)


def _coarse(change: Change, weight: Mask) -> Change:
    """The change in cells, averaged over the face only: what lies beyond the mask has no say at its edge."""
    means = np.asarray(cv2.resize(change, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32)
    spread = cv2.GaussianBlur(weight, (0, 0), 1.0)
    weighted = np.asarray(cv2.GaussianBlur(means * weight[..., None], (0, 0), 1.0), np.float32)
    return np.asarray(weighted / np.maximum(spread, 1e-3)[..., None], np.float32)


def _bend(size: float, limit: float) -> float:
    """The factor that takes a size (levels, ≥ 0) to limit · tanh(size / limit)."""
    return limit * float(np.tanh(size / limit)) / size if size > 1e-3 else 1.0

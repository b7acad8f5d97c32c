"""Keep the tone of a picture that has one tone only: grey, sepia, infrared.

The network was trained on colours and paints skin on a grey face. In a picture of one tone, colour is a function of
brightness. So the change to such a face is taken in brightness, and follows that function.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Change = NDArray[np.float32]

CELLS = 28
"""Colours are judged by this number of means along a side: what a codec does to single pixels is not a colour."""
CLIPPED = 225
"""Means with a channel above this are overexposed, and show no tone."""
TONED, COLOURED = 0.025, 0.06
"""Deviation of the colours from one tone, as a share of the mean brightness: up to the first a picture has one tone
only, from the second it is in colours."""


def coloured(crop: Image) -> float:
    """0 for a crop (S×S×3 BGR) of one tone, 1 for one in colours."""
    return _judged(crop)[0]


def in_tone(change: Change, crop: Image) -> Change:
    """A change (S×S×3 BGR, levels) that leaves a crop (S×S×3 BGR) of one tone in its tone; else the change itself."""
    share, slopes = _judged(crop)
    if share >= 1.0:
        return change
    # luma of a change along the tone is the change of brightness itself
    luma = np.asarray(cv2.cvtColor(change, cv2.COLOR_BGR2GRAY), np.float32)
    blue, red = slopes
    green = -(0.114 * blue + 0.299 * red) / 0.587
    toned = luma[..., None] * np.array((1 + blue, 1 + green, 1 + red), np.float32)
    return np.asarray(toned + np.float32(share) * (change - toned), np.float32)


def _judged(crop: Image) -> tuple[float, tuple[float, float]]:
    """How coloured it is, and how much B and R rise above luma with each level of luma."""
    cells = cv2.resize(crop, (CELLS, CELLS), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    whole = cells.max(axis=1) < CLIPPED
    few = np.asarray(cells[whole] if np.count_nonzero(whole) > CELLS else cells, np.float32)
    luma = few @ np.array((0.114, 0.587, 0.299), np.float32)
    brightness = luma - luma.mean()
    spread = float(brightness @ brightness) + 1e-3
    left, slopes = 0.0, []
    for channel in (0, 2):
        difference = few[:, channel] - luma
        slope = float(brightness @ difference) / spread
        # tones bend with brightness: a parabola too
        curved = brightness**2 - float((brightness**2).mean())
        curved -= brightness * (float(brightness @ curved) / spread)
        bend = float(curved @ difference) / (float(curved @ curved) + 1e-3)
        rest = difference - difference.mean() - slope * brightness - bend * curved
        left += float((rest**2).mean())
        slopes.append(slope)
    deviation = np.sqrt(left) / max(float(luma.mean()), 8.0)
    share = float(np.clip((deviation - TONED) / (COLOURED - TONED), 0, 1))
    return share, (slopes[0], slopes[1])

"""A picture of one tone (grey, sepia, infrared, cyanotype) stays in it: its colour is a function of its brightness."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Curve = NDArray[np.float32]
"""256×3: what B, G and R have above or below each level of brightness."""

SIDE = 256
"""Pixels: the picture is judged at most this large, for what a codec does to single pixels is no colour."""
ONE_TONE, FEW_AWAY = 2.5, 8.0
"""Levels: a picture has one tone if its colours differ by less than the first from their mean at each brightness (root
mean square), and all but one in a hundred by less than the second."""
BRIGHT = 80.0
"""Mean brightness in levels below which these limits shrink with it."""
FEWEST = 8
"""Pixels of a level of brightness from which on their mean counts."""


def in_tone(before: Image, after: Image) -> Image:
    """`after` (H×W×3) in the tone of `before`, if that is in one tone, else as it is.

    Each pixel keeps its distance from the tone, so that one whose brightness did not change keeps its bits.
    """
    curve = tone_of(before)
    if curve is None:
        return after
    result = after.copy()
    for top in range(0, len(before), SIDE):  # bands: floats of a whole picture take memory
        rows = np.s_[top : top + SIDE]
        old, new = _brightness(before[rows]), _brightness(after[rows])
        moved = (new - old)[..., None] + _at(curve, new) - _at(curve, old)
        result[rows] = np.clip(before[rows] + np.rint(moved), 0, 255)
    return result


def tone_of(image: Image) -> Curve | None:
    """The tone of a picture (H×W×3 BGR), None for one in colours."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    brightness = _brightness(pixels)
    levels = np.rint(brightness).astype(int)
    away = pixels - brightness[:, None]
    counts = np.bincount(levels, minlength=256)
    known = np.flatnonzero(counts >= FEWEST)
    if not len(known):
        return None
    means = [np.bincount(levels, away[:, channel], 256)[known] / counts[known] for channel in range(3)]
    curve = np.stack([np.interp(np.arange(256), known, mean) for mean in means], axis=1).astype(np.float32)
    curve = np.asarray(cv2.blur(curve, (1, 9), borderType=cv2.BORDER_REPLICATE), np.float32)
    # beyond the picture's own brightness the tone is in proportion, and black has none
    for end, levels_beyond in ((known[0], np.arange(known[0])), (known[-1], np.arange(known[-1] + 1, 256))):
        curve[levels_beyond] = curve[end] * (levels_beyond[:, None] / np.float32(max(end, 1)))
    left = np.abs(away - _at(curve, brightness)).max(axis=1)
    light = min(float(brightness.mean()) / BRIGHT, 1.0)  # in the dark all colours are near each other
    if np.sqrt(np.mean(left**2)) >= light * ONE_TONE or np.percentile(left, 99) >= light * FEW_AWAY:
        return None
    return curve


def _brightness(pixels: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """BT.601's luma of …×3 BGR."""
    return np.asarray(pixels.astype(np.float32) @ np.array((0.114, 0.587, 0.299), np.float32), np.float32)


def _at(curve: Curve, brightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """The curve between its levels."""
    low = np.clip(np.floor(brightness), 0, 254).astype(int)
    share = (brightness - low)[..., None]
    return np.asarray(curve[low] * (1 - share) + curve[low + 1] * share, np.float32)

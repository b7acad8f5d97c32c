"""Compose: put the restored face back, and touch nothing else.

The change (restored − crop) is weighted in aligned space, where the network's mask lives, and then one
premultiplied array is warped into the face's part of the picture. Premultiplied means that no halo of
half-weighted colours can form at the mask's edge, and that a weight of zero leaves a pixel bit for bit.
The change is added where the picture's own finest detail is to stay, and covers it where that is noise.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.curves import cubic, smoothstep
from frrcam.compose.detail import kept
from frrcam.faces.alignment import Affine, scale
from frrcam.frame import Image

Change = NDArray[np.float32]
Mask = NDArray[np.float32]

FEATHER = 1 / 42
"""Half the width of the mask's soft edge, as a fraction of the crop's side: 8 px at 336."""

BORDER = 1 / 14
"""The crop's outermost part, as a fraction of its side, in which the weight falls to zero: no square ever shows."""

BAND = 64
"""Rows of the picture that are composed at a time."""

UNTOUCHED, SURE = 0.4, 0.6
"""Below the first probability of every distortion a face is left alone; above the second it is restored in full."""


def effect(distortion: NDArray[np.float32]) -> float:
    """The classifier's word as a factor in [0,1]: 0 where nothing is wrong with the face, so that it is left alone.

    `distortion` holds the probabilities of noise, blur and relight (3, [0,1]). The largest of them is taken
    through a smooth step from `UNTOUCHED` to `SURE`; what is not a number counts as nothing wrong.
    """
    worst = float(np.max(np.nan_to_num(distortion, nan=0.0)))
    return smoothstep(worst, (UNTOUCHED, SURE))


def feather(mask: Mask) -> Mask:
    """The blending weight (S×S, [0,1]) of a mask (S×S, [0,1]): soft at its edge and zero at the crop's border.

    An erosion followed by a box blur of no larger extent is nowhere above the mask itself (to within the 8
    bits it is computed in), so softening it never reaches a pixel that the network left out.
    """
    side = mask.shape[0]
    half = max(round(side * FEATHER / 2), 1)
    levels = np.asarray(cv2.convertScaleAbs(mask, alpha=255.0), np.uint8)
    eroded = cv2.erode(levels, np.ones((4 * half + 1, 4 * half + 1), np.uint8))
    # two boxes make a triangle: no crease where the ramp begins
    soft = cv2.blur(cv2.blur(eroded, (2 * half + 1,) * 2), (2 * half + 1,) * 2)
    return np.asarray(cv2.multiply(soft, _window(side), scale=1 / 255, dtype=cv2.CV_32F), np.float32)


@lru_cache(maxsize=8)
def _window(side: int) -> Mask:
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32) - 1.0
    ramp = cubic(np.clip(distance / max(side * BORDER, 1.0), 0, 1))
    return np.asarray(np.outer(ramp, ramp), np.float32)


def blend(output: Image, crop: Image, change: Change, mask: Mask, affine: Affine, strength: float) -> None:
    """Puts a restored face into the picture, in place.

    output    H×W×3 uint8 BGR: the picture, written to; pixels outside the mask keep their bits
    crop      S×S×3 uint8 BGR: the face as `affine` cut it from the picture
    change    S×S×3 float32 BGR, in levels of 255: restored − crop
    mask      S×S float32 in [0,1]: the face region
    affine    2×3 similarity from the picture to the crop
    strength  [0,1]: 0 leaves the picture as it is

    Where the picture's finest detail is kept (`detail.kept`: k), the change is added; where it is noise, the restored
    face covers it. With the weight w and α = w · (1 − k), that is the premultiplied over of Porter and Duff:
    picture · (1 − α) + w · change + α · crop.

    A crop larger than its face is averaged down before it is warped, so that detail finer than the
    picture's pixels does not shimmer; a smaller one is interpolated linearly. Faces may lie partly
    or wholly outside the picture.
    """
    if strength <= 0.0:
        return
    weight = feather(mask)
    x, y, width, height = cv2.boundingRect(np.asarray(weight > 0, np.uint8))
    if width == 0:
        return
    # one ring of zeros more, so that interpolation at the edge runs out to nothing (the window keeps it inside)
    x, y, width, height = x - 1, y - 1, width + 2, height + 2
    part = np.s_[y : y + height, x : x + width]
    layer = _premultiplied(crop[part], change[part], weight[part] * np.float32(strength))
    to_layer = affine.astype(np.float64) - ((0, 0, x), (0, 0, y))
    layer, to_layer = _averaged_down(layer, to_layer)

    left, top, right, bottom = _bounds(to_layer, layer.shape, output.shape)
    if right <= left or bottom <= top:
        return
    # bands stay in the cache and need no large arrays
    for first in range(top, bottom, BAND):
        region = output[first : min(first + BAND, bottom), left:right]
        from_region = to_layer.copy()
        from_region[:, 2] += to_layer[:, :2] @ (left, first)
        warped = cv2.warpAffine(layer, from_region, region.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        through = cv2.merge([1.0 - cv2.extractChannel(warped, 3)] * 3)
        behind = cv2.multiply(region, through, dtype=cv2.CV_32F)
        cv2.add(behind, cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR), region, dtype=cv2.CV_8U)


def _premultiplied(crop: Image, change: Change, weight: Mask) -> NDArray[np.float32]:
    """The layer (H×W×4 float32: B, G, R in levels, and α) that goes over the picture."""
    alpha = weight * (1 - kept(crop, change))
    added = cv2.multiply(change, cv2.merge([weight] * 3))
    covering = cv2.multiply(crop, cv2.merge([alpha] * 3), dtype=cv2.CV_32F)
    layer = cv2.cvtColor(cv2.add(added, covering), cv2.COLOR_BGR2BGRA)
    cv2.insertChannel(alpha, layer, 3)
    return np.asarray(layer, np.float32)


def _averaged_down(layer: Change, to_layer: NDArray[np.float64]) -> tuple[Change, NDArray[np.float64]]:
    factor = scale(np.asarray(to_layer, np.float32))
    if factor < 1.5:
        return layer, to_layer
    height, width = layer.shape[:2]
    size = max(round(width / factor), 1), max(round(height / factor), 1)
    ratio = np.array(size) / (width, height)
    small = np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.float32)
    # pixel centres: x_small = (x + 0.5) · ratio − 0.5
    shrunk = to_layer * ratio[:, None]
    shrunk[:, 2] += ratio / 2 - 0.5
    shrunk[:, 2] += 1
    return np.asarray(cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_CONSTANT), np.float32), shrunk


def _bounds(
    to_layer: NDArray[np.float64], layer: tuple[int, ...], picture: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The part of the picture (left, top, right, bottom) that the layer falls on."""
    height, width = layer[:2]
    corners = np.array([(-1, -1), (width, -1), (-1, height), (width, height)], np.float64)
    inverse = np.linalg.inv(to_layer[:, :2])
    points = (corners - to_layer[:, 2]) @ inverse.T
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0)) + 1
    left, top = np.clip(low, 0, (picture[1], picture[0])).astype(int)
    right, bottom = np.clip(high, 0, (picture[1], picture[0])).astype(int)
    return int(left), int(top), int(right), int(bottom)

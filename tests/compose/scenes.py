"""Small invented pictures with a face, whose light is known."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.relight import Seen
from frrcam.faces.alignment import TEMPLATE, crop, similarity
from frrcam.frame import Image

SIZE = 320, 180
SIDE = 64
"""Side of the crops."""


def scene(face: float = 0.35, wall: float = 0.6, *, x: float = 160, y: float = 80, side: float = 90) -> Image:
    """A face (skin of that linear luminance, with highlights and dark eyes) before a wall; BGR."""
    linear = np.full((SIZE[1], SIZE[0], 3), wall, np.float32)
    centre = round(x), round(y + 0.02 * side)
    skin = np.array((0.6, 0.9, 1.4), np.float32) * face
    cv2.ellipse(linear, centre, (round(0.34 * side), round(0.46 * side)), 0, 0, 360, skin.tolist(), -1)
    cv2.ellipse(linear, (centre[0], centre[1] - round(0.2 * side)), (round(0.16 * side), round(0.09 * side)), 0, 0, 360,
                (1.2 * skin + 0.15).tolist(), -1)  # fmt: skip
    for across, down in TEMPLATE[:2]:
        eye = round(x + (across - 0.5) * side), round(y + (down - 0.53) * side)
        cv2.circle(linear, eye, max(round(0.04 * side), 1), (0.01, 0.01, 0.01), -1)
    return levels(linear)


def levels(linear: NDArray[np.float32]) -> Image:
    """8-bit levels of linear light."""
    return np.asarray(np.round(255 * np.clip(linear, 0, 1) ** (1 / 2.2)), np.uint8)


def dimmed(image: Image, gain: float | tuple[float, float, float]) -> Image:
    """The picture with its linear light multiplied."""
    return levels(np.asarray((image / 255.0) ** 2.2 * np.asarray(gain), np.float32))


def seen(
    image: Image,
    restored: Image | None = None,
    *,
    id: int = 1,
    x: float = 160,
    y: float = 80,
    side: float = 90,
    trust: float = 1.0,
) -> Seen:
    """The face of `scene`, cut out; `restored`: the picture that the network would make of it."""
    points = np.asarray((TEMPLATE - (0.5, 0.53)) * side + (x, y), np.float32)
    affine = similarity(points, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    mask = ((columns - 0.5) / 0.34) ** 2 + ((rows - 0.55) / 0.46) ** 2 < 1
    answer = None if restored is None else crop(restored, affine, SIDE).astype(np.float32)
    return Seen(id, affine, crop(image, affine, SIDE), answer, mask.astype(np.float32), trust, 1.0)


def light_of(image: Image, x: int = 160, y: int = 90, half: int = 12) -> float:
    """Mean linear luminance around a place."""
    part = image[y - half : y + half, x - half : x + half]
    return float(((part / 255.0) ** 2.2 @ (0.0722, 0.7152, 0.2126)).mean())

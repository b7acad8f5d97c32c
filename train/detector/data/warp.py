"""Faces with other proportions: eyes, nose and mouth moved in the picture, and their points with them.

The training faces mostly smile into the camera; without this the network guesses a mouth from where eyes and chin are.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
Random = np.random.Generator

REACH = 0.45
"""Deviation of the bump that a moved point drags along, in eye distances."""
GRID = 32


def draw_shift(random: Random) -> Array:
    """How far each of the five points moves (5×2, in eye distances): jaw dropped, mouth narrowed, nose turned away.

    The nose stands out most and so moves most as a head turns or nods. Seen from a laptop it is higher in the face
    than in the training portraits, by some 0.1.
    """
    shift = random.normal(0, 0.025, (5, 2))
    shift[2] += random.normal((0, -0.04), (0.12, 0.11))
    jaw, width = random.normal((0, 0.03), (0.06, 0.12)), float(random.normal(0, 0.05))
    shift[3:] += jaw
    shift[3, 0] -= width
    shift[4, 0] += width
    return np.asarray(shift.clip(-0.32, 0.32), np.float32)


def warp(picture: Image, points: Array, shift: Array) -> tuple[Image, Array]:
    """The picture (S×S×3) with its points (5×2, fractions) moved by `shift` (5×2, eye distances), and the new points.

    A sum of Gaussian bumps on the new points, weighted so that each point comes from exactly where it was.
    """
    eyes = float(np.linalg.norm(points[1] - points[0]))
    moved = points + shift * eyes
    scale = 2 * (REACH * eyes) ** 2
    between = np.exp(-((moved[:, None] - moved) ** 2).sum(2) / scale)
    weights = np.linalg.solve(between, moved - points)
    ticks = (np.arange(GRID) + 0.5) / GRID
    columns, rows = (np.exp(-((ticks[:, None] - moved[:, axis]) ** 2) / scale) for axis in (0, 1))
    field = np.einsum("yp,xp,pd->yxd", rows, columns, weights).astype(np.float32)
    side = picture.shape[0]
    dense = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR) * side
    steps = np.arange(side, dtype=np.float32)
    source = cv2.remap(picture, steps - dense[..., 0], steps[:, None] - dense[..., 1], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return np.asarray(source, np.uint8), moved.astype(np.float32)

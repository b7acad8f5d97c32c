"""A second look at a doubtful detection: the same network on an enlarged (or reduced) cut-out around it.

What only looks like a face at one size seldom does at another, and a real face that is small, dark or turned gains
from the picture's own pixels. Measured by `python -m train.detector judge`: see train/README.md.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from frrcam.faces.boxes import Box
from frrcam.frame import Image

NOTHING = 0.02
"""Score of a second look that sees no face."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """When and how a detection is looked at again."""

    floor: float = 0.1
    """First score from which it is worth a look."""
    sure: float = 0.75
    """First score that needs none."""
    side: int = 192
    """Side of the network's input in pixels, a multiple of 32."""
    face: float = 90.0
    """Longer side of the face in that input."""
    most: int = 4
    """Looks in one picture; the best scores come first."""
    overlap: float = 0.4
    """IoU from which what it sees is the same face."""
    weights: tuple[float, float] = (0.55, 0.9)
    """Of the log-odds of the first and of the second look in the sum that is the final score's. Fitted by logistic
    regression on photographs that are neither trained on nor judged on, so that the final score means what a calibrated
    score means: the second look tells more, and two that agree are surer than one."""

    def window(self, box: Box) -> tuple[float, float, float]:
        """Left, top and side in picture pixels of the square around a face."""
        across, down = box[2] - box[0], box[3] - box[1]
        side = max(across, down) * self.side / self.face
        return (box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2, side


SECOND_LOOK = SecondLook()
"""As the daemon looks."""


def cut_out(image: Image, window: tuple[float, float, float], size: int) -> tuple[Image, tuple[float, float, float]]:
    """The window of a picture (H×W×3) as size×size×3, black beyond the picture, and the window in whole pixels."""
    left, top = round(window[0]), round(window[1])
    side = max(round(window[2]), 8)
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + side, image.shape[1]), min(top + side, image.shape[0])
    canvas = np.zeros((size, size, 3), np.uint8)
    scale = size / side
    u1, v1 = round((x1 - left) * scale), round((y1 - top) * scale)
    u2, v2 = round((x2 - left) * scale), round((y2 - top) * scale)
    if x2 > x1 and y2 > y1 and u2 > u1 and v2 > v1:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        canvas[v1:v2, u1:u2] = cv2.resize(image[y1:y2, x1:x2], (u2 - u1, v2 - v1), interpolation=method)
    return canvas, (float(left), float(top), float(side))


def combined(first: float, second: float, weights: tuple[float, float] = SECOND_LOOK.weights) -> float:
    """The score of two looks, by a weighted sum of their log-odds."""
    return 1 / (1 + math.exp(-(weights[0] * _log_odds(first) + weights[1] * _log_odds(max(second, NOTHING)))))


def _log_odds(score: float) -> float:
    kept = min(max(score, 1e-4), 1 - 1e-4)
    return math.log(kept / (1 - kept))

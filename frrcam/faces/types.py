"""What the faces folder speaks of."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detection:
    """One face found in one picture, in that picture's pixels."""

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2."""
    score: float
    """(0,1]."""
    points: Points
    """5×2: left eye, right eye, nose, left and right mouth corner, as the viewer sees it."""


@dataclass(frozen=True, slots=True)
class Track:
    """One face followed over pictures."""

    id: int
    """Counts up from 1, never used again."""
    box: tuple[float, float, float, float]
    points: Points
    """5×2, smoothed over time, in the picture's pixels."""
    confidence: float
    """[0,1]; falls while the face is only predicted (a hand over the mouth, a turned head), and scales the effect
    so that a face fades in and out instead of popping."""
    detected: bool
    """True if this picture's detection saw it, False if it was followed by flow or prediction."""

    @property
    def side(self) -> float:
        """The longer side of the box in pixels: faces are served largest first."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


class Detector(Protocol):
    """Finds faces. Raises nothing for a picture without faces; any exception is the pipeline's to survive."""

    def detect(self, image: Image) -> list[Detection]:
        """The faces of one BGR picture, largest first."""

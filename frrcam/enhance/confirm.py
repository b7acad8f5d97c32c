"""Doubtful faces, looked at twice: what is no face seldom looks like one in the mirror too."""

import numpy as np

from frrcam.faces.types import Detection, Detector
from frrcam.frame import Image

SURE = 0.75
"""From this score on a face is believed at once."""
SHARED = 0.3
"""Least intersection over union of a face and its image in the mirror."""


class ConfirmingDetector:
    """Keeps a doubtful face only if the mirrored picture shows it too.

    The tracker believes a doubtful face that it sees on two frames. Of a still, both would be the same.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(self, image: Image) -> list[Detection]:
        """The faces of one BGR picture, largest first."""
        found = self._detector.detect(image)
        if all(face.score >= SURE for face in found):
            return found
        mirrored = self._detector.detect(np.ascontiguousarray(image[:, ::-1]))
        return [face for face in found if face.score >= SURE or _is_among(face, mirrored, image.shape[1])]


def _is_among(face: Detection, mirrored: list[Detection], width: int) -> bool:
    x1, y1, x2, y2 = face.box
    return any(_overlap((width - x2, y1, width - x1, y2), other.box) >= SHARED for other in mirrored)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / max(areas - width * height, 1e-9)

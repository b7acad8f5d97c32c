"""Faces that lie on their side or stand on their head: looked for in the other quarter turns of a picture."""

import numpy as np

from frrcam.faces.types import Detection, Detector
from frrcam.frame import Image

SURE = 0.8
"""Score from which on a face is no doubt upright: its picture is not turned."""
LEAST, BETTER = 0.65, 0.1
"""A turned picture is taken if it shows a face of at least the first, by the second above what was found before."""
EVERY_S = 1.0
"""Seconds of a clip without a sure face after which it is looked at turned, again and again."""


class RememberingDetector:
    """Remembers the score of the best face that it found last."""

    def __init__(self, detector: Detector, min_size: int) -> None:
        self.best = 0.0
        """0 without a face of at least `min_size` pixels."""
        self._detector, self._min_size = detector, min_size

    def detect(self, image: Image) -> list[Detection]:
        found = self._detector.detect(image)
        sides = [max(face.box[2] - face.box[0], face.box[3] - face.box[1]) for face in found]
        self.best = max(
            (face.score for face, side in zip(found, sides, strict=True) if side >= self._min_size), default=0.0
        )
        return found


class QuarterTurns:
    """By how many quarter turns a file's pictures are turned while they are enhanced."""

    def __init__(self, detector: RememberingDetector) -> None:
        """`detector` is the one that looks at the pictures when they are enhanced."""
        self.turns = 0
        """Counter-clockwise, as in np.rot90: 0 to 3."""
        self._detector = detector
        self._last: float | None = None

    def turned(self, image: Image) -> Image:
        """The picture (H×W×3) in which the faces are upright."""
        return np.ascontiguousarray(np.rot90(image, self.turns))

    def back(self, image: Image) -> Image:
        """The inverse of `turned`."""
        return np.ascontiguousarray(np.rot90(image, -self.turns))

    def look(self, image: Image, timestamp: float) -> bool:
        """Looks for faces in the other turns where the detector has just found none, or doubtful ones.

        True if `turns` has changed by that. Looks at the first such picture, then once in `EVERY_S` of a clip's time.
        """
        found = self._detector.best
        if found >= SURE or (self._last is not None and 0 <= timestamp - self._last < EVERY_S):
            return False
        self._last = timestamp
        best, most = self.turns, max(LEAST, SURE if found else 0.0, found + BETTER)
        for turns in sorted(set(range(4)) - {self.turns}):
            self._detector.detect(np.ascontiguousarray(np.rot90(image, turns)))
            if self._detector.best >= most:
                best, most = turns, self._detector.best
        changed, self.turns = best != self.turns, best
        return changed

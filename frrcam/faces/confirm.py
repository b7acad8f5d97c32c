"""When a new face is believed: the ghost guard of the tracker.

A detector that looks at thirty pictures a second takes a plant for a face now and then. One look is not enough below a
high score: two looks, some time apart, must agree on place and size. The restorer has a say too: `plausible` judges its
mask of the face, and `Tracker.veto` hides what it rejects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frrcam.faces.types import Points

Mask = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a new face needs before it is shown."""

    sure: float = 0.85
    """A detection with this score is believed at once."""
    sightings: int = 2
    """Detections that a weaker face needs."""
    apart: float = 0.2
    """Seconds that at least lie between the first and the last of them: two pictures of one moment agree anyway."""
    score: float = 0.6
    """Mean score that they need."""
    overlap: float = 0.45
    """IoU of a detection with where the face was expected, from which the two agree."""
    veto: float = 3.0
    """Seconds for which a face that the restorer rejected stays hidden."""


OFFLINE = Confirmation(score=0.0)
"""For files: whatever reaches the detector's threshold twice is believed, as someone looks at the result."""


class Evidence:
    """The agreeing detections of one face that is not shown yet."""

    def __init__(self, rule: Confirmation) -> None:
        self._rule = rule
        self._scores: list[float] = []
        self._first = self._last = 0.0

    @property
    def enough(self) -> bool:
        """Whether the face may be shown."""
        rule = self._rule
        if max(self._scores, default=0.0) >= rule.sure:
            return True
        long_enough = self._last - self._first >= rule.apart - 1e-6
        return len(self._scores) >= rule.sightings and long_enough and float(np.mean(self._scores)) >= rule.score

    def add(self, score: float, age: float, overlap: float = 1.0) -> None:
        """A detection at the face's age in seconds; one that overlaps it too little begins the count again."""
        if overlap < self._rule.overlap or not self._scores:
            self._scores, self._first = [score], age
        else:
            self._scores.append(score)
        self._last = age


@dataclass(frozen=True, slots=True)
class MaskBounds:
    """What the restorer's mask of a real face looks like in an aligned crop.

    Of 139 real faces (held out from the training of the detector; turned, masked and small ones among them) the masks
    of frrnet-160-int8 cover 15 to 47 % of the crop, and every one holds at least 3 of the 5 points.
    """

    least_share: float = 0.12
    most_share: float = 0.6
    points: int = 3
    """How many of the five points must lie in the mask: a hand or a face mask may cover mouth and nose."""
    level: float = 0.5
    """Mask value from which a pixel belongs to the face."""


def plausible(mask: Mask, points: Points, bounds: MaskBounds | None = None) -> bool:
    """Whether the restorer's answer looks like a face: its mask's share of the crop and the points inside it.

    mask    S×S in [0,1], of the aligned crop
    points  5×2, the track's points in pixels of that crop; one outside the crop is not in the mask
    """
    bounds = bounds or MaskBounds()
    inside = mask >= bounds.level
    if not bounds.least_share <= float(inside.mean()) <= bounds.most_share:
        return False
    height, width = mask.shape
    columns, rows = np.floor(points.astype(np.float64)).T
    within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    held = inside[rows[within].astype(int), columns[within].astype(int)]
    return int(held.sum()) >= bounds.points

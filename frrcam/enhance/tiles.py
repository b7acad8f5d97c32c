"""Faces in large pictures: those that are too small to be seen in the whole are looked for in its parts."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from frrcam.faces.types import Detection, Detector
from frrcam.frame import Image

SIDE = 1920
"""Pixels: a larger picture is looked at in tiles of this side too. The network sees them all at one width."""
OVERLAP = 480
"""Pixels that neighbouring tiles share: a smaller face is whole in one of them, a larger one seen in the picture."""
SAME = 0.5
"""Share of the smaller box inside the other above which they are one face: an eye of a large one may pass for one."""


class TiledDetector:
    """Looks at the whole picture, and at overlapping tiles of one that is larger than `side`."""

    def __init__(self, detector: Detector, side: int = SIDE, overlap: int = OVERLAP) -> None:
        self._detector, self._side, self._overlap = detector, side, overlap

    def detect(self, image: Image) -> list[Detection]:
        """The faces of one BGR picture, largest first, each once."""
        found = self._detector.detect(image)
        if max(image.shape[:2]) > self._side:
            for face in sorted(self._in_tiles(image), key=lambda face: -face.score):
                if all(_shared(face, other) < SAME for other in found):
                    found.append(face)
            found.sort(key=_area, reverse=True)
        return found

    def _in_tiles(self, image: Image) -> Iterator[Detection]:
        height, width = image.shape[:2]
        for top in self._starts(height):
            for left in self._starts(width):
                tile = image[top : top + self._side, left : left + self._side]
                right, bottom = left + tile.shape[1], top + tile.shape[0]
                for face in self._detector.detect(tile):
                    x1, y1, x2, y2 = face.box
                    # where the tile ends and the picture does not, a face is cut: another tile has all of it
                    cut = (left > 0 and x1 < 1) or (top > 0 and y1 < 1)
                    cut |= (right < width and left + x2 > right - 1) or (bottom < height and top + y2 > bottom - 1)
                    if not cut:
                        box = (left + x1, top + y1, left + x2, top + y2)
                        yield replace(face, box=box, points=face.points + np.array((left, top), np.float32))

    def _starts(self, length: int) -> list[int]:
        """Where the tiles of one side of the picture begin: as few as can be, evenly spread."""
        gaps = max(0, math.ceil((length - self._side) / (self._side - self._overlap)))
        return [round(index * (length - self._side) / gaps) for index in range(gaps + 1)] if gaps else [0]


def _area(face: Detection) -> float:
    x1, y1, x2, y2 = face.box
    return (x2 - x1) * (y2 - y1)


def _shared(one: Detection, other: Detection) -> float:
    """The share of the smaller box that lies in the other."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return max(0.0, width) * max(0.0, height) / min(_area(one), _area(other))

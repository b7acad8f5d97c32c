"""Where the faces of a clean clip are, frame by frame, and the parts of the picture that are scored apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""
Mask = NDArray[np.bool_]

MARGIN = 0.55
"""Of a face box's width and height, added on each side: head and shoulders."""
INSET = 0.08
"""Of a face box's width and height, left out on each side: the rim holds hair, ears and background."""
MIN_SIDE = 40
"""Pixels: smaller faces are left alone by the product's default settings, so they are not scored."""
SAME = 0.3
"""Intersection over union from which the boxes of two frames are one face."""
MIN_SHARE = 0.25
"""Of all frames: a face that is found in fewer is taken for a false detection."""
SMOOTHING = 2.0
"""Standard deviation, in frames, of the smoothing of a face's box over time."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Parts of one picture, each H×W."""

    boxes: Sequence[Box]
    """The faces without their rim (`INSET`), largest first."""
    face: Mask
    box: Mask
    """The faces with their rim, where an effect on the face fades out."""
    head: Mask
    """Head and shoulders, the face included."""
    around: Mask
    """Head and shoulders without the boxes."""
    background: Mask
    """What is not head and shoulders."""


def regions(boxes: Sequence[Box], shape: tuple[int, int]) -> Regions:
    """The parts of a picture of `shape` (height, width) with these faces."""
    inner = [grown(box, -INSET) for box in boxes]
    box = _inside(boxes, shape)
    head = _inside([grown(box, MARGIN) for box in boxes], shape)
    return Regions(inner, _inside(inner, shape), box, head, head & ~box, ~head)


def grown(box: Box, share: float) -> Box:
    """A box with that share of its width and height added on each side."""
    x1, y1, x2, y2 = box
    across, down = share * (x2 - x1), share * (y2 - y1)
    return x1 - across, y1 - down, x2 + across, y2 + down


def area(box: Box) -> float:
    """Square pixels; 0 for an empty box."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, [0,1]."""
    inner = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    shared = area(inner)
    return shared / (area(one) + area(other) - shared) if shared else 0.0


def steady_boxes(found: Sequence[Iterable[Box]]) -> list[list[Box]]:
    """The faces of every frame, from what a detector found in each: linked over time, gaps filled, smoothed.

    Largest first. A face keeps its first or last box before it is found first and after it is found last. Faces that
    are small (`MIN_SIDE`) or found too seldom (`MIN_SHARE`) are dropped.
    """
    faces: list[dict[int, Box]] = []
    for index, boxes in enumerate(found):
        for box in sorted(boxes, key=area, reverse=True):
            free = [face for face in faces if index not in face]
            best = max(free, key=lambda face: overlap(face[max(face)], box), default=None)
            if best is not None and overlap(best[max(best)], box) >= SAME:
                best[index] = box
            else:
                faces.append({index: box})
    smooth = [_smoothed(face, len(found)) for face in faces if len(face) >= MIN_SHARE * len(found)]
    large = [boxes for boxes in smooth if max(_sides(boxes.mean(0))) >= MIN_SIDE]
    return [
        sorted(((a, b, c, d) for a, b, c, d in frame.round(1).tolist()), key=area, reverse=True)
        for frame in (np.stack(large, 1) if large else np.empty((len(found), 0, 4)))
    ]


def _inside(boxes: Iterable[Box], shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, np.bool_)
    for box in boxes:
        x1, y1, x2, y2 = (max(round(side), 0) for side in box)
        mask[y1:y2, x1:x2] = True
    return mask


def _sides(box: NDArray[np.float64]) -> tuple[float, float]:
    return float(box[2] - box[0]), float(box[3] - box[1])


def _smoothed(face: dict[int, Box], frames: int) -> NDArray[np.float64]:
    """A box for every frame, frames×4."""
    known = sorted(face)
    corners = np.array([face[index] for index in known])
    every = np.stack([np.interp(np.arange(frames), known, corners[:, i]) for i in range(4)], 1)
    apart = np.arange(frames)[:, None] - np.arange(frames)
    weights = np.exp(-0.5 * (apart / SMOOTHING) ** 2)
    return np.asarray(weights @ every / weights.sum(1, keepdims=True), np.float64)

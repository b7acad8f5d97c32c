"""Where a pasted face lies: the affine map from its picture to the frame, and its box and points under that map.

Coordinates are continuous, with pixel i covering [i, i+1): they scale with the frame, as insightface's do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Random = np.random.Generator

MIRRORED = [1, 0, 2, 4, 3]
"""The order of the five points after a mirror: left stays what the viewer sees on the left."""


@dataclass(frozen=True)
class Pose:
    """How a face is pasted: box height in frame px, turn in degrees, width over natural width, slant, mirror."""

    height: float
    degrees: float = 0.0
    squeeze: float = 1.0
    slant: float = 0.0
    mirror: bool = False


def draw_pose(height: float, random: Random) -> Pose:
    """A pose of that box height: upright heads mostly, turned to ±30°, some squeezed as if half turned away."""
    degrees = float(np.clip(random.normal(0, 12), -32, 32))
    squeeze = float(random.uniform(0.68, 1.05) if random.random() < 0.3 else random.uniform(0.92, 1.08))
    return Pose(height, degrees, squeeze, float(random.normal(0, 0.04)), bool(random.random() < 0.5))


def affine(box: Array, pose: Pose, centre: tuple[float, float]) -> NDArray[np.float64]:
    """The map (2×3) of picture fractions to frame px that puts the box's centre (box: x1 y1 x2 y2) on `centre`."""
    angle = np.radians(pose.degrees)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    scale = pose.height / float(box[3] - box[1])
    mirror = -1.0 if pose.mirror else 1.0
    linear = turn @ np.array([(mirror * pose.squeeze, pose.slant), (0, 1)]) * scale
    middle = np.array(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), np.float64)
    return np.column_stack((linear, np.array(centre) - linear @ middle))


def map_box(box: Array, matrix: NDArray[np.float64]) -> Array:
    """The upright box (x1 y1 x2 y2) around the mapped ellipse that fills `box`; a face is no rectangle when turned."""
    half = np.array(((box[2] - box[0]) / 2, (box[3] - box[1]) / 2), np.float64)
    centre = matrix[:, :2] @ ((box[:2] + box[2:]).astype(np.float64) / 2) + matrix[:, 2]
    reach = np.sqrt(((matrix[:, :2] * half) ** 2).sum(1))
    return np.concatenate((centre - reach, centre + reach)).astype(np.float32)


def map_points(points: Array, matrix: NDArray[np.float64]) -> Array:
    """Five points (5×2) mapped, renamed where the map mirrors so that left and right hold as the viewer sees them."""
    mapped = points.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[MIRRORED] if np.linalg.det(matrix[:, :2]) < 0 else mapped, np.float32)


def visible_share(box: Array, height: int, width: int) -> float:
    """How much of the box's area lies in a frame of that size, 0..1."""
    x = min(box[2], width) - max(box[0], 0)
    y = min(box[3], height) - max(box[1], 0)
    return float(max(x, 0) * max(y, 0) / ((box[2] - box[0]) * (box[3] - box[1])))


def overlap(box: Array, others: Array) -> float:
    """The largest intersection of `box` (4) with one of `others` (N×4), over the smaller of both areas; 0 if N is 0."""
    if not len(others):
        return 0.0
    corners = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(corners, 0, None).prod(1)
    areas = np.minimum((box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1))
    return float((shared / areas).max())

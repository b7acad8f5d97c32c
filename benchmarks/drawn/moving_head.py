"""A moving picture with the truth: the astronaut's head on a textured wall, carried along a path."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from frrcam.faces.types import Detection

Image = NDArray[np.uint8]

POINTS = np.array([(205, 112), (247, 110), (228, 135), (209, 158), (247, 156)], np.float32)
"""Of the five points in the portrait."""
CENTRE, HALF = (226.0, 118.0), (62.0, 78.0)
"""Of the head's oval."""
SIDE = 2 * HALF[1]


@dataclass(frozen=True)
class Pose:
    """Where the head is: centre and height in pixels, turn in radians."""

    x: float
    y: float
    side: float = SIDE
    angle: float = 0.0

    @property
    def affine(self) -> NDArray[np.float64]:
        """From the portrait to the picture (2×3)."""
        scale = self.side / SIDE
        turn = scale * np.array([(np.cos(self.angle), -np.sin(self.angle)), (np.sin(self.angle), np.cos(self.angle))])
        return np.column_stack([turn, np.array((self.x, self.y)) - turn @ CENTRE])

    @property
    def points(self) -> NDArray[np.float32]:
        return (POINTS @ self.affine[:, :2].T + self.affine[:, 2]).astype(np.float32)

    def detection(self, random: np.random.Generator | None = None, noise: float = 0.0, score: float = 0.9) -> Detection:
        """The detector's word, each number of it wrong by `noise` pixels."""
        across, down = self.side / SIDE * np.array(HALF)
        box = np.array([self.x - across, self.y - down, self.x + across, self.y + down])
        points = np.asarray(self.points, np.float64)
        if random is not None:
            box, points = box + random.normal(0, noise, 4), points + random.normal(0, noise, (5, 2))
        left, top, right, bottom = box.tolist()
        return Detection((left, top, right, bottom), score, points.astype(np.float32))


def wall(height: int = 360, width: int = 640, seed: int = 0) -> Image:
    """A textured background."""
    coarse = np.random.default_rng(seed).integers(40, 216, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


_PORTRAIT = np.ascontiguousarray(astronaut()[..., ::-1])
_OVAL = np.asarray(
    cv2.ellipse(np.zeros((512, 512), np.float32), (226, 118), (66, 84), 0, 0, 360, 1.0, -1, cv2.LINE_AA), np.float32
)


@lru_cache(maxsize=32)
def _blurred(sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(_PORTRAIT, (0, 0), sigma) if sigma else _PORTRAIT, np.uint8)


def picture(background: Image, *poses: Pose, noise: float = 0.0, random: np.random.Generator | None = None) -> Image:
    """The heads in front of the background, later ones before earlier ones, with sensor noise."""
    image = background.copy()
    size = background.shape[1], background.shape[0]
    for pose in poses:
        # averaged down before it is warped, as a lens would
        blur = max(SIDE / pose.side / 2 - 0.5, 0.0)
        head = cv2.warpAffine(_blurred(round(blur, 1)), pose.affine, size, flags=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(_OVAL, pose.affine, size, flags=cv2.INTER_LINEAR)
        image = np.asarray(cv2.blendLinear(head, image, alpha, 1 - alpha), np.uint8)
    if random is None:
        return image
    # one draw per picture of a small bank: a shift of noise is as good as new noise
    grain = np.roll(_grain(noise, image.shape), random.integers(0, image.size), axis=None)
    return np.asarray(cv2.add(image, grain, dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=4)
def _grain(deviation: float, shape: tuple[int, ...]) -> NDArray[np.int16]:
    return np.random.default_rng(8).normal(0, deviation, shape).round().astype(np.int16)

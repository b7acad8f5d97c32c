"""A still face before a noisy camera, and a restorer whose result wavers."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from frrcam.compose.temporal import FaceMemory

DT = 1 / 30
"""Seconds from one picture to the next."""
Picture = NDArray[np.float32]
"""H×W×3, in levels of 255."""


def face(size: int) -> Picture:
    portrait = cv2.resize(astronaut()[0:230, 110:340, ::-1], (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(portrait, np.float32)


def mask_of(size: int) -> Picture:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return np.asarray(np.hypot(axis[:, None], axis) < 0.7, np.float32)


class Scene:
    """A camera that darkens and adds noise, and a restorer that brings the clean face back, wavering."""

    def __init__(self, size: int = 112, noise: float = 4.0, waver: float = 3.0, shift: float = 2.0) -> None:
        self.clean, self.mask = face(size), mask_of(size)
        self.noise, self.waver, self.shift = noise, waver, shift
        self.random = np.random.default_rng(3)

    def look(self, clean: Picture | None = None) -> tuple[NDArray[np.uint8], Picture]:
        """(crop, change): the face as the camera sees it, and what the restorer would add to it."""
        clean = self.clean if clean is None else clean
        seen = 0.6 * clean + self.random.normal(0, self.noise, clean.shape)
        crop = np.clip(seen.round(), 0, 255).astype(np.uint8)
        # the network's error is smooth, and part of it is the colour of the whole
        grain = self.random.normal(0, self.waver, clean.shape).astype(np.float32)
        smooth = np.asarray(cv2.GaussianBlur(grain, (0, 0), 1.0), np.float32) * 3.5
        change = clean + smooth + self.random.normal(0, self.shift, 3).astype(np.float32) - crop
        return crop, np.asarray(change, np.float32)

    def show(self, memory: FaceMemory, clean: Picture | None = None, dt: float = DT) -> Picture:
        """The face as it is shown once `memory` has taken this look at it."""
        crop, change = self.look(clean)
        remembered = memory.update(crop, change, self.mask, 1.0, dt)
        assert remembered is not None
        return np.asarray(crop + remembered.change, np.float32)


def flicker(pictures: list[Picture], mask: Picture) -> float:
    """Root mean square of the change from one picture to the next inside the mask, in levels of 255."""
    steps = np.diff(np.stack(pictures), axis=0)
    return float(np.sqrt(np.mean(steps[:, mask > 0] ** 2)))

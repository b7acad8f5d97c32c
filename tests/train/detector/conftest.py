"""A bank of drawn faces, small enough to be made for every test run."""

import cv2
import numpy as np
import pytest

from train.detector.data.composites import Composer
from train.detector.data.faces import LEVELS, FaceBank


def draw_face(tone: int) -> np.ndarray:
    """A 256² picture: an oval with eyes, nose and mouth at the bank's points."""
    image = np.full((256, 256, 3), 90, np.uint8)
    cv2.ellipse(image, (128, 128), (56, 74), 0, 0, 360, (tone // 2, tone * 2 // 3, tone), -1)
    for x, y in ((106, 110), (150, 110), (128, 135)):
        cv2.circle(image, (x, y), 6, (20, 20, 20), -1)
    cv2.line(image, (110, 165), (146, 165), (40, 20, 120), 5)
    return image


@pytest.fixture(scope="session")
def bank() -> FaceBank:
    faces = [draw_face(tone) for tone in (110, 160, 210, 240)]
    pictures = tuple(
        np.stack([np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8) for face in faces])
        for side in LEVELS
    )
    points = np.array([(106, 110), (150, 110), (128, 135), (110, 165), (146, 165)], np.float32) / 256
    box = np.array((72, 54, 184, 202), np.float32) / 256
    return FaceBank(pictures, np.stack([box] * 4), np.stack([points] * 4), ("a", "b", "c", "d"))


@pytest.fixture(scope="session")
def composer(bank: FaceBank) -> Composer:
    backgrounds = np.random.default_rng(0).integers(0, 256, (3, 384, 384, 3), dtype=np.uint8)
    return Composer(bank, np.arange(4), backgrounds)

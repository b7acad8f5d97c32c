"""What frames go through before the network sees them: nothing, a bad webcam, a camera's whole chain; and tones."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from train.degrade import camera
from train.detector.data.degrade import degrade, expose, relight

Image = NDArray[np.uint8]
Random = np.random.Generator

CLEAN, CHAIN, TONED = 0.45, 0.15, 0.1
"""Shares of frames that stay as they are, that go through the camera's chain, and that lose their colour."""
CAMERA = camera.Camera(
    untouched=0, light=0, softness=(0.3, 2.0), motion=(3, 9), disc=(1, 3), least_side=96, levels=(1, 20), group=1
)
"""The chain of whole frames: a face is a small part of them, so that less blur and fewer lost pixels hide it."""


def spoil(image: Image, random: Random) -> Image:
    """A frame (H×W×3 BGR) as a camera or a file might give it."""
    kind = random.random()
    if kind < CHAIN:
        image = through_chain(image, random)
    elif kind > CHAIN + CLEAN:
        image = degrade(image, random)
    return tone(image, random) if random.random() < TONED else image


def through_chain(image: Image, random: Random) -> Image:
    """Light by this package's own operations, then lens, pixels, noise and codec by `train.camera`."""
    for chance, step in ((0.25, relight), (0.5, expose)):
        if random.random() < chance:
            image = step(image, random)
    picture = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    spoiled, _ = camera.spoil(picture, CAMERA, (int(random.integers(2**31)),))
    pixels = (spoiled[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels[..., ::-1])


def grey(image: Image) -> Image:
    """Without colour."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def sepia(image: Image) -> Image:
    """An old print's brown."""
    light = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    return np.asarray((light * (0.62, 0.83, 1.05)).clip(0, 255), np.uint8)


def infrared(image: Image) -> Image:
    """About what a night camera sees: skin and leaves bright, little contrast in skin, glow, no colour."""
    light = image.astype(np.float32) @ np.array((-0.25, 0.2, 1.05), np.float32)
    glow = np.asarray(cv2.GaussianBlur(light, (0, 0), max(image.shape[1] / 120, 0.5)))
    mixed = 0.7 * light + 0.3 * glow + 10
    return np.repeat(np.asarray(mixed.clip(0, 255), np.uint8)[..., None], 3, 2)


TONES = {"grey": grey, "sepia": sepia, "infrared": infrared}


def tone(image: Image, random: Random) -> Image:
    """Grey, sepia or infrared."""
    names = list(TONES)
    return TONES[names[int(random.integers(len(names)))]](image)

"""What a bad webcam does to a whole frame: light, colour, resolution, blur, noise, JPEG; on uint8, by OpenCV."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Random = np.random.Generator

NOISE_SIDE = 640


def expose(image: Image, random: Random) -> Image:
    """Gamma, gain, contrast and a colour cast in one table per channel; a third of the frames end up dark."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    dark = random.random() < 0.35
    gamma = random.uniform(1.0, 2.2) if dark else np.exp(random.normal(0, 0.25))
    gain = np.exp(random.uniform(np.log(0.18), 0)) if dark else np.exp(random.normal(0, 0.2))
    cast = np.exp(random.normal(0, random.choice((0.03, 0.15, 0.3)), 3))
    lift = random.uniform(0, 0.35) if random.random() < 0.2 else 0.0
    curve = (levels**gamma * gain * cast) * (1 - lift) + lift * random.uniform(0.3, 1)
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[:, None, :]), np.uint8)


def relight(image: Image, random: Random) -> Image:
    """Uneven light: a window behind, a lamp beside, a coloured screen in front; a smooth gain over the frame."""
    cells = int(random.integers(2, 5))
    strength = random.uniform(0.2, 1.1)
    field = np.exp(random.normal(-0.2, strength, (cells, cells, 1)) + random.normal(0, 0.15, (cells, cells, 3)))
    field = field.clip(0.12, 2.2)
    gain = cv2.resize(field.astype(np.float32), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.multiply(image, gain, dtype=cv2.CV_8U), np.uint8)


def shrink(image: Image, random: Random) -> Image:
    """Lost resolution: down and up again."""
    scale = float(random.uniform(0.35, 0.9))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def blur(image: Image, random: Random) -> Image:
    """Out of focus, or moved."""
    if random.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.4, 2.2))), np.uint8)
    length = int(random.integers(2, 8))
    kernel = np.zeros((length, length), np.float32)
    start, end = ((0, 0), (length - 1, int(random.integers(0, length))))
    cv2.line(kernel, start, end if random.random() < 0.5 else end[::-1], 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def noise(image: Image, random: Random) -> Image:
    """Sensor noise: grey or coloured, fine or in grains of two pixels."""
    height, width = image.shape[:2]
    grain = int(random.choice((1, 1, 2)))
    y, x = (int(random.integers(0, NOISE_SIDE - length // grain)) for length in (height, width))
    field = _noise_bank()[y : y + -(-height // grain), x : x + -(-width // grain)]
    if random.random() < 0.4:
        field = np.repeat(field[..., :1], 3, 2)
    if grain > 1:
        field = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.int16)
    sigma = float(np.exp(random.uniform(np.log(2), np.log(32))))
    # the field has a deviation of 64: int16 keeps fractions of a level for weak noise
    noisy = cv2.addWeighted(image.astype(np.int16), 1.0, field, sigma / 64, 0)
    return np.asarray(noisy.clip(0, 255), np.uint8)


def compress(image: Image, random: Random) -> Image:
    """JPEG at a quality of 12 to 80."""
    done, content = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, int(random.integers(12, 81))))
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8) if done else image


def degrade(image: Image, random: Random) -> Image:
    """A random chain of the above, in the order in which a camera applies them; a third of the frames stay clean."""
    if random.random() < 0.33:
        return image
    for chance, step in ((0.3, relight), (0.75, expose), (0.2, shrink), (0.3, blur), (0.4, noise), (0.35, compress)):
        if random.random() < chance:
            image = step(image, random)
    if random.random() < 0.05:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    return image


@lru_cache(maxsize=1)
def _noise_bank() -> NDArray[np.int16]:
    normal = np.random.default_rng(0).normal(0, 64, (NOISE_SIDE, NOISE_SIDE, 3))
    return normal.astype(np.int16)

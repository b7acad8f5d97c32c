"""The ways in which a clean clip is spoiled, all in linear light, all seeded.

kind        light                                                    noise
dim         gains 0.12, 0.17, 0.22 of B, G, R; slightly blurred      as of a sensor in the dark
still       as dim, the first picture all the time                   as of a sensor in the dark, new for every frame
side_lamp   a warm lamp on the left of each person, else dark        as of a sensor in the dark
screen      bluish light from below each face, else dark             as of a sensor in the dark
backlight   head and shoulders at 0.18, the background as it is      as of a sensor in the dark
noise       as it is                                                 three times as strong
nothing     as it is                                                 none
as_is       the clip is no truth: nothing is compared with it        none
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.scene.light import Light, encode, linear
from benchmarks.scene.regions import Box
from frrcam.frame import Image

Gain = NDArray[np.float32]
"""Linear gain of each pixel and channel: H×W×3, or 1×1×3 for the whole picture."""
Plane = NDArray[np.float32]

DIM = (0.12, 0.17, 0.22)
"""Linear gain of B, G and R of a room at night (shared/design/light.md)."""
BLUR = 0.7
"""Standard deviation in pixels of the blur that comes with it."""
AMBIENT = (0.10, 0.12, 0.14)
"""What is left of the light where the lamp does not reach."""
LAMP = (0.45, 0.72, 1.0)
NIGHT = (0.07, 0.06, 0.05)
"""What is left of the light beside a screen."""
SCREEN = (0.60, 0.42, 0.30)
AGAINST = 0.18
"""Linear gain of a person against the light."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A sensor's noise: its variance in linear light is read² + shot · light."""

    read: float
    shot: float

    def apply(self, light: Light, random: np.random.Generator) -> Light:
        """The light with noise; independent for each pixel and channel."""
        deviation = cv2.sqrt(np.maximum(light, 0) * np.float32(self.shot) + np.float32(self.read**2))
        return np.asarray(light + deviation * random.standard_normal(light.shape, np.float32), np.float32)


DARK = Noise(0.0006, 0.0005)
"""About 3 levels at 40: a webcam in a dark room."""
STRONG = Noise(0.0018, 0.0045)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to spoil a clip."""

    gain: Callable[[tuple[int, int], Sequence[Box], Plane], Gain] | None = None
    """The change of the light, from (height, width), the faces, and the share of a person in each pixel."""
    follows: bool = False
    """True if the light changes with the person's movement; else it is fixed by where the faces are at first."""
    blur: float = 0.0
    noise: Noise | None = None
    still: bool = False
    """True to show the first picture only."""
    is_reference: bool = True
    """True if the clean clip is what should come out."""


def _dim(shape: tuple[int, int], faces: Sequence[Box], person: Plane) -> Gain:
    return np.array([[DIM]], np.float32)


def _side_lamp(shape: tuple[int, int], faces: Sequence[Box], person: Plane) -> Gain:
    """The left of each person is lit and the right is not; behind them, the light fades from left to right."""
    x = np.arange(shape[1], dtype=np.float32)
    on_person, behind, total = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for x1, _, x2, _ in _faces_or_middle(shape, faces):
        offset = (x - (x1 + x2) / 2) / (x2 - x1)
        weight = np.exp(-0.5 * offset**2) + 1e-6  # between two people, the nearer one counts
        on_person += weight / (1 + np.exp(offset / 0.15))
        behind += weight / (1 + np.exp(offset / 1.5))
        total += weight
    lit = (on_person * person + behind * (1 - person)) / total
    return _mixed(AMBIENT, LAMP, lit.astype(np.float32))


def _screen(shape: tuple[int, int], faces: Sequence[Box], person: Plane) -> Gain:
    """A screen less than a face's height below each chin; its light falls off with the distance."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    lit: Plane = np.zeros(shape, np.float32)
    for x1, _, x2, y2 in _faces_or_middle(shape, faces):
        size = 1.35 * (x2 - x1)
        distance = np.hypot(x - (x1 + x2) / 2, y - (y2 + 0.6 * size)) / size
        lit = np.maximum(lit, 1 / (1 + (distance / 0.8) ** 2))
    return _mixed(NIGHT, SCREEN, lit)


def _backlight(shape: tuple[int, int], faces: Sequence[Box], person: Plane) -> Gain:
    return _mixed((1.0,) * 3, (AGAINST,) * 3, person)


KINDS = {
    "dim": Kind(_dim, blur=BLUR, noise=DARK),
    "still": Kind(_dim, blur=BLUR, noise=DARK, still=True),
    "side_lamp": Kind(_side_lamp, follows=True, noise=DARK),
    "screen": Kind(_screen, noise=DARK),
    "backlight": Kind(_backlight, follows=True, noise=DARK),
    "noise": Kind(noise=STRONG),
    "nothing": Kind(),
    "as_is": Kind(is_reference=False),
}


class Spoiler:
    """Spoils the frames of one clip, always alike: noise depends on seed, clip, kind and frame alone."""

    def __init__(self, kind: str, clip: str, faces: Sequence[Box], seed: int) -> None:
        """`faces` of the first frame, where light that does not follow them stays."""
        self.kind = KINDS[kind]
        self._faces = faces
        self._seeds = [seed, zlib.crc32(clip.encode()), zlib.crc32(kind.encode())]
        self._gain: Gain | None = None

    def spoil(self, image: Image, faces: Sequence[Box], number: int, person: Plane | None = None) -> Image:
        """A clean picture with these faces, spoiled; the picture itself where the kind changes nothing.

        number: 0 or more; of two calls with one number, the noise is the same.
        person: the share of a person in each pixel, H×W; guessed from the faces where it is not known.
        """
        kind = self.kind
        if kind.gain is None and kind.noise is None:
            return image
        light = linear(image)
        if kind.gain is not None:
            if self._gain is None or kind.follows:
                at = faces if kind.follows else self._faces
                person = guessed_person(image.shape[:2], at) if person is None else person
                self._gain = kind.gain(image.shape[:2], at, person)
            light = np.asarray(light * self._gain, np.float32)
        if kind.blur:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), kind.blur), np.float32)
        if kind.noise is not None:
            light = kind.noise.apply(light, np.random.default_rng([*self._seeds, number]))
        return encode(light)


def guessed_person(shape: tuple[int, int], faces: Sequence[Box]) -> Plane:
    """1 on the head and shoulders of each face, 0 elsewhere, with a soft edge; H×W."""
    small = max(shape[0] // 4, 1), max(shape[1] // 4, 1)
    down, across = small[0] / shape[0], small[1] / shape[1]
    mask: Plane = np.zeros(small, np.float32)
    for x1, y1, x2, y2 in faces:
        middle, width, height = (x1 + x2) / 2 * across, (x2 - x1) * across, (y2 - y1) * down
        one = np.zeros(small, np.float32)
        head = (round(middle), round((y1 + y2) / 2 * down - 0.08 * height))
        cv2.ellipse(one, head, (round(0.72 * width), round(0.78 * height)), 0, 0, 360, 1.0, -1)
        shoulders = (round(middle), round(y2 * down + 1.55 * height))
        cv2.ellipse(one, shoulders, (round(1.45 * width), round(1.4 * height)), 0, 0, 360, 1.0, -1)
        mask = np.maximum(mask, cv2.GaussianBlur(one, (0, 0), max(0.1 * width, 0.5)))
    return np.asarray(cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _faces_or_middle(shape: tuple[int, int], faces: Sequence[Box]) -> Sequence[Box]:
    """A picture without a face is lit as if there were one in its middle."""
    height, width = shape
    return faces or [(0.4 * width, 0.3 * height, 0.6 * width, 0.6 * height)]


def _mixed(without: Sequence[float], full: Sequence[float], share: Plane) -> Gain:
    """One colour where the share is 0, the other where it is 1; H×W×3."""
    start, end = (np.array(colour, np.float32) for colour in (without, full))
    return np.asarray(start + (end - start) * share[..., None], np.float32)

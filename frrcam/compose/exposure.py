"""Measure how much light a face and its scene lack, in stops, as a camera's exposure meter does.

A network's opinion of the light wavers from frame to frame. A measurement does not. It decides how much light is
given; the network only refines it (`relight`).

**Face.** The meter reads the bright parts of the face (its 92nd percentile: highlights, eyes, teeth) rather than its
mean. Highlights are the light's, not the skin's: a dark face in good light has them too, a pale one in the dark does
not. So skin keeps its tone.

**Scene.** The meter reads the brightest parts of the picture, their spread, and the surroundings of the faces.

Both are linear in stops, with a soft foot at zero. `python -m train exposure` fits them to real photographs that are
darkened by known amounts, and reports their errors on held-out ones by skin tone.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.curves import smoothstep
from frrcam.frame import Image

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

GAMMA = 2.2
"""Levels are linear light to the power 1 / 2.2."""
LUMINANCE = np.array([0.0722, 0.7152, 0.2126], np.float32)
"""BT.709 weights of B, G and R in linear light."""
CELLS = 42
"""Side of the small aligned face that light is measured on."""
SCENE_WIDTH = 240
"""Width in pixels up to which the small picture is, on which the scene is measured."""
DARKEST = 1e-4
"""Linear luminance that counts as black: 13 stops below white."""
BRIGHT = 0.5
"""Linear luminance above which a part of the picture counts as bright."""


@dataclass(frozen=True, slots=True)
class FaceReading:
    """Luminance of one face, in stops below white (0 or less)."""

    bright: float
    """92nd percentile."""
    middle: float
    """Median."""


@dataclass(frozen=True, slots=True)
class SceneReading:
    """Luminance of the picture, in stops below white (0 or less)."""

    white: float
    """98th percentile."""
    upper: float
    """75th percentile."""
    around: float
    """90th percentile of what is neither a face nor a body below one."""
    bright_share: float
    """Share of the picture above `BRIGHT`, [0,1]."""
    cast: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Stops of B, G and R that make the brightest surroundings neutral, beyond a gain of luminance."""


@dataclass(frozen=True, slots=True)
class Meter:
    """The two fitted lines: stops that are lacking = foot(constant + weights · reading)."""

    face: tuple[float, float, float, float] = (-0.68, -1.08, 0.20, -0.10)
    """Constant, and weights of the face's `bright`, its `middle` and the scene's `white`."""
    scene: tuple[float, float, float, float, float] = (-0.33, -2.08, 0.76, 0.32, -0.88)
    """Constant, and weights of the scene's `white`, `upper`, `around` and `bright_share`."""
    softness: float = 0.3
    """Stops over which the lines bend into zero (softplus)."""
    sure: tuple[float, float] = (0.5, 2.8)
    """Up to the first, in stops, light is left alone; from the second the whole amount counts. A stop or two may be
    the mood of the picture, and are given in part."""
    contrast: float = 1.7
    """Stops between a face's bright parts and its median that are usual. More is a face lit from one side or from
    behind …"""
    fill: float = 0.9
    """… and this share of what is more is given to it, in front of bright surroundings, …"""
    most_fill: float = 1.2
    """… up to this number of stops."""
    bright_around: tuple[float, float] = (-1.5, -0.5)
    """`around` up to which surroundings are dark, and from which they are bright, in stops."""
    lift: float = 0.4
    """Stops that are given on top to who wants it bright."""
    most: float = 3.5
    """Stops given at the most: beyond that there is more noise than picture."""

    def face_stops(self, face: FaceReading, scene: SceneReading, eager: float = 0.0) -> float:
        """Stops of light that the face lacks, 0 to `most`; `eager`: [0,1], see `amounts.NATURAL_LIGHT`."""
        constant, bright, middle, white = self.face
        exposed = self._given(constant + bright * face.bright + middle * face.middle + white * scene.white, eager)
        shade = max(face.bright - face.middle - self.contrast, 0.0) * smoothstep(scene.around, self.bright_around)
        return min(max(exposed, min(self.fill * shade, self.most_fill)) + eager * self.lift, self.most)

    def scene_stops(self, scene: SceneReading, eager: float = 0.0) -> float:
        """Stops of exposure that the whole picture lacks, 0 to `most`; `eager` as above."""
        constant, white, upper, around, share = self.scene
        line = constant + white * scene.white + upper * scene.upper + around * scene.around
        return self._given(line + share * scene.bright_share, eager)

    def _given(self, line: float, eager: float) -> float:
        stops = self.softness * float(np.logaddexp(0.0, line / self.softness))
        careful = smoothstep(stops, self.sure)
        return min(stops * (careful + (1 - careful) * eager), self.most)


LINEAR = np.asarray((np.arange(256, dtype=np.float64) / 255) ** GAMMA, np.float32)
"""Linear light in [0,1] of each level."""


def linear(levels: Image) -> Plane:
    """Linear light in [0,1] of levels of 255 (uint8)."""
    return np.asarray(cv2.LUT(levels, LINEAR), np.float32)


def luminance(image: Image) -> Plane:
    """Linear luminance (H×W) of a picture (H×W×3 BGR)."""
    return np.asarray(cv2.transform(linear(image), LUMINANCE[None]), np.float32)


def halved(image: Image) -> Image:
    """The picture averaged down to half its size: 2×2 pixels to one."""
    size = max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def small_scene(image: Image) -> Image:
    """The picture halved until it is no wider than `SCENE_WIDTH`; halving is the quickest way down."""
    while image.shape[1] > SCENE_WIDTH:
        image = halved(image)
    return image


def small_face(crop: Image) -> Image:
    """An aligned face (S×S×3) averaged down to `CELLS`²."""
    return np.asarray(cv2.resize(crop, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)


def _ellipse() -> Mask:
    rows, columns = np.mgrid[:CELLS, :CELLS].astype(np.float32)
    across, down = (columns - 20.5) / 13, (rows - 22) / 15
    return np.asarray(across**2 + down**2 < 1)


FACE = _ellipse()
"""Cells of an aligned face that are skin, eyes and mouth: no hair, no background."""


def read_face(face: Image) -> FaceReading:
    """What the meter reads on a small aligned face (`small_face`)."""
    middle, bright = np.percentile(luminance(face)[FACE], (50, 92))
    return FaceReading(_stops(bright), _stops(middle))


def read_scene(scene: Image, light: Plane, faces: list[tuple[float, float, float]]) -> SceneReading:
    """What the meter reads on the small picture (`small_scene`) and its luminance.

    `faces`: centre x, centre y and side of each aligned crop, in pixels of the small picture.
    """
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]].astype(np.float32)
    persons = np.zeros(light.shape, np.bool_)
    for x, y, side in faces:
        persons |= np.hypot(columns - x, (rows - y) * 0.8) < 0.55 * side
        persons |= (np.abs(columns - x) < side) & (rows > y + 0.3 * side)
    if np.count_nonzero(~persons) < light.size // 50:
        persons = np.zeros(light.shape, np.bool_)
    around = light[~persons]
    upper, white = np.percentile(light, (75, 98))
    brightest = np.percentile(around, 90)
    share = float(np.mean(light > BRIGHT))
    cast = _cast(scene[~persons], around, float(brightest))
    return SceneReading(_stops(white), _stops(upper), _stops(brightest), share, cast)


def _cast(colours: Image, light: Plane, brightest: float) -> tuple[float, float, float]:
    """Stops that make the brightest of these colours (N×3 BGR; luminance N) neutral."""
    bright = light >= 0.6 * brightest
    mean = LINEAR[colours[bright]].mean(axis=0) if bright.any() else np.ones(3, np.float32)
    blue, green, red = (float(stops) for stops in np.log2((float(mean @ LUMINANCE) + DARKEST) / (mean + DARKEST)))
    return blue, green, red


def _stops(light: float | np.floating) -> float:
    return float(np.log2(max(float(light), DARKEST)))

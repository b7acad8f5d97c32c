"""A demonstration that needs no file and no network: one face before a bad webcam.

The portrait is scikit-image's `astronaut` (Eileen Collins, NASA, public domain). It drifts, turns and comes nearer on
slow sine paths; the light is dim and its colour wanders; the sensor is noisy, the focus soft, the picture went through
JPEG. All of it follows from the seed.
"""

import importlib.util
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.closing import Closing
from frrcam.errors import SourceLost, SourceNotFound, UsageError
from frrcam.frame import Frame, Image
from frrcam.limits import DEMO_HEIGHTS, DEMO_WIDTHS, check_rate
from frrcam.sources.base import SourceInfo

FACE_CENTRE: Final = (225.0, 135.0)
"""Of the portrait's face, in the portrait's own pixels (512×512)."""
FACE_HEIGHT: Final = 105.0
"""Brow line of the hair to chin, in the portrait's own pixels."""
FACE_SHARE: Final = 200 / 720
"""The face's height as a share of the widest 16:9 window in the picture: 200 px at 720p.

That window is the picture's lower end: a taller picture shows more wall above her, and not her hands.
"""
COLLAR: Final = (190, 225)
"""Rows of the portrait between which it goes out of focus: in the sharp badges and folds of her suit a detector now and
then sees a second face."""
SWAY: Final = 0.06
"""How far the face wanders from its place, as a share of the picture's sides."""
JPEG_QUALITY: Final = 45
NOISE_SIGMA: Final = 7.0
"""Of the sensor noise, in grey levels of 255."""
NOISE_SLACK: Final = 64
"""The noise is one picture this much larger than the frame, seen through a window that jumps every frame."""


class DemoSource(Closing):
    """Endless pictures of one face that needs enhancing; the same for the same size, rate and seed.

    Raises UsageError for a size outside 160x120 … 3840x2160 or a rate outside 1 … 240.
    """

    def __init__(self, size: tuple[int, int] = (1280, 720), fps: float = 30.0, seed: int = 0) -> None:
        width, height = size
        if width not in DEMO_WIDTHS or height not in DEMO_HEIGHTS:
            raise UsageError(f"the demo cannot be {width}x{height}; choose 160x120 to 3840x2160")
        check_rate(fps)
        self.info = SourceInfo("demo", width, height, fps, live=False)
        rng = np.random.default_rng(seed)
        window = min(height, width * 9 / 16)
        scale = FACE_SHARE * window / FACE_HEIGHT
        self._level = 1 - 0.56 * window / height
        # The portrait has 512 pixels: above that, half the picture's size already holds all its detail.
        self._coarse = 2 if scale > 1.2 else 1
        self._scale = scale / self._coarse
        self._scene, self._centre = _scene(width / scale, height / scale, self._level)
        self._noise = _noise(width + NOISE_SLACK, height + NOISE_SLACK, rng)
        self._seen = np.empty((-(-height // self._coarse), -(-width // self._coarse), 3), np.uint8)
        self._soft = np.empty((height, width, 3), np.uint8)
        self._windows = rng.integers(0, NOISE_SLACK, (997, 2))
        self._phases = rng.uniform(0, 2 * np.pi, 6)
        self._index = 0
        self._closed = False

    def read(self) -> Frame:
        """Never ends. Raises SourceLost once closed."""
        if self._closed:
            raise SourceLost("demo: closed")
        index, self._index = self._index, self._index + 1
        time = index / self.info.fps
        return Frame(self._develop(self._see(time), time, index), index, time, self.info.name)

    def close(self) -> None:
        self._closed = True

    def _see(self, time: float) -> Image:
        """The scene through the moving camera, at the coarse size."""
        height, width = self._seen.shape[:2]
        sway_x, sway_y, turn, approach = np.sin(2 * np.pi * time / np.array([7.0, 5.0, 9.0, 11.0]) + self._phases[:4])
        matrix = np.asarray(cv2.getRotationMatrix2D(self._centre, 5 * turn, self._scale * (1 + 0.07 * approach)), float)
        matrix[:, 2] += np.array([width * (0.5 + SWAY * sway_x), height * (self._level + SWAY * sway_y)]) - self._centre
        seen = cv2.warpAffine(self._scene, matrix, (width, height), dst=self._seen, flags=cv2.INTER_LINEAR)
        return np.asarray(seen, np.uint8)

    def _develop(self, seen: Image, time: float, index: int) -> Image:
        """Light, lens, sensor and wire, in that order."""
        size = (self.info.width, self.info.height)
        cv2.LUT(seen, self._light(time), dst=seen)
        soft = seen if self._coarse == 1 else cv2.resize(seen, size, dst=self._soft, interpolation=cv2.INTER_LINEAR)
        x, y = self._windows[index % len(self._windows)]
        noise = self._noise[y : y + size[1], x : x + size[0]]
        cv2.addWeighted(soft, 1.0, noise, 1.0, -128.0, dst=soft)
        _, packed = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)

    def _light(self, time: float) -> NDArray[np.uint8]:
        """Exposure and colour cast as a table 1×256×3: dim, from warm to cold and back."""
        exposure, warmth = np.sin(2 * np.pi * time / np.array([8.0, 13.0]) + self._phases[4:])
        gains = (0.56 + 0.12 * exposure) * np.array([1 - 0.22 * warmth, 1.0, 1 + 0.16 * warmth])
        curve = (np.arange(256)[:, None] / 255) ** 1.15 * gains * 255
        return np.asarray(np.clip(curve + 6, 0, 255)[None], np.uint8)


def _scene(width: float, height: float, level: float) -> tuple[Image, tuple[float, float]]:
    """The portrait in a room wide enough for a window of width×height to sway in, and the face's centre in it.

    `level`: at which share of the window's height, from its top, the face is.

    Beyond the portrait the room goes on as its own blurred reflection, which melts into it without an edge.
    """
    portrait = _portrait()
    focus = np.interp(np.arange(len(portrait)), COLLAR, (1, 0))[:, None, None]
    portrait = np.asarray(portrait * focus + cv2.GaussianBlur(portrait, (0, 0), 6) * (1 - focus) + 0.5, np.uint8)
    side = portrait.shape[0]
    # A quarter more than half the window, or than what is above and below, covers the sway, the turn and the nearing.
    reach_x, reach_up, reach_down = 0.75 * width, (level + 0.3) * height, (1.25 - level) * height
    left = max(0, int(reach_x - FACE_CENTRE[0]))
    right = max(0, int(reach_x - (side - FACE_CENTRE[0])))
    top = max(0, int(reach_up - FACE_CENTRE[1]))
    bottom = max(0, int(reach_down - (side - FACE_CENTRE[1])))
    # Above her is wall, which goes on by its edge: a reflection would show her hair twice.
    taller = cv2.copyMakeBorder(portrait, top, 0, 0, 0, cv2.BORDER_REPLICATE)
    sharp = cv2.copyMakeBorder(taller, 0, bottom, left, right, cv2.BORDER_REFLECT)
    small = cv2.resize(sharp, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3.0), (sharp.shape[1], sharp.shape[0]))
    inside = np.zeros(sharp.shape[:2], np.float32)
    inside[top + 24 : top + side - 24, left + 24 : left + side - 24] = 1
    weight = cv2.GaussianBlur(inside, (0, 0), 12.0)[..., None]
    scene = sharp * weight + blurred * (1 - weight)
    return np.asarray(scene + 0.5, np.uint8), (left + FACE_CENTRE[0], top + FACE_CENTRE[1])


def _portrait() -> Image:
    """The astronaut, 512×512 BGR, from scikit-image's file: importing the package would take longer than all else."""
    spec = importlib.util.find_spec("skimage")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "data", "astronaut.png")
        portrait = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) if file.is_file() else None
        if portrait is not None:
            return np.asarray(portrait, np.uint8)
    raise SourceNotFound("the demo's portrait is not there; get it by: pip install --force-reinstall scikit-image")


def _noise(width: int, height: int, rng: np.random.Generator) -> Image:
    """Fine grey noise with coarser colour blotches, as demosaicing leaves them; 128 is none."""
    grey = rng.standard_normal((height, width, 1), np.float32)
    blotches = cv2.resize(rng.standard_normal((height // 3, width // 3, 3), np.float32), (width, height))
    return np.asarray(np.clip(128.5 + NOISE_SIGMA * (0.8 * grey + 0.9 * blotches), 0, 255), np.uint8)

"""Apply a field of light to a picture: a tone curve with a shoulder, colour at half resolution, noise reduced.

Gains in linear light are gains in gamma space too (by G^(1/2.2)). One tone curve, that of the field's largest gain,
is applied through a mask, the field itself. The curve meets white at white, so that nothing blows out; it is steepest
in the dark, and black stays black. A bright window keeps its tone without any outline drawn around it.

Brightness is worked on at full resolution, colour at half of it, as cameras and video codecs have it.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.denoise import Denoiser
from frrcam.compose.exposure import GAMMA, small_scene
from frrcam.frame import Image

Plane = NDArray[np.float32]
Stops = NDArray[np.float32]
Levels = NDArray[np.uint8]

KNEE = 3.0
"""Sharpness of the shoulder: the exponent of its p-norm. Larger keeps the gain constant for longer."""
NOTICED = 0.02
"""Stops below which a change of light or colour is none."""
NOISE_STOPS = 0.0, 1.2
"""Stops of light from which noise is reduced, and from which it is reduced in full."""
BAND = 96
"""Rows worked on at a time: they stay in the cache."""


def curve(gain: float) -> Plane:
    """For each level (256), the factor − 1 that a gain in gamma space (> 0) has there.

    y = g·x / (1 + (g·x)^p − x^p)^(1/p): slope g at black, 1 at white, monotonic, the identity for g = 1.
    """
    x = np.arange(256, dtype=np.float64) / 255
    lit = gain * x
    toned = lit / (1 + np.maximum(lit**KNEE - x**KNEE, -0.99)) ** (1 / KNEE)
    return np.asarray(np.where(x > 0, toned / np.maximum(x, 1e-9), gain) - 1, np.float32)


class Toner:
    """Lights one frame after the other. Remembers only what the noise reduction needs."""

    def __init__(self, *, still: bool = False) -> None:
        """`still`: each picture stands for itself, and there is time."""
        self._denoiser = Denoiser(still=still)
        self._buffers: dict[str, NDArray[Any]] = {}

    def reset(self) -> None:
        """The next frame shows something else."""
        self._denoiser.reset()

    def apply(
        self, image: Image, light: Plane, colour: Stops, noise: float, dt: float, half: Image | None = None
    ) -> Image:
        """The picture (H×W×3 BGR) in its new light; the picture itself where nothing is asked.

        light   h×w, stops of luminance over the picture, at any resolution
        colour  h×w×3, stops of B, G and R beyond that
        noise   [0,1]: how far the noise of what is lit is reduced
        dt      seconds since the frame before
        half    the picture at half its size (`exposure.halved`), if at hand
        """
        light, colour = _noticed(light), _noticed(colour)
        if not light.any() and not colour.any():
            self.reset()
            return image
        even = _even(image)
        height, width = even.shape[:2]
        half_size = width // 2, height // 2
        grey = self._buffer("grey", (height, width), np.uint8)
        cv2.cvtColor(even, cv2.COLOR_BGR2GRAY, grey)
        if half is None or half.shape[1::-1] != half_size:
            half = np.asarray(cv2.resize(even, half_size, interpolation=cv2.INTER_AREA), np.uint8)
        coded = np.asarray(cv2.cvtColor(half, cv2.COLOR_BGR2YCrCb), np.uint8)
        share = np.asarray(_ramp(light, NOISE_STOPS) * np.float32(noise), np.float32)
        denoised = float(share.max()) > 0.02
        brightness: Plane | None = None
        if denoised:
            brightness = self._denoiser.brightness(grey, coded[..., 0], share, dt)
        else:
            self._denoiser.reset()

        largest = float(2 ** (np.abs(light).max() / GAMMA))
        mask = np.asarray((2 ** (light / np.float32(GAMMA)) - 1) / max(largest - 1, 1e-6), np.float32)
        factors = curve(largest)
        toned = self._buffer("toned", (height, width), np.uint8)
        self._brightness(grey, brightness, mask, factors, toned)
        planes = self._chroma(half, coded, mask, factors, colour, share if denoised else None)
        lit = cv2.cvtColorTwoPlane(toned, planes, cv2.COLOR_YUV2BGR_NV12)
        return np.asarray(lit[: image.shape[0], : image.shape[1]], np.uint8)

    def _brightness(self, grey: Levels, denoised: Plane | None, mask: Plane, factors: Plane, toned: Levels) -> None:
        """Write the brightness in its new light to `toned`, in limited range (16 to 235)."""
        height, width = grey.shape
        full = cv2.resize(mask, (width, height), dst=self._buffer("mask", grey.shape, np.float32))
        lift, lit = (self._buffer(name, (BAND, width), np.float32) for name in ("lift", "lit"))
        for first in range(0, height, BAND):
            rows = np.s_[first : first + BAND]
            count = min(BAND, height - first)
            part, out = lift[:count], lit[:count]
            cv2.LUT(grey[rows], factors, part)
            cv2.multiply(part, full[rows], part)
            plain = grey[rows] if denoised is None else denoised[rows]
            cv2.multiply(plain, part, part, dtype=cv2.CV_32F)
            cv2.add(plain, part, out, dtype=cv2.CV_32F)
            cv2.convertScaleAbs(out, toned[rows], 219 / 255, 16)

    def _buffer(self, name: str, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
        """An array that is kept from frame to frame: fresh memory costs more than the work done in it."""
        kept = self._buffers.get(name)
        if kept is None or kept.shape != shape:
            kept = self._buffers[name] = np.empty(shape, kind)
        return kept

    def _chroma(
        self, half: Image, coded: Image, mask: Plane, factors: Plane, colour: Stops, share: Plane | None
    ) -> Levels:
        """Cb and Cr (h×w×2, limited range) at half resolution, corrected, with their noise reduced, and lit."""
        size = coded.shape[1::-1]
        grey, *planes = (np.asarray(plane, np.uint8) for plane in cv2.split(coded))
        lift = np.asarray(cv2.multiply(cv2.LUT(grey, factors), cv2.resize(mask, size)), np.float32)
        np.add(lift, np.float32(1), out=lift)
        steady: Sequence[Plane | Levels] = self._denoiser.colour(planes) if share is not None else planes
        weight = cv2.resize(share, size) if share is not None else None
        tints = _tint(half, colour) if colour.any() else None
        toned = []
        for index in (1, 0):
            plane = np.subtract(planes[index], np.float32(128), dtype=np.float32)
            if weight is not None:
                change = cv2.subtract(steady[index], planes[index], dtype=cv2.CV_32F)
                cv2.add(plane, cv2.multiply(change, weight, change), plane)
            if tints is not None:
                tint = cv2.resize(tints[index], size)
                cv2.add(plane, cv2.multiply(tint, grey, tint, dtype=cv2.CV_32F), plane)
            cv2.multiply(plane, lift, plane)
            # limited range, as OpenCV's conversion back takes it
            toned.append(cv2.convertScaleAbs(plane, alpha=224 / 255, beta=128))
        return np.asarray(cv2.merge(toned), np.uint8)


def _tint(half: Image, colour: Stops) -> tuple[Plane, Plane]:
    """What the channels' gains add to Cr and Cb per level of brightness (each h×w, coarse).

    half: the picture (H×W×3 BGR); colour: h×w×3 stops of B, G, R. It is worked out for the mean colour of
    each cell. In proportion to each pixel's own brightness, dark hair beside lit skin takes on no colour.
    """
    cells = colour.shape[1::-1]
    coarse = cv2.resize(small_scene(half), cells, interpolation=cv2.INTER_LINEAR)
    before = np.asarray(coarse, np.float32) * np.float32(1 / 255)
    gains = cv2.exp(colour * np.float32(np.log(2) / GAMMA))
    plain, lit = (np.asarray(cv2.cvtColor(p, cv2.COLOR_BGR2YCrCb), np.float32) for p in (before, before * gains))
    few = np.float32(0.02)
    change = (lit[..., 1:] - 0.5) / (lit[..., :1] + few) - (plain[..., 1:] - 0.5) / (plain[..., :1] + few)
    smooth = np.asarray(cv2.blur(change, (3, 3)), np.float32)
    return np.ascontiguousarray(smooth[..., 0]), np.ascontiguousarray(smooth[..., 1])


def _noticed(stops: Stops) -> Stops:
    """Without what is below `NOTICED`, and with no step there."""
    return np.asarray(np.sign(stops) * np.maximum(np.abs(stops) - NOTICED, 0), np.float32)


def _ramp(stops: Plane, bounds: tuple[float, float]) -> Plane:
    return np.asarray(np.clip((stops - bounds[0]) / (bounds[1] - bounds[0]), 0, 1), np.float32)


def _even(image: Image) -> Image:
    """The picture with an even width and height; its last row or column repeats."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not bottom and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)

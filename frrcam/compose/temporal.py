"""A face's memory: restored pictures averaged over time where the face is still, taken as they come where it moves.

What is remembered is the restored face itself in aligned space, not its difference to the crop: the crop's
own noise is in that difference, so averaging the difference would bring the noise back. The change that
leaves is remembered face − this crop; where the face is still, what the viewer sees does not flicker at all.

The gain of the recursive filter is set per pixel, as in motion-adaptive noise reduction (Dubois and Sabri,
"Noise reduction in image sequences using motion-compensated temporal filtering", IEEE Trans. Communications
1984), from the low-passed difference between this crop and the remembered one, measured in units of the
sensor's noise. The face's overall colour goes through a slower filter of its own.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.compose.blend import Change, Mask
from frrcam.compose.curves import cubic, gain_after, smoothstep
from frrcam.frame import Image

Plane = NDArray[np.float32]

STILL_SECONDS = 0.25
"""Time constant of the average where nothing moves."""
COLOUR_SECONDS = 0.4, 2.0
"""Time constants of the overall colour of a face that moves, whose mean changes with what it turns to, and of a still
one, where a change is the network's whim: of a dim picture it takes the light now for poor and now for fair."""
EFFECT_SECONDS = 0.3, 5.0
"""Time constants of the classifier's word as it rises and as it falls: a camera's fault does not pass with a smile."""
FADE_SECONDS = 0.15
"""The effect on a face no longer refreshed falls to nothing in this time."""
HOLD_SECONDS = 0.5
"""How long the last result is re-used at full effect when the network does not run."""

_SMALL = 84
"""Side of the plane on which motion is measured, whatever the crop's: a rung's change of size is not motion."""
_QUICK = 0.9
"""Gain where the face moves."""
_FADING = 0.5
"""What is left of a motion measured one picture ago: the average stays quick until it has caught up."""
_QUIET, _MOVING = 1.8, 4.0
"""Mean differences below the first multiple of the noise are stillness (noise alone gives 0.8), above the second
motion."""
_LEAST_NOISE, _MOST_NOISE = 0.6, 4.0
"""Bounds of the noise estimate, in levels after the low-pass."""
_NOISE_RISES, _NOISE_FALLS = 4.0, 0.2
"""Time constants in seconds: quick motion of everything must not pass for noise."""
_COLOUR_STEP = 15.0, 40.0
"""A change of overall colour in levels that begins to be believed at once, and one that is wholly …"""
_LIGHT_STEP = 0.1, 0.3
"""… if the light on the crop has changed as well, by these shares of it: else it is but the network's whim."""
_LIGHT = 4.0
"""Deviation, in pixels of the plane that motion is measured on, of what light is read over: more than an eye."""
_MOST_GAIN = 4.0
"""What light multiplies by at the most, or divides."""
_STILL = 0.1, 0.4
"""Shares of a face that are still up to which it counts as moving, and from which as still."""
_YOUNG = 0.2
"""Seconds that a new memory counts as old: one that is younger than a time constant averages what it has."""
_CUT = 0.2
"""Correlation between crop and memory below which it is another face or another picture: the memory starts over."""


class Remembered(NamedTuple):
    """What to blend for this picture."""

    change: Change
    """S×S×3 BGR levels: steady restored face − this crop. A buffer of the memory, valid until its next update."""
    mask: Mask
    """S×S in [0,1]."""
    effect: float
    """[0,1], faded out where the network has not run for long."""


class FaceMemory:
    """The recursive filter of one track. Not thread-safe; one `update` per picture."""

    def __init__(self) -> None:
        self._size, self._empty = 0, True
        self._stale = self._effect = self._age = 0.0
        self._noise = 2.0
        self._face, self._fresh, self._mask = _blank(0, 0, 3), _blank(0, 0, 3), _blank(0, 0)
        self._seen: Image = np.zeros((0, 0, 3), np.uint8)
        self._relit: Change | None = None
        self._light = np.zeros(3)
        self._crop, self._moved = _blank(_SMALL, _SMALL), _blank(_SMALL, _SMALL)

    def update(
        self, crop: Image, change: Change | None, mask: Mask | None, effect: float | None, dt: float
    ) -> Remembered | None:
        """Takes in this picture's result, or None for all three where the network did not run; gives what to blend.

        crop    S×S×3 uint8 BGR, aligned; S may differ from one update to the next
        change  S×S×3 float32, restored − crop in levels; mask S×S in [0,1]; effect in [0,1]
        dt      seconds since this face's last update; anything not positive counts as no time passed

        None comes back if there is nothing to blend: the network never ran on this face or not for too long.
        """
        dt = max(dt, 0.0)
        self._resize(crop.shape[0])
        small = _low_pass(crop)
        if change is None or mask is None or effect is None:
            return self._reuse(crop, small, dt)
        np.add(crop, change, out=self._fresh)
        moving = self._motion(small, dt)
        if moving is None:
            self._begin(crop, small, mask, effect)
        else:
            self._average(crop, small, mask, effect, moving, self._stale + dt)
        self._seen, self._relit, self._stale = crop, None, 0.0
        np.subtract(self._face, crop, out=self._fresh)
        return Remembered(self._fresh, self._mask, self._effect)

    def _resize(self, size: int) -> None:
        if size == self._size:
            return
        if self._empty:
            self._face, self._mask = _blank(size, size, 3), _blank(size, size)
        else:
            self._face, self._mask = _resampled(self._face, size), _resampled(self._mask, size)
            self._seen = np.asarray(cv2.resize(self._seen, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        self._fresh = _blank(size, size, 3)
        self._relit, self._size = None, size

    def _begin(self, crop: Image, small: Plane, mask: Mask, effect: float) -> None:
        np.copyto(self._face, self._fresh)
        np.copyto(self._mask, mask)
        np.copyto(self._crop, small)
        self._moved.fill(1.0)
        self._light = _mean_colour(crop, _sampled(mask))
        # the effect fades in again after a cut: the network makes a face out of a camera that was just covered
        self._effect, self._empty = effect if self._empty else 0.0, False
        self._age = _YOUNG

    def _motion(self, small: Plane, dt: float) -> Plane | None:
        """Motion in [0,1] per low-passed pixel against the remembered crop; None if that shows something else."""
        if self._empty:
            return None
        # exposure is a gain and an offset: fitted and taken out, it is not mistaken for motion
        mean, mean_before = float(small.mean()), float(self._crop.mean())
        centred, before = small - mean, self._crop - mean_before
        both, own = float(np.vdot(centred, before)), float(np.vdot(before, before))
        if both < _CUT * np.sqrt(own * float(np.vdot(centred, centred))):
            return None
        gain = min(max(both / max(own, 1e-6), 0.5), 2.0)
        self._crop = before * np.float32(gain) + np.float32(mean)
        difference = np.asarray(cv2.absdiff(small, self._crop), np.float32)
        self._sense_noise(difference, dt)
        difference = np.asarray(cv2.blur(difference, (3, 3)), np.float32)
        t = difference * np.float32(1 / (self._noise * (_MOVING - _QUIET))) - np.float32(_QUIET / (_MOVING - _QUIET))
        t = np.clip(t, 0, 1, out=t)
        return np.asarray(cv2.dilate(cubic(t), np.ones((3, 3), np.uint8)), np.float32)

    def _sense_noise(self, difference: Plane, dt: float) -> None:
        """Follows the quartile of the differences: at least that part of a face is nearly always still."""
        samples = difference[::2, ::2].ravel()
        quartile = float(np.partition(samples, samples.size // 4)[samples.size // 4])
        now = quartile / 0.3186  # the quartile of |N(0,1)|
        self._noise += (now - self._noise) * gain_after(dt, _NOISE_RISES if now > self._noise else _NOISE_FALLS)
        self._noise = min(max(self._noise, _LEAST_NOISE), _MOST_NOISE)

    def _average(self, crop: Image, small: Plane, mask: Mask, effect: float, moving: Plane, dt: float) -> None:
        np.maximum(moving, self._moved * np.float32(_FADING), out=moving)
        self._moved, self._age = moving, self._age + dt
        still = gain_after(dt, STILL_SECONDS)
        weight = still + max(_QUICK - still, 0.0) * moving
        self._crop += weight * (small - self._crop)

        innovation = np.subtract(self._fresh, self._face, out=self._fresh)
        within = _sampled(mask)
        weights = within * (1.02 - moving)  # where the face is still: a moving mouth is no change of light
        colour, light = _mean_colour(innovation, weights), _mean_colour(crop, weights)
        share_still = float(np.vdot(within, 1 - moving)) / max(float(within.sum()), 1e-3)
        slow = self._colour_gain(colour, light, share_still, dt)
        self._light += slow * (light - self._light)
        weight = np.asarray(cv2.resize(weight, (self._size, self._size)), np.float32)
        cv2.subtract(innovation, np.append(colour, 0.0), innovation)
        cv2.multiply(innovation, cv2.merge([weight] * 3), innovation)
        cv2.add(innovation, np.append(slow * colour, 0.0), innovation)
        self._face += innovation
        self._mask += weight * (mask - self._mask)
        rises, falls = EFFECT_SECONDS
        self._effect += (effect - self._effect) * gain_after(
            dt, rises if effect > self._effect else min(falls, self._age)
        )

    def _colour_gain(
        self, colour: NDArray[np.float64], light: NDArray[np.float64], share_still: float, dt: float
    ) -> float:
        """What to take of a new overall colour (the difference in levels), where the crop's own is now `light`."""
        step = float(np.abs(light - self._light).max() / max(light.max(), self._light.max(), 1.0))
        believed = min(smoothstep(float(np.abs(colour).max()), _COLOUR_STEP), smoothstep(step, _LIGHT_STEP))
        moves, stays = COLOUR_SECONDS
        seconds = moves + (stays - moves) * smoothstep(share_still, _STILL)
        return max(gain_after(dt, min(seconds, self._age)), believed)

    def _reuse(self, crop: Image, small: Plane, dt: float) -> Remembered | None:
        """The remembered face once more; where it has moved since, only its light: its detail is elsewhere now."""
        self._stale += dt
        left = 1.0 - max(self._stale - HOLD_SECONDS, 0.0) / FADE_SECONDS
        moving = None if left <= 0.0 else self._motion(small, 0.0)
        if moving is None:
            self._empty, self._effect = True, 0.0
            return None
        if self._relit is None:
            # a factor and no difference: where an eye was the network has added next to nothing, and its lid needs more
            face, seen = (cv2.GaussianBlur(_shrunk(picture), (0, 0), _LIGHT) for picture in (self._face, self._seen))
            self._relit = np.asarray(np.clip((face + 4) / (seen + 4), 1 / _MOST_GAIN, _MOST_GAIN), np.float32)
        change = np.subtract(self._face, crop, out=self._fresh)
        moved = cv2.merge([np.asarray(cv2.resize(moving, self._mask.shape), np.float32)] * 3)
        light = cv2.resize(_shrunk(crop) * (self._relit - 1), self._mask.shape)
        change += moved * (light - change)
        return Remembered(change, self._mask, self._effect * left)


def _blank(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def _shrunk(picture: Image | Change) -> Change:
    return np.asarray(cv2.resize(picture, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA), np.float32)


def _low_pass(crop: Image) -> Plane:
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA), np.float32)


def _mean_colour(picture: Image | Change, weights: Plane) -> NDArray[np.float64]:
    """The mean (B,G,R) of the picture's samples."""
    total = max(float(weights.sum()), 1e-3)
    return np.asarray(weights.ravel() @ _sampled(picture).reshape(-1, 3) / total, np.float64)


def _sampled(picture: Image | Change | Mask) -> Plane:
    """Single pixels of it, as many as motion is measured on."""
    return np.asarray(cv2.resize(picture, (_SMALL, _SMALL), interpolation=cv2.INTER_NEAREST), np.float32)


def _resampled(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    method = cv2.INTER_AREA if size < array.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, (size, size), interpolation=method), np.float32)

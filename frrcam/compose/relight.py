"""Decide how much light each face and its scene get, steadily over time.

Measured light decides (`exposure`): a dim scene is exposed, a face before a bright window is filled in, and nothing
happens where nothing is wrong. The network's answer, restored over crop in linear light, refines that within bounds:
how far it goes, how unevenly the face is lit, and in which colour. It never switches light on or off.

Everything that is decided is a slow state, kept for each face apart from the face's detail: so a wavering opinion does
not pump. Where the camera's own exposure moves, the state moves against it at once. A face that is lost fades out
where it was last seen.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.amounts import Amounts
from frrcam.compose import exposure, monochrome
from frrcam.compose.curves import gain_after, smoothstep
from frrcam.compose.exposure import CELLS, LUMINANCE, FaceReading, Meter, SceneReading
from frrcam.compose.field import CENTRE, NEUTRAL, FaceLight, FaceMap, Stops, extend, face_map
from frrcam.faces.alignment import Affine, scale
from frrcam.frame import Image

Plane = NDArray[np.float32]


GONE = 1e-3
"""An amount of light that cannot be seen."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly light follows, in seconds, and how far it listens to the network."""

    appear: float = 0.5
    """A new face's light comes up in this time."""
    fade: float = 0.5
    """The light of a face that is lost goes in this time."""
    steady: float = 1.5
    """Time constant of an amount that hardly changes …"""
    quick: float = 0.35
    """… and of one that changes by a stop: a lamp was switched."""
    opinion: float = 0.3
    """The network may correct the measured stops by this share of them, up or down."""
    uneven: float = 1.0
    """Largest correction of uneven light within a face, in stops."""
    tint: tuple[float, float] = (0.08, 0.3)
    """Colour corrections below the first, in stops, are left; above the second they count in full."""
    white: tuple[float, float] = (-2.5, -0.5)
    """Surroundings darker than the face's bright parts by the first, in stops, show no white; by the second they do."""
    measure: float = 0.1
    """Seconds between measurements: light that is slow need not be measured in every frame."""
    cut: float = 0.2
    """Correlation of one small picture with the one before below which it shows something else."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One face of this frame."""

    id: int
    affine: Affine
    """2×3, from the picture to the crop."""
    crop: Image
    """S×S×3 BGR."""
    restored: Stops | None
    """S×S×3 float32 BGR, levels: the network's steady answer; None where there is none."""
    mask: Plane | None
    """S×S in [0,1]: the face."""
    trust: float
    """[0,1]: how far the network's opinion of the light counts."""
    confidence: float
    """[0,1]: how surely this is a face; it scales the light."""


@dataclass(slots=True, eq=False)
class _State:
    """The light of one face, as it stands."""

    affine: Affine
    size: int
    stops: float
    map: FaceMap
    level: float
    amount: float = 0.0
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What the network makes of one face's light."""

    stops: float
    map: FaceMap


@dataclass(slots=True, eq=False)
class Relight:
    """The light of a scene over time. Owned by one thread."""

    meter: Meter = field(default_factory=Meter)
    pace: Pace = field(default_factory=Pace)
    _faces: dict[int, _State] = field(default_factory=dict)
    _scene_stops: float = 0.0
    _before: Plane | None = None
    _since: float = 0.0
    _shown: float = 0.0

    def reset(self) -> None:
        """Forget everything: another camera, another size, a long gap.

        The last picture may still stand on the screen: where it was lit, the first one that follows is lit as much.
        """
        self._shown = max((face.amount for face in self._faces.values()), default=0.0)
        self._faces.clear()
        self._before, self._scene_stops, self._since = None, 0.0, 0.0

    @property
    def active(self) -> bool:
        """True while some face's light is still shown, though the face may be gone."""
        return any(face.amount > 0 for face in self._faces.values())

    def update(
        self, image: Image, faces: list[Seen], dt: float, strength: float, amounts: Amounts, size: tuple[int, int]
    ) -> tuple[Plane, Stops] | None:
        """The field of this frame: stops of luminance (h×w) and of colour (h×w×3); None where no light is lacking.

        image     H×W×3 BGR, as the camera gave it, or any smaller version of it
        faces     those that are served
        dt        seconds since the frame before
        strength  [0,1], scales the amounts
        amounts   how much of each kind
        size      width, height of the picture that `faces` are in
        """
        small = exposure.small_scene(image)
        light = exposure.luminance(small)
        known = bool(self._faces)
        drift = self._drift(light)
        if drift is None:
            self.reset()  # a cut: the new picture is judged afresh, and shown in its own light at once
        else:
            self._scene_stops = max(self._scene_stops - drift * (self._scene_stops > 0), 0.0)
            for state in self._faces.values():
                state.stops = max(state.stops - drift * (state.stops > 0), 0.0)
                state.level += drift
        self._before = light
        if not faces and not known:
            return None
        self._take(faces, dt)
        self._measure(small, light, faces, light.shape[1] / size[0], dt, amounts)
        self._fade({face.id for face in faces}, dt)
        given, coloured = strength * amounts.careful_light, strength * amounts.colour
        lights = [
            FaceLight(
                state.affine,
                state.size,
                given * state.stops,
                state.map,
                state.level,
                state.amount * state.confidence,
                given,
                coloured,
            )
            for state in self._faces.values()
        ]
        brightness = np.log2(np.maximum(light, exposure.DARKEST))
        return extend(lights, given * self._scene_stops, brightness, size, amounts.reach)

    def _take(self, faces: list[Seen], dt: float) -> None:
        """Where the faces are now; those that are new, or known under another number, begin unlit."""
        here = {face.id for face in faces}
        for face in faces:
            size = face.crop.shape[0]
            state = self._faces.get(face.id) or self._inherited(face, here)
            if state is None:
                state = _State(face.affine, size, math.nan, NEUTRAL, 0.0)
                self._since = math.inf
            state.affine, state.size, state.confidence = face.affine, size, face.confidence
            state.amount = min(state.amount + dt / self.pace.appear, 1.0)
            self._faces[face.id] = state

    def _measure(
        self,
        small: Image,
        light: Plane,
        faces: list[Seen],
        ratio: float,
        dt: float,
        amounts: Amounts,
    ) -> None:
        """Every now and then, read the meter and the network's answers."""
        self._since += dt
        if not faces or self._since < self.pace.measure:
            return
        elapsed = dt if math.isinf(self._since) else self._since
        self._since = 0.0
        scene = exposure.read_scene(small, light, [_place(face, ratio) for face in faces])
        target = self.meter.scene_stops(scene, amounts.eager)
        first = all(math.isnan(self._faces[face.id].stops) for face in faces)
        gain = 1.0 if first else self._gain(target - self._scene_stops, elapsed)
        self._scene_stops += gain * (target - self._scene_stops)
        for face in faces:
            cells = exposure.small_face(face.crop)
            reading = exposure.read_face(cells)
            stops = self.meter.face_stops(reading, scene, amounts.eager)
            opinion = self._opinion(face, cells, self._white(reading, scene))
            limit = self.pace.opinion * stops
            trust = 0.0 if face.restored is None else face.trust
            stops += trust * min(max(opinion.stops - stops, -limit), limit)
            state = self._faces[face.id]
            if math.isnan(state.stops):
                state.stops, state.map, state.level = stops, opinion.map, reading.bright
                state.amount = max(state.amount, self._shown)
                continue
            state.stops += self._gain(stops - state.stops, elapsed) * (stops - state.stops)
            state.level += self._gain(reading.bright - state.level, elapsed) * (reading.bright - state.level)
            slow = np.float32(self._gain(0.0, elapsed))
            state.map = FaceMap(
                state.map.layers + slow * (opinion.map.layers - state.map.layers),
                state.map.inside + slow * (opinion.map.inside - state.map.inside),
            )
        self._shown = 0.0

    def _white(self, face: FaceReading, scene: SceneReading) -> tuple[Stops, float]:
        """The colour correction (B, G, R, stops) that the scene's white asks for, and how reliable that is, [0,1].

        Surroundings that are much darker than the face show no white.
        """
        return np.asarray(scene.cast, np.float32), smoothstep(scene.around - face.bright, self.pace.white)

    def _opinion(self, face: Seen, small: Image, white: tuple[Stops, float]) -> Opinion:
        """The network's light: the ratio of restored to crop in linear light, coarse, where the face is."""
        if face.restored is None or face.mask is None:
            return Opinion(0.0, NEUTRAL)
        inner = cv2.erode(cv2.resize(face.mask, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.ones((3, 3)))
        inner = np.clip(np.asarray(inner, np.float32), 0, 1)
        restored = cv2.resize(face.restored, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
        levels = np.asarray(np.clip(restored, 0, 255), np.uint8)
        parts = [exposure.linear(part) * inner[..., None] for part in (levels, small)]
        lit, plain = (np.asarray(cv2.GaussianBlur(part, (0, 0), 2.0), np.float32) for part in parts)
        known = np.asarray(cv2.GaussianBlur(inner, (0, 0), 2.0), np.float32)
        few = np.float32(1e-4)
        stops = np.log2((lit + few) / (plain + few))
        of_light = np.log2((lit @ LUMINANCE + few) / (plain @ LUMINANCE + few))
        total = max(float(known.sum()), 1e-3)
        mean = float((of_light * known).sum()) / total
        shape = np.clip(of_light - mean, -self.pace.uneven, self.pace.uneven) * np.float32(face.trust)
        colour = (stops - of_light[..., None]) * np.float32(monochrome.coloured(face.crop))
        tint = np.asarray(np.tensordot(known, colour, axes=2) / total, np.float32)
        agreed = self._agreed(tint, white) * np.float32(smoothstep(float(np.abs(tint).max()), self.pace.tint))
        colour = (colour - tint + agreed) * np.float32(face.trust)
        return Opinion(mean, face_map(np.asarray(colour, np.float32), np.asarray(shape, np.float32), known))

    @staticmethod
    def _agreed(tint: Stops, white: tuple[Stops, float]) -> Stops:
        """The network's tint as far as the scene's white allows it: no further, and not another way."""
        correction, reliable = white
        along = np.sign(tint) == np.sign(correction)
        limited = np.where(along, np.sign(tint) * np.minimum(np.abs(tint), np.abs(correction)), 0)
        return np.asarray(tint + reliable * (limited - tint), np.float32)

    def _drift(self, light: Plane) -> float | None:
        """Stops by which the whole picture's exposure rose since the frame before; None if it shows something else."""
        before = self._before
        if before is None:
            return 0.0
        if before.shape != light.shape:
            return None
        few = np.float32(0.004)
        now, then = np.log2(light[::2, ::2] + few), np.log2(before[::2, ::2] + few)
        deviation = float(now.std() * then.std())
        if deviation > 0.02 and float(((now - now.mean()) * (then - then.mean())).mean()) < self.pace.cut * deviation:
            return None
        change = now - then
        drift = float(np.median(change))
        # a change of exposure moves every part alike; a lamp, a hand or a cloud do not
        alike = float(np.mean(np.abs(change - drift) < 0.5 * abs(drift) + 0.03))
        return drift if abs(drift) > 0.015 and alike > 0.6 else 0.0

    def _fade(self, seen: set[int], dt: float) -> None:
        for gone in self._faces.keys() - seen:
            left = self._faces[gone].amount - dt / self.pace.fade
            self._faces[gone].amount = left if left > GONE else 0.0
        self._faces = {name: state for name, state in self._faces.items() if state.amount > 0 or name in seen}
        if not self._faces:
            self._scene_stops = 0.0

    def _inherited(self, face: Seen, here: set[int]) -> _State | None:
        """The light of a face that was lost where this one is: the tracker gave it a new number."""
        x, y, side = _place(face, 1.0)
        for name, state in self._faces.items():
            other_x, other_y, other_side = _centre(state.affine, state.size, 1.0)
            near = np.hypot(x - other_x, y - other_y) < 0.3 * side and 0.6 < other_side / side < 1.6
            if near and name not in here:
                return self._faces.pop(name)
        return None

    def _gain(self, change: float, seconds: float) -> float:
        """What to take of a change (in stops) after this number of seconds."""
        slow, quick = self.pace.steady, self.pace.quick
        constant = slow + (quick - slow) * smoothstep(abs(change), (0.3, 1.0))
        return gain_after(max(seconds, 0.0), constant)


def _place(face: Seen, ratio: float) -> tuple[float, float, float]:
    return _centre(face.affine, face.crop.shape[0], ratio)


def _centre(affine: Affine, size: int, ratio: float) -> tuple[float, float, float]:
    """Middle of the head (x, y) and side of the crop, in pixels of the picture times `ratio`."""
    back = cv2.invertAffineTransform(affine)
    x, y = back @ (CENTRE[0] * size, CENTRE[1] * size, 1)
    return float(x) * ratio, float(y) * ratio, size / scale(affine) * ratio

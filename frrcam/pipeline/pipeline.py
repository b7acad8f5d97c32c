"""The hot path: one frame and what is remembered of the frames before it, in; one picture, out."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from frrcam.amounts import Amounts
from frrcam.compose.blend import effect
from frrcam.compose.composer import Composer, Face
from frrcam.compose.temporal import FaceMemory
from frrcam.errors import ModelError
from frrcam.faces.alignment import Affine, crop, similarity
from frrcam.faces.tracker import Tracker
from frrcam.faces.types import Detector, Track
from frrcam.frame import Frame, Image
from frrcam.pipeline.budget import GAP_S
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.metrics import Stopwatch
from frrcam.restore.contract import to_image
from frrcam.restore.types import Restored, Restorer

NATURAL = Amounts()

APPEAR_S = 0.2
"""Seconds in which the effect on a face comes up or goes: a face that is served no longer fades, it does not pop."""
STICKY = 1.15
"""A face that is served counts as this much larger, so that two of one size do not take turns."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one frame."""

    image: Image
    """The picture to publish; the frame's own image, untouched, where there was nothing to do."""
    tracks: list[Track]
    """All faces followed, largest first."""
    fresh: int
    """Faces whose change comes from this very frame."""
    wanted: int
    """Faces that were served."""
    stages: dict[str, float]
    """Seconds spent in each stage that ran."""


@dataclass(slots=True)
class _Face:
    """What is remembered of one track."""

    memory: FaceMemory = field(default_factory=FaceMemory)
    presence: float = 0.0
    """[0,1]: how far the effect has come up. It comes up on what is shown only: else the first result would pop."""
    refreshed: int = -1
    """Index of the frame that the change was last computed on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Aligned:
    """A face of this frame, cut out."""

    track: Track
    face: _Face
    affine: Affine
    crop: Image
    step: float
    """What its presence is to rise by, or to fall by if it is no longer served."""


class Pipeline:
    """Detect, track, align, restore, compose. Single-threaded; any exception leaves it usable for the next frame."""

    def __init__(
        self,
        detector: Detector,
        restorers: Mapping[str, Restorer],
        tracker: Tracker | None = None,
        *,
        min_size: int = 40,
        gap_s: float = GAP_S,
        still: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`restorers` by name, as the budget's rungs name them; faces under `min_size` pixels are left alone.

        `gap_s`: seconds between frames after which nothing that was remembered of the faces holds. `still`: it is one
        picture, shown several times, and there is time.
        """
        self._detector, self._restorers, self._clock = detector, dict(restorers), clock
        self._tracker = tracker or Tracker()
        self._min_size, self._gap_s = min_size, gap_s
        self._faces: dict[int, _Face] = {}
        self._composer = Composer(still=still)
        self._last: float | None = None
        self._eligible = 0

    @property
    def face_count(self) -> int:
        """Faces large enough to be served that the coming frame will probably hold."""
        return self._eligible

    @property
    def urgent(self) -> bool:
        """True if a face is being lost or waits to be confirmed, so that a detection on the coming frame would pay."""
        return self._tracker.urgent

    def process(self, frame: Frame, plan: Plan, strength: float, amounts: Amounts = NATURAL) -> Outcome:
        """The frame enhanced as planned; `strength` in [0,1] scales everything, `amounts` each kind of change."""
        watch = Stopwatch(self._clock)
        elapsed = max(0.0, frame.timestamp - self._last) if self._last is not None else 0.0
        presence = 0.0
        if elapsed > self._gap_s:
            # the last picture stood there meanwhile: where it showed the effect, the first one does too
            presence = max((face.presence for face in self._faces.values()), default=0.0)
            self.reset()
            elapsed = 0.0
        self._last = frame.timestamp
        detections = self._detector.detect(frame.image) if plan.detect else None
        if plan.detect:
            watch.lap("detect")
        tracks = sorted(self._tracker.update(frame.image, frame.timestamp, detections), key=lambda track: -track.side)
        self._faces = {track.id: self._faces.get(track.id) or _Face(presence=presence) for track in tracks}
        watch.lap("track")
        restorer = self._restorers[plan.model] if plan.model else None
        eligible = sorted((track for track in tracks if self._rank(track) >= self._min_size), key=self._rank)
        served = {track.id for track in eligible[::-1][: plan.faces]}
        self._eligible = len(eligible)
        if restorer is None or not (tracks or self._composer.active):
            return Outcome(frame.image, tracks, 0, len(served), watch.laps)
        aligned = self._align(frame.image, tracks, served, restorer.size, elapsed)
        watch.lap("align")
        oldest_first = sorted(aligned, key=lambda one: one.face.refreshed)
        due = [one for one in oldest_first if one.track.id in served][: plan.fresh]
        result = _finite(restorer.restore([one.crop for one in due])) if due else None
        if result:
            watch.lap("restore")
        faces = self._remember(frame, aligned, due, result, elapsed)
        watch.lap("compose")
        lit = self._composer.light(frame.image, faces, strength, amounts, elapsed)
        watch.lap("light")
        image = self._composer.detail(frame.image, lit, faces, strength, amounts)
        watch.lap("compose")
        return Outcome(image, tracks, len(due), len(served), watch.laps)

    def reset(self) -> None:
        """Forgets all faces: another camera, another size, a long gap."""
        self._tracker.reset()
        self._faces.clear()
        self._composer.reset()
        self._last, self._eligible = None, 0

    def _rank(self, track: Track) -> float:
        """By which faces are served: the side, and a little more for one that is served already."""
        return track.side * (STICKY if self._faces[track.id].presence > 0 else 1.0)

    def _align(self, image: Image, tracks: list[Track], served: set[int], size: int, elapsed: float) -> list[_Aligned]:
        """Cuts out the faces that are served, and those whose effect has not yet faded."""
        step = elapsed / APPEAR_S
        aligned = []
        for track in tracks:
            face, is_served = self._faces[track.id], track.id in served
            if is_served or face.presence > 0:
                affine = similarity(track.points, size)
                cut = crop(image, affine, size)
                aligned.append(_Aligned(track, face, affine, cut, step if is_served else -step))
        return aligned

    def _remember(
        self, frame: Frame, aligned: list[_Aligned], due: list[_Aligned], result: Restored | None, elapsed: float
    ) -> list[Face]:
        """Each face with what there is to show of it."""
        faces = []
        for one in aligned:
            change, mask, word = None, None, None
            if result is not None and one in due:
                index = due.index(one)
                change = to_image(result.restored[index]) - one.crop
                mask, word = result.mask[index, 0], effect(result.distortion[index])
                one.face.refreshed = frame.index
            remembered = one.face.memory.update(one.crop, change, mask, word, elapsed)
            if remembered is None:
                one.face.presence = 0.0
            else:
                one.face.presence = min(1.0, max(0.0, one.face.presence + one.step))
                if one.step < 0 and not one.face.presence:
                    one.face.memory = FaceMemory()  # once it is served again, this is long past
            restored = None if remembered is None else remembered.change + one.crop
            track, presence, served = one.track, one.face.presence, one.step >= 0
            shown = presence, track.confidence, served
            faces.append(Face(track.id, one.affine, one.crop, remembered, restored, *shown))
        return faces


def _finite(result: Restored) -> Restored:
    """The result, unless it holds what is not a number: half-precision providers overflow without a word."""
    if not all(math.isfinite(float(part.sum())) for part in (result.restored, result.mask)):
        raise ModelError("the network's result is not finite")
    return result

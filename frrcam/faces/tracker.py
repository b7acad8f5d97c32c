"""Faces over time: detections where there are some, optical flow in between, one identity throughout."""

from itertools import count

import numpy as np
from numpy.typing import NDArray

from frrcam.faces.boxes import Box, overlap
from frrcam.faces.confirm import Confirmation
from frrcam.faces.follow import FollowedFace
from frrcam.faces.types import Detection, Track
from frrcam.frame import LUMA, Image

NEAR = 0.5
"""Mean distance of the points, in sides of the smaller face, up to which a detection may belong to a face."""
SAME = 0.5
"""Overlap (IoU) from which two boxes show one face."""
NOMINAL = 1 / 30
"""Seconds between pictures where timestamps do not say."""

_CUT_DIFFERENCE, _CUT_CORRELATION = 15.0, 0.5
"""A cut: sparse samples of two pictures differ by more levels, and correlate less, than this."""


class Tracker:
    """Follows all faces of one source. Not thread-safe; one `update` per picture, in order.

    confirmation: what a new face needs before it is shown.
    """

    def __init__(self, confirmation: Confirmation | None = None) -> None:
        self._confirmation = confirmation or Confirmation()
        self._faces: list[FollowedFace] = []
        self._identities = count(1)
        self._shape: tuple[int, ...] | None = None
        self._time: float | None = None
        self._sample: NDArray[np.float32] | None = None

    @property
    def urgent(self) -> bool:
        """Whether a detection on the next picture would pay: a face is being lost or waits to be confirmed."""
        return any(face.doubtful for face in self._faces)

    def reset(self) -> None:
        """Forgets all faces; identities go on counting."""
        self._faces, self._sample, self._time = [], None, None

    def veto(self, identity: int) -> None:
        """Hide a track that the restorer's answer shows to be no face (`frrcam.faces.confirm.plausible`).

        It stays hidden for `Confirmation.veto` seconds, then it needs evidence again. An unknown identity is ignored.
        """
        for face in self._faces:
            if face.id == identity:
                face.veto()

    def update(self, image: Image, timestamp: float, detections: list[Detection] | None) -> list[Track]:
        """The faces of this picture, largest first.

        image       H×W×3 uint8 BGR; another size than before starts over
        timestamp   seconds; intervals may vary, one that is not positive counts as a thirtieth of a second
        detections  what the detector found in this very picture; None if it was not asked
        """
        if image.shape != self._shape:
            self.reset()
        self._shape = image.shape
        elapsed = timestamp - self._time if self._time is not None else NOMINAL
        dt = elapsed if elapsed > 0 else NOMINAL
        self._time = timestamp
        cut = self._is_cut(image)
        for face in self._faces:
            face.advance(image, dt)
        if cut:
            self._faces = [face for face in self._faces if not face.strange]
        if detections is not None:
            self._take_in(detections, image)
        for face in self._faces:
            face.settle(image, dt)
        height, width = image.shape[:2]
        self._faces = [face for face in self._faces if not face.ended(width, height)]
        tracks = [face.track for face in self._faces if face.shown]
        return sorted(tracks, key=lambda track: -track.side)

    def _is_cut(self, image: Image) -> bool:
        before = self._sample
        step = max(image.shape[0] // 24, 1), max(image.shape[1] // 32, 1)
        # grey: a screen that turns from red to blue lights another colour, and the same scene
        sample = image[step[0] // 2 :: step[0], step[1] // 2 :: step[1]].astype(np.float32) @ LUMA
        sample -= sample.mean()
        self._sample = sample
        if before is None or float(np.abs(sample - before).mean()) < _CUT_DIFFERENCE:
            return False
        norms = float(np.linalg.norm(sample)) * float(np.linalg.norm(before))
        return float(np.vdot(sample, before)) < _CUT_CORRELATION * norms

    def _take_in(self, detections: list[Detection], image: Image) -> None:
        detections = [detection for detection in detections if _usable(detection)]
        pairs = _assign(self._faces, detections)
        for face, detection in pairs:
            face.correct(detection)
        seen = [face for face, _ in pairs]
        taken = {id(detection) for _, detection in pairs}
        for face in self._faces:
            if face not in seen:
                face.refuse()
        # a face on top of one that was seen is an echo of it: flow has slipped from the one behind to the one in front
        self._faces = [
            face for face in self._faces if face in seen or not any(overlap(_box(face), _box(s)) > SAME for s in seen)
        ]
        for detection in detections:
            if id(detection) in taken or any(overlap(detection.box, _box(face)) > SAME for face in seen):
                continue
            self._faces.append(FollowedFace(next(self._identities), detection, image, self._confirmation))


def _assign(faces: list[FollowedFace], detections: list[Detection]) -> list[tuple[FollowedFace, Detection]]:
    """Pairs faces and detections, cheapest first; a cost is the points' mean distance less the boxes' overlap."""
    costs = []
    for row, face in enumerate(faces):
        for column, detection in enumerate(detections):
            left, top, right, bottom = detection.box
            sides = sorted((face.side, max(right - left, bottom - top)))
            apart = float(np.mean(np.abs(detection.points.astype(np.float64) @ (1, 1j) - face.points))) / sides[0]
            shared = overlap(_box(face), detection.box)
            if sides[1] < 2.5 * sides[0] and (apart < NEAR or shared > 0.3):
                costs.append((apart - 0.5 * shared, row, column))
    pairs, rows, columns = [], set(), set()
    for _, row, column in sorted(costs):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((faces[row], detections[column]))
    return pairs


def _box(face: FollowedFace) -> Box:
    return face.track.box


def _usable(detection: Detection) -> bool:
    left, top, right, bottom = detection.box
    numbers = (*detection.box, detection.score, *detection.points.ravel().tolist())
    finite = bool(np.isfinite(numbers).all())
    return finite and right > left and bottom > top and float(np.ptp(detection.points, axis=0).max()) > 1.0

"""One face, followed: where it is, where it goes, and how sure that still is."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.faces.alignment import similarity
from frrcam.faces.boxes import overlap
from frrcam.faces.confirm import Confirmation, Evidence
from frrcam.faces.flow import Motion, Patch, Positions, motion, pairs
from frrcam.faces.smoothing import OneEuro, PointFilter
from frrcam.faces.types import Detection, Points, Track
from frrcam.frame import Image

PATIENCE = 1.0
"""Seconds for which a well-known face is kept while the detector does not see it and flow still agrees."""
HOLD = 0.25
"""Seconds of that before its confidence begins to fall: a blink changes nothing."""
UNSEEN = 2.0
"""Seconds after which a face for which no detection was asked for counts as not seen."""

_RECOVERY, _LOST, _STRANGE = 0.15, 0.12, 0.2
"""Seconds in which confidence comes back from nothing once the face is seen; in which it goes when flow fails
as well; in which it goes when what flow follows no longer looks like the face."""
_LIKENESS = 0.3
"""Correlation with the face as last detected, below which it does not look like it."""
_PORTRAIT = 24
_DAMPING = 0.3
"""Seconds in which a velocity that nothing confirms dies out."""
_LONGEST_STEP = 0.08
"""Seconds that a single picture counts for at most when confidence falls: one late picture ends no track."""
_TILTED = 0.65
"""Radians from upright beyond which the detector, trained on upright heads, may not see a face that is there."""
_LEAST_VISIBLE = 0.35
"""Share of the box that must lie in the picture, else its confidence falls: what is left of it is not to pop."""


class FollowedFace:
    """The state of one track. Points and corners are complex numbers, x + iy, in pixels."""

    def __init__(self, identity: int, detection: Detection, image: Image, rule: Confirmation) -> None:
        self.id = identity
        self.box = _corners(detection)
        self.detected, self.confidence = True, 1.0
        self._rule, self._evidence = rule, Evidence(rule)
        self._evidence.add(detection.score, 0.0)
        self._hidden_until = 0.0
        self.shown = self._evidence.enough
        self._filter = PointFilter(_complex(detection.points), self.side)
        self._steady, self._euro = self._filter.points, OneEuro()
        self._velocity, self._speed = 0j, 0.0
        self._age = self._seen_until = self._doubt = self._unseen = 0.0
        self._flows, self._held, self._refused = True, True, False
        self._patch = Patch.around(image, self.centre, self.side)
        self._portrait = self._look()

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        diagonal = complex(self.box[1] - self.box[0])
        return max(diagonal.real, diagonal.imag)

    @property
    def centre(self) -> complex:
        """The middle of the box."""
        return complex(self.box[0] + self.box[1]) / 2

    @property
    def points(self) -> Positions:
        """Where the five points are now, before smoothing."""
        return self._filter.points

    @property
    def track(self) -> Track:
        """The face as others see it."""
        corners = self.box.tolist()
        box = (corners[0].real, corners[0].imag, corners[1].real, corners[1].imag)
        return Track(self.id, box, pairs(self._steady), self.confidence, self.detected)

    def advance(self, image: Image, dt: float) -> None:
        """Goes where flow says, or where the last velocity would have led, from the last picture to this one."""
        self.detected = False
        self._age += dt
        self._unseen += dt
        before = self.points
        # a velocity is believed for a few tenths of a second: a long gap between pictures is not run through
        ahead = self._velocity * _DAMPING * -np.expm1(-dt / _DAMPING)
        found, after = self._flow(image, ahead)
        if found is None and abs(ahead) > 1.0:
            found, after = self._flow(image, 0j)
        self._flows = found is not None
        self._held = self._held and self._flows
        if found is not None:
            self._filter.carry(found(before), self.side, sure=True)
            centre = self.centre
            self.box = found.factor * centre + found.shift + (self.box - centre) * abs(found.factor)
        else:
            self._filter.carry(before + ahead, self.side, sure=False)
            self.box = self.box + ahead
        self._patch = after
        self._feel_speed(before, dt)

    def _flow(self, image: Image, ahead: complex) -> tuple[Motion | None, Patch | None]:
        if self._patch is None:
            return None, None
        after = self._patch.again(image, ahead)
        return motion(self._patch, after, self.box, ahead), after

    def correct(self, detection: Detection) -> None:
        """Takes in the detection that belongs to this face."""
        measured = _complex(detection.points)
        self._weigh(detection)
        if not self._held and self._filter.contradicts(measured, self.side, detection.score):
            # flow has failed since the last one, and where the last velocity led to the face is not
            self._filter, self._euro = PointFilter(measured, self.side), OneEuro()
        else:
            self._filter.correct(measured, self.side, detection.score)
        self.box = self.box + (0.25 if self._held else 1.0) * (_corners(detection) - self.box)
        self._held = True
        self.detected, self._refused = True, False
        self._seen_until, self._doubt, self._unseen = self._age, 0.0, 0.0

    def _weigh(self, detection: Detection) -> None:
        """Count a detection of a face that is not shown yet."""
        if self.shown or self.vetoed:
            return
        self._evidence.add(detection.score, self._age, overlap(self.track.box, detection.box))
        self.shown = self._evidence.enough

    def veto(self) -> None:
        """What was shown is no face: hide it. It is followed on, so that its next detection is not a new face."""
        self.shown = False
        self._hidden_until = self._age + self._rule.veto
        self._evidence = Evidence(self._rule)

    @property
    def vetoed(self) -> bool:
        """Whether a veto still holds."""
        return self._age < self._hidden_until

    def refuse(self) -> None:
        """The detector looked, and did not see this face: which says nothing of a known one that leans far over."""
        known = self._seen_until >= PATIENCE and self._flows and self._alike
        self._refused = not (known and self._tilted)
        if not self._refused:
            self._doubt = self._unseen = 0.0

    def settle(self, image: Image, dt: float) -> None:
        """Ends the picture: confidence, smoothing, and the patch that the next picture is compared with."""
        if self._refused or self._unseen > UNSEEN:
            self._doubt += dt
        leaves = not self.detected and self._visible(image.shape[1], image.shape[0]) < _LEAST_VISIBLE
        trend = -1 / _LOST if leaves else self._trend()
        self.confidence = min(max(self.confidence + trend * min(dt, _LONGEST_STEP), 0.0), 1.0)
        self._steady = self._euro(self.points, self._speed, dt)
        centre = self.centre
        if self._patch is None or not self._patch.fits(centre, self.side):
            self._patch = Patch.around(image, centre, self.side)
        if self.detected:
            self._portrait = self._look()

    def ended(self, width: int, height: int) -> bool:
        """Whether nothing is left to follow in a picture of that size."""
        if not np.isfinite(self.box).all() or self.side < 4.0:
            return True
        if self.detected:
            return False
        if self.vetoed and self._visible(width, height):
            return False
        return self.confidence <= 0.0 or not self._visible(width, height) or (self._refused and not self.shown)

    def _visible(self, width: int, height: int) -> float:
        """The share of the box that lies in a picture of that size."""
        left, top, right, bottom = self.track.box
        across, down = min(right, width) - max(left, 0.0), min(bottom, height) - max(top, 0.0)
        return max(across, 0.0) * max(down, 0.0) / max((right - left) * (bottom - top), 1.0)

    @property
    def strange(self) -> bool:
        """Whether what is followed no longer is what was detected: after a cut, there is nothing to keep."""
        return not self.detected and not (self._flows and self._alike)

    @property
    def _alike(self) -> bool:
        return _correlation(self._look(), self._portrait) >= _LIKENESS

    @property
    def _tilted(self) -> bool:
        down = complex(self.points[3:].mean() - self.points[:2].mean())
        return abs(float(np.angle(down / 1j))) > _TILTED

    @property
    def doubtful(self) -> bool:
        """Whether the next detection decides about this face."""
        if self.vetoed:
            return False
        return not self.shown or not self._flows or self._refused or self.confidence < 1.0

    def _trend(self) -> float:
        """Confidence gained or lost per second."""
        if self.detected:
            return 1 / _RECOVERY
        if not self._flows:  # quick motion or noise may cost a picture or two, the face itself shows if it is there
            return 0.0 if self._alike and not self._doubt else -1 / _LOST
        if not self._doubt:  # after a loss, flow may have taken hold of what stands where the face was
            return 1 / _RECOVERY if self.confidence < 1.0 and self._alike else 0.0
        if not self._alike:
            return -1 / _STRANGE
        # a face seen for a moment only is not given the benefit of a long doubt
        patience = min(PATIENCE, 0.1 + self._seen_until)
        hold = HOLD * patience / PATIENCE
        return -1 / (patience - hold) if self._doubt > hold else 0.0

    def _feel_speed(self, before: Positions, dt: float) -> None:
        moved = self.points - before
        now = float(np.mean(np.abs(moved))) / (dt * self.side)
        self._speed += 0.5 * (now - self._speed)
        # the filter opens with the first picture of a motion and closes after the last
        self._speed = max(self._speed, now)
        if self._flows:
            self._velocity += 0.5 * (complex(moved.mean()) / dt - self._velocity)
        else:
            self._velocity *= float(np.exp(-dt / _DAMPING))

    def _look(self) -> NDArray[np.float32] | None:
        """A tiny aligned picture of the face, of no mean and unit length; None where there is nothing to see."""
        if self._patch is None:
            return None
        try:
            affine = similarity(pairs(self._patch.inside(self.points)), _PORTRAIT)
        except ValueError:
            return None
        seen = cv2.warpAffine(self._patch.grey, affine, (_PORTRAIT, _PORTRAIT), borderMode=cv2.BORDER_REPLICATE)
        centred = seen.astype(np.float32) - np.float32(seen.mean())
        return centred / np.float32(max(float(np.linalg.norm(centred)), 1.0))


def _correlation(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float:
    return 1.0 if one is None or other is None else float(np.vdot(one, other))


def _corners(detection: Detection) -> Positions:
    left, top, right, bottom = detection.box
    return np.array([complex(left, top), complex(right, bottom)])


def _complex(points: Points) -> Positions:
    return np.ascontiguousarray(points, np.float32).view(np.complex64).ravel().astype(np.complex128)

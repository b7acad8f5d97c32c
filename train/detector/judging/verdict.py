"""A detector judged on pictures that it has not seen: recall, ghosts, what a score means, points, skin tones.

The detector is run as the daemon runs it (`frrcam.faces.detector`, longer side 320, area-averaged), at a low threshold;
every figure at another threshold follows from what is kept of each face and each detection.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frrcam.faces import alignment
from frrcam.faces.types import Detection
from train.data import skin_tone
from train.detector.data.real import Photograph
from train.detector.evaluate import MATCH, iou

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
Detect = Callable[[Image], list[Detection]]

LEAST_SIDE = 48.0
"""Shorter side in picture px from which a face must be found."""
FLOOR = 0.05
"""Threshold that the detector is run at."""
PROFILE = 0.4
"""A nose this many eye distances from the middle between the eyes marks a profile."""
EXCUSE = 0.3
"""IoU with a doubtful box from which a detection is neither right nor false."""
EDGES = (0.05, 0.2, 0.35, 0.5, 0.6, 0.65, 0.75, 0.8, 0.9, 1.01)
"""Bins of scores for the calibration curve; one is centred on 0.7."""


@dataclass(frozen=True)
class Wanted:
    """A labelled face that must be found; score: of the detection on it, 0 without one."""

    picture: int
    box: Array
    score: float
    turn: float
    """How far the nose is from the middle between the eyes, in eye distances."""
    tone: float
    """Individual typology angle, degrees."""
    error: float
    """Mean distance of the five points in eye distances; NaN if it was not found."""


@dataclass(frozen=True)
class Said:
    """A detection that is right or false; those on doubtful or small faces count as neither and are not kept."""

    picture: int
    box: Array
    score: float
    right: bool


@dataclass
class Verdict:
    """What was found on a set of pictures."""

    name: str
    pictures: int = 0
    wanted: list[Wanted] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def recall(self, threshold: float) -> float:
        """Share of the wanted faces found at a threshold; NaN without any."""
        return float(np.mean([face.score >= threshold for face in self.wanted])) if self.wanted else float("nan")

    def false(self, threshold: float) -> int:
        """Detections that are no face at a threshold."""
        return sum(one.score >= threshold and not one.right for one in self.said)

    def errors(self, threshold: float, profile: bool) -> Array:
        """Points' errors of the frontal or of the profile faces found."""
        found = [f.error for f in self.wanted if f.score >= threshold and (f.turn > PROFILE) == profile]
        return np.array(found, np.float32)


def turn_of(points: Array) -> float:
    """How far the nose (of five points, 5×2) is from the middle between the eyes along their line, in eye distances."""
    line = points[1] - points[0]
    length = max(float(np.linalg.norm(line)), 1e-6)
    return abs(float((points[2] - points[:2].mean(0)) @ line)) / length**2


def tone_of(image: Image, points: Array) -> float:
    """Individual typology angle of a face in a BGR picture; NaN where its points say nothing."""
    try:
        crop = alignment.crop(image, alignment.similarity(points, 96), 96)
    except ValueError:
        return float("nan")
    picture = torch.from_numpy(crop[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    return float(skin_tone.angles(picture, None)[0])


def judge_picture(verdict: Verdict, one: Photograph, found: Sequence[Detection], least_side: float) -> None:
    """Add one picture to a verdict: detections go to faces best score first, at IoU ≥ 0.5, each face once."""
    verdict.pictures += 1
    picture = verdict.pictures - 1
    boxes = np.array([detection.box for detection in found], np.float32).reshape(-1, 4)
    overlaps, excuses = iou(boxes, one.boxes), iou(boxes, one.doubtful)
    shorter = (one.boxes[:, 2:] - one.boxes[:, :2]).min(1, initial=np.inf)
    counts = shorter >= least_side
    taken: dict[int, Detection] = {}
    for index in sorted(range(len(found)), key=lambda i: -found[i].score):
        free = [-1.0 if face in taken else float(overlaps[index, face]) for face in range(len(one.boxes))]
        best = int(np.argmax(free)) if free else -1
        if best >= 0 and free[best] >= MATCH:
            taken[best] = found[index]
            if counts[best]:
                verdict.said.append(Said(picture, boxes[index], found[index].score, True))
        elif not (excuses[index] >= EXCUSE).any():
            verdict.said.append(Said(picture, boxes[index], found[index].score, False))
    for face in np.flatnonzero(counts):
        points = one.points[face]
        eyes = max(float(np.linalg.norm(points[1] - points[0])), 1e-6)
        own = taken.get(int(face))
        error = float(np.linalg.norm(own.points - points, axis=1).mean()) / eyes if own else float("nan")
        verdict.wanted.append(
            Wanted(picture, one.boxes[face], own.score if own else 0.0, turn_of(points),
                   tone_of(one.image, points), error)
        )  # fmt: skip


def judge(name: str, detect: Detect, pictures: Iterable[Photograph], least_side: float = LEAST_SIDE) -> Verdict:
    """The detector's verdict on photographs."""
    verdict = Verdict(name)
    for one in pictures:
        judge_picture(verdict, one, detect(one.image), least_side)
    return verdict


def curve(said: Sequence[Said]) -> list[dict[str, float]]:
    """By bins of scores: detections, their mean score, and the share that is right; and the share at or above."""
    rows = []
    scores = np.array([one.score for one in said])
    right = np.array([one.right for one in said], bool)
    for low, high in pairwise(EDGES):
        inside = (scores >= low) & (scores < high) if len(scores) else np.zeros(0, bool)
        above = scores >= low if len(scores) else np.zeros(0, bool)
        rows.append({
            "from": low, "to": min(high, 1.0), "detections": int(inside.sum()),
            "score": float(scores[inside].mean()) if inside.any() else float("nan"),
            "right": float(right[inside].mean()) if inside.any() else float("nan"),
            "right_at_or_above": float(right[above].mean()) if above.any() else float("nan"),
        })  # fmt: skip
    return rows


def by_tone(verdicts: Sequence[Verdict], threshold: float) -> dict[str, tuple[int, float]]:
    """(faces, recall) of each bin of skin tone that has faces."""
    faces = [face for verdict in verdicts for face in verdict.wanted]
    rows = {}
    for name, _ in skin_tone.BINS:
        own = [face.score >= threshold for face in faces if skin_tone.bin_of(face.tone) == name]
        if own:
            rows[name] = (len(own), float(np.mean(own)))
    return rows


def as_dict(verdict: Verdict, threshold: float) -> dict[str, Any]:
    """The figures of one set."""
    frontal, profile = verdict.errors(threshold, False), verdict.errors(threshold, True)
    return {
        "set": verdict.name,
        "pictures": verdict.pictures,
        "faces": len(verdict.wanted),
        "recall": round(verdict.recall(threshold), 4),
        "false": verdict.false(threshold),
        "false_per_300": round(300 * verdict.false(threshold) / max(verdict.pictures, 1), 2),
        "points_frontal": round(float(frontal.mean()), 4) if len(frontal) else None,
        "points_frontal_median": round(float(np.median(frontal)), 4) if len(frontal) else None,
        "points_profile": round(float(profile.mean()), 4) if len(profile) else None,
        "points_profile_median": round(float(np.median(profile)), 4) if len(profile) else None,
        "profiles": sum(face.turn > PROFILE for face in verdict.wanted),
    }

"""The pictures that a detector is judged on, none of them trained on, and all its verdicts together."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.faces.confirm import Confirmation
from frrcam.faces.detector import InsightFaceDetector
from frrcam.faces.second_look import SECOND_LOOK, SecondLook
from frrcam.faces.tracker import Tracker
from train.common.paths import YUNET
from train.detector.data import faces, mixture, real
from train.detector.data.composites import Composer
from train.detector.data.real import Part, Photograph
from train.detector.data.spoil import TONES, spoil
from train.detector.evaluate import InsightFaceDetector as Reference
from train.detector.evaluate import iou, read_frames
from train.detector.judging import verdict as judge
from train.detector.judging.verdict import Verdict
from train.detector.sheet import draw, tile

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

REFERENCE = "scrfd_2.5g_bnkps.onnx"
REFERENCE_SIDE = 640
AGREEMENT = 0.4
"""IoU from which the two labellers of clips saw the same face."""
SURE = 0.5
"""Score of the first labeller from which the agreement counts; below it, and alone, a box is doubtful."""
EVERY = 4
"""Every fourth frame of a clip is judged."""
COMPOSITES = 240
PAN_FRAMES, PAN_RATE = 45, 30
"""Frames, and frames a second, of a room that the camera moves over."""


@dataclass(frozen=True)
class Exam:
    """Everything to judge on, labelled."""

    people: list[Photograph]
    rooms: list[Photograph]
    clips: dict[str, list[Photograph]]
    composites: list[Photograph]
    toned: list[Photograph]
    """Portraits without colour, one face each."""


class ClipLabels:
    """Labels of frames of clips by agreement of SCRFD-2.5g and YuNet, kept in a cache: neither ever changes."""

    def __init__(self, data: Path, cache: Path) -> None:
        self.data, self.cache = data, cache

    def frames(self, clip: Path) -> list[Photograph]:
        """Every fourth frame of the clip with its faces."""
        images = [frame for index, frame in enumerate(read_frames(clip)) if index % EVERY == 0]
        path = self.cache / "clips" / f"{clip.stem}-{clip.stat().st_size}-{EVERY}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._label(images)))
        labels = json.loads(path.read_text())
        return [
            Photograph(
                f"{clip.stem}-{index}",
                image,
                np.array(own["boxes"], np.float32).reshape(-1, 4),
                np.array(own["points"], np.float32).reshape(-1, 5, 2),
                np.array(own["doubtful"], np.float32).reshape(-1, 4),
            )
            for index, (image, own) in enumerate(zip(images, labels, strict=True))
        ]

    def _label(self, images: list[Image]) -> list[dict[str, Any]]:
        reference = Reference(self.data / "models" / REFERENCE, (REFERENCE_SIDE, REFERENCE_SIDE), 0.4, threads=1)
        second = faces.YuNet(self.data / YUNET, 0.5)
        labels = []
        for image in images:
            boxes, points = reference.detect(image)
            scale = min(REFERENCE_SIDE / max(image.shape[:2]), 1.0)
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            rows = second(np.asarray(small, np.uint8))[:, :4] / scale
            others = np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:]), 1).astype(np.float32)
            agreed = (iou(boxes[:, :4], others).max(1, initial=0) >= AGREEMENT) & (boxes[:, 4] >= SURE)
            alone = iou(others, boxes[:, :4]).max(1, initial=0) < AGREEMENT
            doubtful = np.concatenate((boxes[~agreed, :4], others[alone]))
            labels.append({
                "boxes": boxes[agreed, :4].tolist(), "points": points[agreed].tolist(), "doubtful": doubtful.tolist(),
            })  # fmt: skip
        return labels


def composites(rooms: list[Photograph], bank: faces.FaceBank, count: int) -> list[Photograph]:
    """Held-out synthetic faces on held-out rooms, spoiled; 320×320."""
    composer = Composer(bank, bank.indices(training=False), mixture.squares(rooms), spoil)
    random = np.random.default_rng(2**31 + 2)
    scenes = [composer.scene(320, 320, random) for _ in range(count)]
    return [Photograph(str(i), s.image, s.boxes, s.points, s.ignored) for i, s in enumerate(scenes)]


def toned(bank: faces.FaceBank) -> list[Photograph]:
    """Every held-out portrait in grey, sepia and as by a night camera."""
    found = []
    for index in bank.indices(training=False):
        picture = np.asarray(bank.pictures[0][index], np.uint8)
        box, points = bank.boxes[index] * picture.shape[0], bank.points[index] * picture.shape[0]
        found += [
            Photograph(f"{bank.keys[index]} {name}", change(picture), box[None], points[None])
            for name, change in TONES.items()
        ]
    return found


def open_exam(data: Path, cache: Path) -> Exam:
    """The exam, with labels of clips from the cache. FileNotFoundError if a shard or a model is missing."""
    rooms = real.load(data, real.SCENES, Part.HELD_OUT)
    people = real.load(data, real.PEOPLE, Part.HELD_OUT)
    people = real.with_doubts(people, faces.YuNet(data / YUNET, mixture.DOUBT))
    labels = ClipLabels(data, cache)
    clips = {clip.stem: labels.frames(clip) for clip in sorted((data / "clips").glob("*.mp4"))}
    bank = faces.load_or_label(data, cache)
    return Exam(people, rooms, clips, composites(rooms, bank, COMPOSITES), toned(bank))


@dataclass(frozen=True)
class Result:
    """A detector's verdicts on the whole exam."""

    people: Verdict
    rooms: Verdict
    clips: list[Verdict]
    composites: Verdict
    toned: Verdict

    @property
    def verdicts(self) -> list[Verdict]:
        return [self.people, self.rooms, *self.clips, all_of("all clips", self.clips), self.composites, self.toned]

    def as_dict(self, threshold: float) -> dict[str, Any]:
        """All figures at a threshold."""
        said = [one for verdict in (self.people, self.rooms) for one in verdict.said]
        return {
            "threshold": threshold,
            "sets": [judge.as_dict(verdict, threshold) for verdict in self.verdicts],
            "curve": judge.curve(said),
            "curve_of_clips": judge.curve([one for verdict in self.clips for one in verdict.said]),
            "recall_by_skin_tone": judge.by_tone([self.people], threshold),
            "recall_at": {
                str(score): {
                    "people": round(self.people.recall(score), 4),
                    "clips": round(all_of("", self.clips).recall(score), 4),
                    "rooms_false_per_300": round(300 * self.rooms.false(score) / max(self.rooms.pictures, 1), 2),
                }
                for score in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
            },
        }


def all_of(name: str, verdicts: list[Verdict]) -> Verdict:
    """Several verdicts as one; pictures are counted on."""
    whole = Verdict(name)
    for verdict in verdicts:
        whole.wanted += [replace(face, picture=face.picture + whole.pictures) for face in verdict.wanted]
        whole.said += [replace(one, picture=one.picture + whole.pictures) for one in verdict.said]
        whole.pictures += verdict.pictures
    return whole


def open_detector(
    model: Path, threshold: float = judge.FLOOR, second_look: SecondLook | None = SECOND_LOOK
) -> InsightFaceDetector:
    """The daemon's own detector, on one thread."""
    return InsightFaceDetector(model, size=320, threshold=threshold, threads=1, second_look=second_look)


def take(model: Path, exam: Exam, second_look: SecondLook | None = SECOND_LOOK) -> Result:
    """Judge a file on the whole exam."""
    detect = open_detector(model, second_look=second_look).detect
    return Result(
        judge.judge("people, held out", detect, exam.people),
        judge.judge("rooms, held out", detect, exam.rooms),
        [judge.judge(name, detect, frames) for name, frames in exam.clips.items()],
        judge.judge("composites", detect, exam.composites, 24.0),
        judge.judge("toned portraits", detect, exam.toned),
    )


def pan(image: Image, random: np.random.Generator, size: tuple[int, int] = (640, 360)) -> Iterator[Image]:
    """Frames (width, height of `size`) of a camera that pans and zooms over a photograph."""
    width, height = size
    least = max(width / image.shape[1], height / image.shape[0])
    near, far = random.uniform(0.05, 0.5, 2).tolist()
    scales = least * np.exp(np.linspace(near, far, PAN_FRAMES))
    starts = random.uniform(0, 1, (2, 2))
    for step, scale in enumerate(scales):
        share = starts[0] + (starts[1] - starts[0]) * step / PAN_FRAMES
        corner = share * (np.array((image.shape[1], image.shape[0])) * scale - size)
        matrix = np.array([(scale, 0, -corner[0]), (0, scale, -corner[1])], np.float64)
        frame = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(frame, np.uint8)


def ghost_tracks(
    detector: InsightFaceDetector,
    rooms: list[Photograph],
    seed: int = 0,
    confirmation: Confirmation | None = None,
) -> tuple[int, int]:
    """(tracks shown, frames) on moving rooms without a face, tracked as the daemon does, a detection on every frame."""
    random = np.random.default_rng(seed)
    shown, frames = 0, 0
    for one in rooms:
        tracker, seen = Tracker(confirmation), set[int]()
        for index, frame in enumerate(pan(one.image, random)):
            tracks = tracker.update(frame, index / PAN_RATE, detector.detect(frame))
            seen |= {track.id for track in tracks}
            frames += 1
        shown += len(seen)
    return shown, frames


def failures(photographs: list[Photograph], verdict: Verdict, threshold: float, most: int = 24) -> Image | None:
    """Tiles of misses (blue) and ghosts (red with their score), worst ghosts first; None if there is neither."""
    misses = [(face.picture, face.box, 0.0) for face in verdict.wanted if face.score < threshold]
    ghosts = [(o.picture, o.box, o.score) for o in verdict.said if not o.right and o.score >= threshold]
    ghosts.sort(key=lambda one: -one[2])
    tiles = []
    for picture, box, score in [*ghosts, *misses][:most]:
        image = draw(photographs[picture].image, np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32))
        colour = (0, 0, 255) if score else (255, 64, 0)
        left, top, right, bottom = (int(edge) for edge in box)
        cv2.rectangle(image, (left, top), (right, bottom), colour, 2)
        label = f"ghost {score:.2f}" if score else "missed"
        cv2.putText(image, label, (max(left, 0), max(top - 4, 12)), 0, 0.5, colour, 1, cv2.LINE_AA)
        tiles.append(tile(image))
    if not tiles:
        return None
    tiles += [np.full_like(tiles[0], 64)] * (-len(tiles) % 4)
    return np.concatenate([np.concatenate(tiles[start : start + 4], 1) for start in range(0, len(tiles), 4)])


def sheets(exam: Exam, result: Result, threshold: float) -> dict[str, Image]:
    """Sheets of failures by name, for the sets that have any."""
    clips = [frame for frames in exam.clips.values() for frame in frames]
    drawn = {
        "people": failures(exam.people, result.people, threshold),
        "rooms": failures(exam.rooms, result.rooms, threshold),
        "clips": failures(clips, all_of("clips", result.clips), threshold),
        "composites": failures(exam.composites, result.composites, threshold),
    }
    return {name: image for name, image in drawn.items() if image is not None}

"""Detectors compared on clips: how many of a reference's faces are found, what is false, how far off the points lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

WANTED = (48.0, float("inf"))
"""Shorter side in frame px, from and below, of the reference faces that must be found."""
NO_BOXES = np.zeros((0, 4), np.float32)
MATCH = 0.5
"""IoU from which two boxes are the same face."""


class Detector(Protocol):
    """insightface's way of calling: boxes with scores (N×5 px) and points (N×5×2 px) of a BGR picture."""

    def detect(self, image: Image) -> tuple[Array, Array]: ...


class InsightFaceDetector:
    """A file loaded by insightface's own class, on two CPU threads that do not spin."""

    def __init__(self, path: Path, size: tuple[int, int], threshold: float = 0.5, threads: int = 2) -> None:
        from insightface.model_zoo import get_model  # slow to import, and only needed with real files

        if not path.is_file():
            raise FileNotFoundError(f"no detector {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.model: Any = get_model(str(path), providers=["CPUExecutionProvider"], sess_options=options)
        self.model.prepare(0, det_thresh=threshold, input_size=size)
        self.size = size

    def detect(self, image: Image) -> tuple[Array, Array]:
        boxes, points = self.model.detect(image, input_size=self.size)
        return np.asarray(boxes, np.float32), np.asarray(points, np.float32)


def iou(first: Array, second: Array) -> Array:
    """Intersection over union of boxes (A×4+ and B×4+) → A×B."""
    corner = np.minimum(first[:, None, 2:4], second[None, :, 2:4]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = np.clip(corner, 0, None).prod(-1)
    areas = [(boxes[:, 2:4] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9), np.float32)


@dataclass(frozen=True)
class FrameComparison:
    """One frame: reference faces that count, those found, false faces, and the matched points' errors.

    errors: K×5×2, candidate minus reference in eye distances of the reference.
    """

    wanted: int
    found: int
    false: int
    errors: Array


def compare_frame(
    reference: tuple[Array, Array],
    candidate: tuple[Array, Array],
    sides: tuple[float, float] = WANTED,
    ignored: Array = NO_BOXES,
) -> FrameComparison:
    """Match each candidate, best score first, to the reference face it overlaps most, at IoU ≥ 0.5, each face once.

    Reference faces whose shorter side is not within `sides` need not be found, but finding one is not false; neither
    is what overlaps one of the `ignored` boxes (M×4) by an IoU of 0.3.
    """
    boxes, points = reference
    shorter = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    counts = (shorter >= sides[0]) & (shorter < sides[1])
    overlaps, excuses = iou(candidate[0], boxes), iou(candidate[0], ignored)
    free = np.ones(len(boxes), bool)
    errors, false = [], 0
    for index in np.argsort(-candidate[0][:, 4]):
        row = np.where(free, overlaps[index], -1.0)
        best = int(row.argmax()) if len(row) else -1
        if best < 0 or row[best] < MATCH:
            false += not (excuses[index] >= 0.3).any()
            continue
        free[best] = False
        if counts[best]:
            eyes = np.linalg.norm(points[best, 1] - points[best, 0])
            errors.append((candidate[1][index] - points[best]) / max(float(eyes), 1e-6))
    found = int((counts & ~free).sum())
    return FrameComparison(int(counts.sum()), found, false, np.array(errors, np.float32).reshape(-1, 5, 2))


@dataclass(frozen=True)
class Figures:
    """A clip's (or all clips') figures; points_error is the mean distance in eye distances, bias its mean vector (5×2).

    steady_error is the mean distance less each point's own bias: what two labellers' habits do not explain.
    """

    clip: str
    frames: int
    wanted: int
    found: int
    false: int
    points_error: float
    steady_error: float
    bias: tuple[tuple[float, float], ...]

    @property
    def recall(self) -> float:
        return self.found / max(1, self.wanted)

    @property
    def false_per_300(self) -> float:
        return 300 * self.false / max(1, self.frames)

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "recall": round(self.recall, 4), "false_per_300_frames": round(self.false_per_300, 3)}


def summarise(clip: str, comparisons: list[FrameComparison]) -> Figures:
    """Add the frames up."""
    errors = np.concatenate([np.zeros((0, 5, 2), np.float32), *(comparison.errors for comparison in comparisons)])
    bias = errors.mean(0) if len(errors) else np.zeros((5, 2), np.float32)
    return Figures(
        clip,
        len(comparisons),
        sum(comparison.wanted for comparison in comparisons),
        sum(comparison.found for comparison in comparisons),
        sum(comparison.false for comparison in comparisons),
        float(np.linalg.norm(errors, axis=2).mean()) if len(errors) else float("nan"),
        float(np.linalg.norm(errors - bias, axis=2).mean()) if len(errors) else float("nan"),
        tuple((round(float(x), 3), round(float(y), 3)) for x, y in bias),
    )


def read_frames(clip: Path) -> Iterator[Image]:
    """All frames of a clip, BGR; ValueError if there is none."""
    capture = cv2.VideoCapture(str(clip))
    try:
        done, frame = capture.read()
        if not done:
            raise ValueError(f"no frame can be read from {clip}")
        while done:
            yield np.asarray(frame, np.uint8)
            done, frame = capture.read()
    finally:
        capture.release()


def reference_faces(detector: Detector, clip: Path, cache: Path | None = None) -> list[tuple[Array, Array]]:
    """What the reference finds on every frame; kept in the file `cache`, as it never changes."""
    if cache is not None and cache.exists():
        with np.load(cache) as stored:
            ends = stored["counts"].cumsum()[:-1]
            return list(zip(np.split(stored["boxes"], ends), np.split(stored["points"], ends), strict=True))
    faces = [detector.detect(frame) for frame in read_frames(clip)]
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        boxes = np.concatenate([boxes for boxes, _ in faces])
        points = np.concatenate([points for _, points in faces])
        np.savez(cache, boxes=boxes, points=points, counts=np.array([len(boxes) for boxes, _ in faces]))
    return faces


def compare_clip(
    candidate: Detector,
    clip: Path,
    reference: list[tuple[Array, Array]],
    change: Callable[[Image], Image] = lambda frame: frame,
) -> tuple[Figures, list[FrameComparison]]:
    """The candidate on every frame of a clip, changed (darkened, say) by `change`, against the reference's faces."""
    comparisons = [
        compare_frame(faces, candidate.detect(change(frame)))
        for frame, faces in zip(read_frames(clip), reference, strict=True)
    ]
    return summarise(clip.stem, comparisons), comparisons

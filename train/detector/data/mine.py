"""Hard frames: where a detector sees faces in training rooms that have none, and which training faces it misses."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frrcam.faces.types import Detection
from train.common.files import save_arrays
from train.detector.data.real import Photograph
from train.detector.evaluate import MATCH, iou

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

SCORE = 0.25
"""What scores lower teaches little."""
SEEN, LEAST_SIDE = 0.6, 32.0
"""A training face that scores less is missed, if its shorter side in px is at least this."""
PIECE = 0.6
"""Side of the corner pieces that are searched besides the whole photograph, as a share of its own."""


class Detector(Protocol):
    def detect(self, image: Image) -> list[Detection]: ...


def pieces(image: Image) -> Iterator[tuple[Image, tuple[int, int]]]:
    """The whole image and two opposite corner pieces, each with its left and top."""
    height, width = image.shape[:2]
    yield image, (0, 0)
    down, across = max(int(height * PIECE), 1), max(int(width * PIECE), 1)
    for top, left in ((0, 0), (height - down, width - across)):
        yield np.ascontiguousarray(image[top : top + down, left : left + across]), (left, top)


def mine(detector: Detector, photographs: Iterable[Photograph]) -> list[tuple[str, Array]]:
    """(key, box px) of every detection on photographs without a face."""
    found = []
    for one in photographs:
        for image, (left, top) in pieces(one.image):
            for detection in detector.detect(image):
                shift = np.array((left, top, left, top), np.float32)
                found.append((one.key, np.array(detection.box, np.float32) + shift))
    return found


def misses(detector: Detector, photographs: Iterable[Photograph]) -> list[tuple[str, Array]]:
    """(key, box px) of every labelled face of at least `LEAST_SIDE` px that scores under `SEEN`, whole photographs."""
    missed = []
    for one in photographs:
        found = [detection for detection in detector.detect(one.image) if detection.score >= SEEN]
        boxes = np.array([detection.box for detection in found], np.float32).reshape(-1, 4)
        seen = iou(one.boxes, boxes).max(1, initial=0) >= MATCH
        large = (one.boxes[:, 2:] - one.boxes[:, :2]).min(1, initial=np.inf) >= LEAST_SIDE
        missed += [(one.key, box) for box in one.boxes[large & ~seen]]
    return missed


def save(path: Path, found: Sequence[tuple[str, Array]], missed: Sequence[tuple[str, Array]] = ()) -> None:
    """Keep what was mined."""
    columns = {}
    for name, rows in (("found", found), ("missed", missed)):
        columns[f"{name}_keys"] = np.array([key for key, _ in rows], str)
        columns[f"{name}_boxes"] = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    save_arrays(path, **columns)


def load(path: Path, photographs: Sequence[Photograph], name: str = "found") -> list[tuple[int, Array]]:
    """(position, box px) of what was mined in these photographs; nothing if there is no such file."""
    if not path.exists():
        return []
    positions = {one.key: index for index, one in enumerate(photographs)}
    with np.load(path) as stored:
        rows = list(zip(stored[f"{name}_keys"].tolist(), stored[f"{name}_boxes"], strict=True))
    return [(positions[key], box) for key, box in rows if key in positions]

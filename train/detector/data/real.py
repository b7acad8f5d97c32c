"""Real photographs: people with labelled faces (`people-*.tar`) and rooms without a face (`scenes-*.tar`).

The split is by key: an eighth is held out to judge with, a sixteenth is kept to calibrate scores on, and the rest is
for training. A training picture that nearly copies a picture of the other two parts is left out.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.faces import decode
from train.data.shards import read_shards
from train.detector.evaluate import iou

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

PEOPLE, SCENES = "people-*.tar", "scenes-*.tar"
HELD_OUT, CALIBRATION = 32, 48
"""Of 256 key hashes, those below the first are held out, those between the two calibrate scores."""
COPY_BITS = 8
"""Two pictures whose 64-bit difference hashes differ in at most this many bits count as copies."""


class Part(Enum):
    """What a picture is used for."""

    TRAINING = "training"
    CALIBRATION = "calibration"
    HELD_OUT = "held out"


def part_of(key: str) -> Part:
    """The part that a key belongs to: a fixed function of the key."""
    place = hashlib.sha256(key.encode()).digest()[0]
    if place < HELD_OUT:
        return Part.HELD_OUT
    return Part.CALIBRATION if place < CALIBRATION else Part.TRAINING


@dataclass(frozen=True)
class Photograph:
    """A picture (H×W×3 BGR) and its faces in px: boxes (N×4), points (N×5×2), and boxes that may be faces (M×4)."""

    key: str
    image: Image
    boxes: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    points: Array = field(default_factory=lambda: np.zeros((0, 5, 2), np.float32))
    doubtful: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def photograph(key: str, files: dict[str, bytes]) -> Photograph:
    """A sample of either shard: faces that both detectors of the shard agree on count, the others are doubtful."""
    faces = json.loads(files["json"]).get("faces", [])
    agreed = [face for face in faces if face["agreed"]]
    others = [face["box"] for face in faces if not face["agreed"]]
    return Photograph(
        key,
        decode(files["webp"]),
        np.array([face["box"] for face in agreed], np.float32).reshape(-1, 4),
        np.array([face["points"] for face in agreed], np.float32).reshape(-1, 5, 2),
        np.array(others, np.float32).reshape(-1, 4),
    )


def difference_hash(image: Image) -> int:
    """64 bits that say where an 8×9 grey picture of the image grows brighter to the right."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = np.asarray(cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA), np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def without_copies(photographs: list[Photograph], others: Iterable[Image]) -> list[Photograph]:
    """Those photographs that are no near copy of one of the other images."""
    kept_out = np.array([difference_hash(image) for image in others], np.uint64)
    own = np.array([difference_hash(one.image) for one in photographs], np.uint64)
    if not len(kept_out) or not len(own):
        return photographs
    apart = np.bitwise_count(own[:, None] ^ kept_out).min(1)
    return [one for one, bits in zip(photographs, apart, strict=True) if bits > COPY_BITS]


def load(data: Path, pattern: str, part: Part) -> list[Photograph]:
    """The photographs of one part, decoded. FileNotFoundError if there is no such shard."""
    wanted: list[Photograph] = []
    kept_out: list[Image] = []
    for key, files in read_shards(data, pattern):
        own = part_of(key)
        if own is part:
            wanted.append(photograph(key, files))
        elif part is Part.TRAINING:
            kept_out.append(decode(files["webp"]))
    return without_copies(wanted, kept_out)


def with_doubts(photographs: list[Photograph], find: Callable[[Image], Array]) -> list[Photograph]:
    """The same photographs, with what `find` sees beside the labels (rows that begin with x y w h) as doubtful.

    A far head in a crowd has no label. Without this the network learns that such a head is no face.
    """
    found = []
    for one in photographs:
        rows = find(one.image)[:, :4]
        boxes = np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:4]), 1).astype(np.float32)
        labelled = np.concatenate((one.boxes, one.doubtful))
        new = boxes[iou(boxes, labelled).max(1, initial=0) < 0.3]
        doubtful = np.concatenate((one.doubtful, new))
        found.append(Photograph(one.key, one.image, one.boxes, one.points, doubtful))
    return found

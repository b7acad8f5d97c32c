"""The faces to paste, each labelled once: points from the data set, box from YuNet (MIT), pixels as a small pyramid.

Coordinates here are fractions of the picture's side, so that they hold on every level.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from train.common import progress
from train.common.files import save_arrays
from train.common.paths import YUNET
from train.data.faces import held_out, identities, of_face, parse_points, picture
from train.data.shards import read_shards

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

LEVELS = (256, 128, 64, 32)
"""Sides of the pyramid's levels in pixels: a small face is warped from a small level, so that it does not alias."""
LABELS = "labels.npz"
"""The faces' boxes, points and keys, beside their pictures."""
DISAGREEMENT = 0.25
"""A picture is left out where YuNet's points are on average this many eye distances off the known ones."""


class Labeller(Protocol):
    """Finds faces in a BGR picture: rows of box (x y w h), five points (x y) and score, px; N×15."""

    def __call__(self, image: Image) -> Array: ...


class YuNet:
    """OpenCV's YuNet, at the size of each picture it is given."""

    def __init__(self, model: Path, threshold: float = 0.6) -> None:
        if not model.is_file():
            raise FileNotFoundError(f"no labeller {model}: set --data to the folder that holds models/{model.name}")
        self.detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), threshold)

    def __call__(self, image: Image) -> Array:
        self.detector.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self.detector.detect(image)
        return np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


def choose_box(rows: Array, points: Array) -> Array | None:
    """The box (x1 y1 x2 y2, px) of the labelled face that lies on the known points, or None if none does."""
    if not len(rows):
        return None
    eyes = float(np.linalg.norm(points[1] - points[0]))
    distances = np.linalg.norm(rows[:, 4:14].reshape(-1, 5, 2) - points, axis=2).mean(1) / eyes
    best = int(distances.argmin())
    if distances[best] > DISAGREEMENT:
        return None
    x, y, width, height = rows[best, :4]
    return np.array((x, y, x + width, y + height), np.float32)


@dataclass(frozen=True)
class FaceBank:
    """M square pictures at every level (M×S×S×3 BGR), their boxes (M×4) and points (M×5×2) in fractions of the side."""

    pictures: tuple[Image, ...]
    boxes: Array
    points: Array
    keys: tuple[str, ...]

    def indices(self, *, training: bool) -> NDArray[np.int64]:
        """Positions of the training or of the held-out faces."""
        return np.flatnonzero([held_out(key) != training for key in self.keys])

    def level(self, index: int, pixels: float) -> Image:
        """The smallest picture of a face that is at least `pixels` wide, or the largest there is."""
        sides = [pictures.shape[1] for pictures in self.pictures]
        fitting = [level for level, side in enumerate(sides) if side >= pixels]
        return np.asarray(self.pictures[fitting[-1] if fitting else 0][index], np.uint8)


def label(samples: Iterable[tuple[str, dict[str, bytes]]], labeller: Labeller) -> FaceBank:
    """Decode, label and shrink the pictures; those without a box on their points are left out."""
    levels: list[list[Image]] = [[] for _ in LEVELS]
    keys, boxes, points = [], [], []
    for key, files in samples:
        with of_face(key):
            image, known = picture(files), parse_points(files["json"])
        box = choose_box(labeller(image), known)
        if box is None or image.shape[0] != image.shape[1]:
            continue
        keys.append(key)
        boxes.append(box / image.shape[0])
        points.append(known / image.shape[0])
        for side, pictures in zip(LEVELS, levels, strict=True):
            pictures.append(np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
    if not keys:
        raise ValueError("no picture has a face on its known points: is this the folder of the face shards?")
    return FaceBank(tuple(np.stack(level) for level in levels), np.stack(boxes), np.stack(points), tuple(keys))


def save(bank: FaceBank, cache: Path, shards: Sequence[str]) -> None:
    """Write the bank into `cache`, with what tells the shards it is of (`train.data.identities`).

    labels.npz comes last, so that its presence means a whole bank.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for side, pictures in zip(LEVELS, bank.pictures, strict=True):
        np.save(cache / f"faces-{side}.npy", pictures)
    columns = {"boxes": bank.boxes, "points": bank.points, "keys": np.array(bank.keys), "shards": np.array(shards)}
    save_arrays(cache / LABELS, **columns)


def load(cache: Path) -> tuple[FaceBank, list[str]]:
    """The bank of `cache`, memory-mapped, and what tells its shards; of an older bank nothing does."""
    pictures = tuple(np.load(cache / f"faces-{side}.npy", mmap_mode="r") for side in LEVELS)
    with np.load(cache / LABELS) as labels:
        bank = FaceBank(pictures, labels["boxes"], labels["points"], tuple(labels["keys"].tolist()))
        return bank, labels["shards"].tolist() if "shards" in labels else []


def load_or_label(data: Path, cache: Path) -> FaceBank:
    """The bank of `cache`, built from the shards and YuNet in `data` on first use.

    Raises ValueError if it was built from other shards.
    """
    if not (cache / LABELS).exists():
        labeller = YuNet(data / YUNET)
        samples = progress.counted(read_shards(data), "labelling faces, once")
        save(label(samples, labeller), cache, identities(data))
    bank, shards = load(cache)
    if shards != identities(data):
        raise ValueError(
            f"{cache} holds the faces of other shards than {data}, or does not say of which: "
            f"delete its {LABELS} and backgrounds-*.npy, or give another --cache"
        )
    return bank

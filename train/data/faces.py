"""Faces for training: decoded and aligned once into memory-mapped crops, split by a hash of their key, jittered on use.

A crop canvas holds the aligned face with a margin on each side, so that a later random similarity (an imperfect live
alignment) finds picture there. Nothing here reads an annotation that the live path does not have: five points only.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frrcam.faces import alignment
from train.common import progress
from train.common.files import replace as replace_file
from train.common.files import save_array
from train.data.shards import TRAINING, addresses, read_shards

Image = NDArray[np.uint8]

MARGIN = 1.125
"""Side of the canvas over the side of the aligned crop in its middle."""
RECOGNITION_WINDOW = ((0.123, 0.873), (0.125, 0.875))
"""Rows and columns of the crop that best fit the 112 px template of face recognition (least squares, five points)."""
HELD_OUT = 6
"""How many of 256 key hashes are held out (2.3 %)."""
LABELS = "masks.npy"
"""The faces' masks, beside their cache."""
PICTURES = ("webp", "jpg", "jpeg", "png")


def held_out(key: str, share: int = HELD_OUT) -> bool:
    """Whether this sample is never trained on: a fixed function of its key. share: of 256 hashes."""
    return hashlib.sha256(key.encode()).digest()[0] < share


def decode(content: bytes) -> Image:
    """An encoded picture as BGR uint8 H×W×3; ValueError if it is none."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise ValueError(f"not a picture ({len(content)} bytes)")
    return np.asarray(image, np.uint8)


def canvas_affine(points: alignment.Points, size: int) -> alignment.Affine:
    """Similarity (2×3) from image points to the canvas around a size² crop."""
    affine = alignment.similarity(points, size)
    affine[:, 2] += (canvas_size(size) - size) / 2
    return affine


def canvas_size(size: int) -> int:
    return round(size * MARGIN / 2) * 2


@dataclass(frozen=True)
class Faces:
    """Aligned canvases (M×C×C×3 RGB uint8, memory-mapped), the crop size inside them, and their keys.

    lesson: positions to train on, one for each time in a round; each training face once if not given.
    """

    canvases: NDArray[np.uint8]
    size: int
    keys: tuple[str, ...]
    masks: NDArray[np.uint8] | None = None
    lesson: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def indices(self, *, training: bool) -> NDArray[np.int64]:
        """Positions of the training or of the held-out faces."""
        return np.flatnonzero(self._held_out != training)

    @cached_property
    def _held_out(self) -> NDArray[np.bool_]:
        """Of each face. Kept: a hash for each key, and some trainings ask in every step."""
        return np.array([held_out(key) for key in self.keys], bool)


@contextmanager
def of_face(key: str) -> Iterator[None]:
    """Begin each ValueError with the face's key: among thousands, nothing else identifies it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"face {key}: {error}") from error


def picture(files: dict[str, bytes]) -> Image:
    """The picture (BGR, webp, jpg or png) of a sample that has its points (json) too.

    Raises ValueError if it lacks either.
    """
    pictures = [files[extension] for extension in PICTURES if extension in files]
    if not pictures or "json" not in files:
        raise ValueError(f"a face needs a picture ({', '.join(PICTURES)}) and a json, not only {sorted(files)}")
    return decode(pictures[0])


def canvas(key: str, files: dict[str, bytes], size: int) -> Image:
    """The aligned canvas (C×C×3 RGB) of a sample: a picture (webp, jpg or png) and its five points (json: kps).

    Raises ValueError, with the sample's key, if it lacks either.
    """
    with of_face(key):
        image, points = picture(files), parse_points(files["json"])
        return alignment.crop(image, canvas_affine(points, size), canvas_size(size))[..., ::-1]


def parse_points(content: bytes) -> NDArray[np.float32]:
    """The five known points (5×2 px) of a sample's JSON: left eye, right eye, nose, mouth corners, as the viewer sees.

    Raises ValueError if there are not five finite points or the eyes coincide.
    """
    try:
        points = np.array(json.loads(content)["kps"], np.float32).reshape(5, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no five points in {content[:60]!r}") from error
    if not np.isfinite(points).all() or np.allclose(points[0], points[1]):
        raise ValueError(f"not a face: points {points.tolist()}")
    return points


def build_cache(data: Path | str, cache: Path, size: int, pattern: str = TRAINING) -> None:
    """Decode and align every face of the shards into cache/faces-SIZE.npy and cache/faces-SIZE.json."""
    cache.mkdir(parents=True, exist_ok=True)
    keys, canvases = [], []
    for key, files in progress.counted(read_shards(data, pattern), f"decoding faces for crops of {size} px, once"):
        keys.append(key)
        canvases.append(canvas(key, files, size))
    if not keys:
        raise ValueError(f"no face in the shards of {data}")
    path = cache / f"faces-{size}.npy"
    save_array(path, np.stack(canvases))
    content = json.dumps({"shards": identities(data, pattern), "keys": keys})
    replace_file(path.with_suffix(".json"), lambda part: part.write_text(content))


def identities(data: Path | str, pattern: str = TRAINING) -> list[str]:
    """What tells shards from others without reading them: a file's name and bytes, another address itself."""
    urls = addresses(data, pattern)
    return [f"{Path(url).name} {Path(url).stat().st_size}" if Path(url).is_file() else url for url in urls]


def load_faces(data: Path | str, cache: Path, size: int) -> Faces:
    """The faces of `load_bare` with masks beside them where `masks` has labelled them.

    Raises ValueError if the cache was built from other shards, or its masks label other faces.
    """
    faces, labels = load_bare(data, cache, size), cache / LABELS
    if not labels.exists():
        return faces
    masks = np.load(labels, mmap_mode="r")
    if len(masks) != len(faces):
        raise ValueError(
            f"{labels} labels {len(masks)} faces, faces-{size}.npy holds {len(faces)}: "
            "run python -m train masks --again"
        )
    return replace(faces, masks=masks)


def load_bare(data: Path | str, cache: Path, size: int) -> Faces:
    """The faces with crops of side `size`, without masks, built on first use.

    Raises ValueError if the cache was built from other shards.
    """
    path = cache / f"faces-{size}.npy"
    described = path.with_suffix(".json")
    if not described.exists():
        build_cache(data, cache, size)
    content = json.loads(described.read_text())
    if not isinstance(content, dict) or content["shards"] != identities(data):
        raise ValueError(f"{path} holds the faces of other shards than {data}: delete {cache} or give another --runs")
    return Faces(np.load(path, mmap_mode="r"), size, tuple(content["keys"]))


@dataclass(frozen=True)
class Jitter:
    """How imperfect an alignment the network must bear: deviations, as a fraction of the side and in degrees."""

    scale: float = 0.05
    shift: float = 0.015
    degrees: float = 3.0
    flip: float = 0.5


STILL = Jitter(0, 0, 0, 0)


def crop_affine(faces: Faces, size: int, jitter: Jitter, random: np.random.Generator) -> alignment.Affine:
    """Similarity (2×3) from a canvas to a size² crop, jittered, mirrored where the coin says so."""
    ratio = size / faces.size * float(np.exp(np.clip(random.normal(0, jitter.scale), -0.12, 0.12)))
    angle = np.radians(random.normal(0, jitter.degrees))
    shift = random.normal(0, jitter.shift * size, 2)
    mirror = -1.0 if random.random() < jitter.flip else 1.0
    cos, sin = ratio * np.cos(angle), ratio * np.sin(angle)
    linear = np.array([(mirror * cos, -sin), (mirror * sin, cos)])
    centre = (faces.canvases.shape[1] - 1) / 2
    offset = (size - 1) / 2 + shift - linear @ (centre, centre)
    return np.concatenate((linear, offset[:, None]), 1).astype(np.float32)


def warp(image: Image, affine: alignment.Affine, size: int, shrink: float) -> Image:
    """The size² crop; where it shrinks the canvas more than 1.5 times, averaged by supersampling, not aliased."""
    steps = 2 if shrink > 1.5 else 1
    if steps == 2:
        # pixel centres: x_double = 2 x + 0.5
        affine = 2 * affine + np.array([(0, 0, 0.5), (0, 0, 0.5)], np.float32)
    warped = cv2.warpAffine(
        image, affine, (size * steps, size * steps), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if steps == 2:
        warped = cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


@dataclass(frozen=True)
class Crops:
    """Jittered crops (N×S×S×3 RGB uint8) and, where labelled, their masks (N×S×S uint8), still in main memory."""

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None

    def to(self, device: torch.device | str) -> tuple[Tensor, Tensor | None]:
        """N×3×S×S and N×1×S×S in [0,1] on the device; they travel as bytes."""
        pictures = torch.from_numpy(self.pictures).to(device).permute(0, 3, 1, 2).float() / 255
        masks = None if self.masks is None else torch.from_numpy(self.masks).to(device)[:, None].float() / 255
        return pictures, masks


def crops(
    faces: Faces, indices: Sequence[int] | NDArray[np.int64], size: int, affines: Sequence[alignment.Affine]
) -> Crops:
    """The size² crops of some faces, each under its own map from the canvas (`crop_affine`)."""
    images, masks = [], []
    for index, affine in zip(indices, affines, strict=True):
        images.append(warp(faces.canvases[index], affine, size, faces.size / size))
        if faces.masks is not None:
            to_mask = affine.copy()
            ratio = faces.canvases.shape[1] / faces.masks.shape[1]
            to_mask[:, 2] += affine[:, :2].sum(1) * (ratio - 1) / 2
            to_mask[:, :2] *= ratio
            masks.append(warp(faces.masks[index], to_mask, size, 1))
    return Crops(np.stack(images), np.stack(masks) if masks else None)


def batch(
    faces: Faces, indices: NDArray[np.int64], size: int, jitter: Jitter, random: np.random.Generator
) -> tuple[Tensor, Tensor | None]:
    """Crops (N×3×S×S, RGB, [0,1]) and, where labelled, their masks (N×1×S×S, [0,1]), each under its own jitter."""
    return crops(faces, indices, size, [crop_affine(faces, size, jitter, random) for _ in indices]).to("cpu")

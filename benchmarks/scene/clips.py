"""Clean clips: files, and pictures of the benchmark's own making."""

import io
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.scene.regions import Box, steady_boxes
from frrcam.errors import SourceUnusable
from frrcam.faces.types import Detector
from frrcam.frame import Image
from frrcam.sources.video import VideoSource

PORTRAITS, SCENES = "faces-seg-000.tar", "scenes-000.tar"
OWN_SIZE = (640, 480)
OWN_FPS = 25.0
OWN_FRAMES = 40
EDGE_ROWS = 4
"""Pixels at the top in which there must be nothing of the person: else the head may be cut off."""
EDGE_SHARE = 0.02
"""Of the sides' upper half: a portrait with more of the person there is cut off, and not used."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The first pictures of a clip, all of one size."""

    name: str
    fps: float
    images: list[Image]
    times: list[float]
    """Seconds from the first picture."""
    faces: list[list[Box]] = field(default_factory=list)
    """Of each picture, largest first, once `find_faces` has been asked."""
    people: list[NDArray[np.float32]] = field(default_factory=list)
    """The share of a person in each pixel of each picture, H×W, where that is known; else empty."""


def read_clip(path: Path, frames: int) -> Clip:
    """The first `frames` pictures of a file. Raises SourceNotFound or SourceUnusable."""
    images: list[Image] = []
    times: list[float] = []
    with VideoSource(path, exact=True) as source:
        while len(images) < frames and (frame := source.read()) is not None:
            images.append(frame.image)
            times.append(frame.timestamp)
        return Clip(path.stem, source.info.fps, images, times)


def find_faces(clip: Clip, detector: Detector) -> Clip:
    """The clip with its faces, as the product's detector finds them in the clean pictures."""
    found = [[face.box for face in detector.detect(image)] for image in clip.images]
    return replace(clip, faces=steady_boxes(found))


def own_clip(data: Path, number: int, seed: int, frames: int = OWN_FRAMES) -> Clip:
    """A portrait, cut out by its segmentation, that moves slowly before a photograph of a scene.

    The same for the same number and seed. `data` is the folder of `PORTRAITS` and `SCENES`; raises SourceUnusable if
    they are not there.
    """
    random = np.random.default_rng([seed, number])
    portrait, alpha = _portrait(data / PORTRAITS, random)
    width, height = OWN_SIZE
    scene = _filling(_scene(data / SCENES, random), OWN_SIZE)
    scale = random.uniform(0.66, 0.82) * height / len(portrait)
    phase, turn = random.uniform(0, 2 * np.pi, 3), random.uniform(1, 2.5)
    reach = (random.uniform(18, 30), random.uniform(5, 8))
    middle = width / 2 + random.uniform(-60, 60)
    images, people = [], []
    for index in range(frames):
        # one sway in three seconds: at most 30 * 2π / 75 = 2.5 px a frame
        sway = 2 * np.pi * index / (3 * OWN_FPS)
        angle = turn * np.sin(sway + phase[0])
        move = cv2.getRotationMatrix2D((portrait.shape[1] / 2, float(len(portrait))), float(angle), scale)
        move[0, 2] += middle + reach[0] * np.sin(sway + phase[1]) - portrait.shape[1] / 2
        # the lower edge of the cut-out stays below the picture's
        move[1, 2] += height + 2 * reach[1] + reach[1] * np.sin(2 * sway + phase[2]) - len(portrait)
        person = cv2.warpAffine(portrait, move, OWN_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        share = cv2.warpAffine(alpha, move, OWN_SIZE, flags=cv2.INTER_LINEAR)
        mixed = scene + (person.astype(np.float32) - scene) * share[..., None]
        people.append(np.asarray(share, np.float32))
        images.append(np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8))
    return Clip(f"own_{number}", OWN_FPS, images, [index / OWN_FPS for index in range(frames)], people=people)


def _portrait(path: Path, random: np.random.Generator) -> tuple[Image, NDArray[np.float32]]:
    """A portrait and the share of the person in each pixel, [0,1]; one whose head is whole and inside the picture."""
    with _archive(path) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".webp"))
        for index in random.permutation(len(names)):
            labels = _read(archive, names[index].replace(".webp", ".seg.png"))
            person = (np.asarray(Pillow.open(io.BytesIO(labels))) > 0).astype(np.float32)
            half = len(person) // 2
            sides = person[:half, 0].mean(), person[:half, -1].mean()
            if max(sides) <= EDGE_SHARE and not person[:EDGE_ROWS].any():
                # a pixel less all round, and soft: without it a rim of the old background shows
                inner = cv2.GaussianBlur(cv2.erode(person, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
                return _decode(_read(archive, names[index])), np.asarray(inner, np.float32)
    raise SourceUnusable(f"{path}: there is no portrait in it whose head is inside the picture")


def _scene(path: Path, random: np.random.Generator) -> Image:
    with _archive(path) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".webp"))
        return _decode(_read(archive, names[random.integers(len(names))]))


def _filling(image: Image, size: tuple[int, int]) -> Image:
    """The middle of a picture, enlarged to fill the size."""
    scale = max(size[0] / image.shape[1], size[1] / image.shape[0])
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - size[1]) // 2, (large.shape[1] - size[0]) // 2
    return np.asarray(large[top : top + size[1], left : left + size[0]], np.uint8)


def _archive(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except (OSError, tarfile.TarError) as error:
        raise SourceUnusable(f"{path}: clips of its own need this archive, which cannot be read: {error}") from error


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, f"{name} is no file"
    return member.read()


def _decode(content: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), np.uint8)

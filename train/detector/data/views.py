"""Training frames from real photographs: crops of people, rooms without a face, and what was once taken for a face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from train.degrade.occluders import CutOuts
from train.detector.data import geometry
from train.detector.data.composites import SMALLEST, Scene
from train.detector.data.real import Photograph

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
Random = np.random.Generator

WHOLE = 0.25
"""Share of views that show the whole photograph as the daemon does: top left, black beyond."""
LARGEST_ENLARGEMENT = 2.5
"""Frame pixels per photograph pixel, at most."""
TURNED = 0.18
"""A nose this far (in face widths) from the middle of the eyes marks a turned face, which is drawn more often."""


class Source(Protocol):
    """Draws labelled frames."""

    def scene(self, height: int, width: int, random: Random) -> Scene: ...


@dataclass(frozen=True)
class Mixture:
    """Draws each frame from one of several sources, as often as its weight says."""

    sources: Sequence[tuple[float, Source]]

    def scene(self, height: int, width: int, random: Random) -> Scene:
        weights = np.array([weight for weight, _ in self.sources])
        chosen = int(random.choice(len(weights), p=weights / weights.sum()))
        return self.sources[chosen][1].scene(height, width, random)


def warp(image: Image, matrix: NDArray[np.float64], frame: Image) -> None:
    """Draw a photograph onto a frame, in place; matrix (2×3): photograph px to frame px, pixel i covering [i, i+1).

    The photograph is averaged down first where it becomes smaller, so that it does not alias.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.8:
        height, width = image.shape[:2]
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        ratio = np.array((width, height)) / size
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = np.column_stack((matrix[:, :2] * ratio, matrix[:, 2]))
    linear = matrix[:, :2]
    centres = np.column_stack((linear, linear @ (0.5, 0.5) + matrix[:, 2] - 0.5))
    cv2.warpAffine(
        image, centres, (frame.shape[1], frame.shape[0]), frame, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )


def draw_degrees(random: Random) -> float:
    """How far a head is turned in the picture plane: within 30° mostly, at times up to 75°."""
    return float(random.uniform(-75, 75) if random.random() < 0.12 else np.clip(random.normal(0, 11), -30, 30))


def similarity(degrees: float, scale: float, mirror: bool) -> NDArray[np.float64]:
    """The linear part (2×2) of a turn with a scale, mirrored first if asked for."""
    angle = np.radians(degrees)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return np.asarray(turn @ np.diag((-1.0 if mirror else 1.0, 1.0)) * scale, np.float64)


def map_all(photograph: Photograph, matrix: NDArray[np.float64], scene: Scene) -> None:
    """Put the photograph's labels into the scene."""
    for box, points in zip(photograph.boxes, photograph.points, strict=True):
        scene.add(geometry.map_box(box, matrix), geometry.map_points(points, matrix))
    if len(photograph.doubtful):
        mapped = np.stack([geometry.map_box(box, matrix) for box in photograph.doubtful])
        scene.ignored = np.concatenate((scene.ignored, mapped))


def fit_whole(image: Image, height: int, width: int) -> NDArray[np.float64]:
    """The map (2×3) that fits a picture into the frame, top left."""
    scale = min(width / image.shape[1], height / image.shape[0])
    return np.array([(scale, 0, 0), (0, scale, 0)], np.float64)


@dataclass(frozen=True)
class Rooms:
    """Frames without a face: a piece of a room, at times with a hand or a thing in front of it.

    hard: for photograph `index`, boxes (px) that a detector once took for a face; `hard_share` of the frames show one.
    """

    photographs: list[Photograph]
    spoil: Callable[[Image, Random], Image]
    cut_outs: CutOuts
    hard: Sequence[tuple[int, Array]] = ()
    hard_share: float = 0.5

    def scene(self, height: int, width: int, random: Random) -> Scene:
        frame = np.zeros((height, width, 3), np.uint8)
        if self.hard and random.random() < self.hard_share:
            index, box = self.hard[int(random.integers(len(self.hard)))]
            self._around(frame, self.photographs[index].image, box, random)
        else:
            image = self.photographs[int(random.integers(len(self.photographs)))].image
            draw_room(frame, image, random)
        if random.random() < 0.2:
            put_cut_out(frame, self.cut_outs, random)
        return Scene(self.spoil(frame, random))

    def _around(self, frame: Image, image: Image, box: Array, random: Random) -> None:
        """The photograph, so that the box is somewhere in the frame at about the size at which it was seen."""
        height, width = frame.shape[:2]
        seen = min(width / image.shape[1], height / image.shape[0])
        scale = seen * float(np.exp(random.normal(0, 0.35)))
        linear = similarity(float(random.normal(0, 8)), scale, bool(random.random() < 0.5))
        place = random.uniform(0.15, 0.85, 2) * (width, height)
        draw_room(frame, image, random)
        warp(image, np.column_stack((linear, place - linear @ ((box[:2] + box[2:]) / 2))), frame)


def draw_room(frame: Image, image: Image, random: Random) -> None:
    """Fill the frame with a piece of a photograph, or fit the photograph into it."""
    height, width = frame.shape[:2]
    if random.random() < WHOLE:
        warp(image, fit_whole(image, height, width), frame)
        return
    cover = max(width / image.shape[1], height / image.shape[0])
    scale = cover * float(np.exp(random.uniform(0, np.log(2.2))))
    linear = similarity(0.0, scale, bool(random.random() < 0.5))
    spare = np.array((image.shape[1] * scale - width, image.shape[0] * scale - height))
    corner = random.uniform(0, 1, 2) * np.maximum(spare, 0)
    start = np.array((image.shape[1] * scale if linear[0, 0] < 0 else 0.0, 0.0))
    warp(image, np.column_stack((linear, start - corner)), frame)


def put_cut_out(frame: Image, cut_outs: CutOuts, random: Random) -> None:
    """A hand or a thing somewhere in the frame, in place."""
    side = int(random.uniform(0.3, 1.0) * min(frame.shape[:2]))
    top, left = (int(random.integers(0, length - side + 1)) for length in frame.shape[:2])
    cover(frame, (left, top, side), cut_outs, random)


def cover(frame: Image, square: tuple[int, int, int], cut_outs: CutOuts, random: Random) -> Array:
    """Put a cut-out over a square (left, top, side px; inside the frame) as over a face crop; its alpha (side×side)."""
    left, top, side = square
    region = frame[top : top + side, left : left + side]
    picture = np.ascontiguousarray(region[..., ::-1])
    alpha = cut_outs.put(picture, np.zeros((side, side), np.uint8), random)
    region[:] = picture[..., ::-1]
    return np.asarray(alpha, np.float32)


@dataclass(frozen=True)
class People:
    """Frames with real faces, before a room where the photograph does not reach.

    hard: (photograph, box px) of faces that a detector misses; they are drawn more often.
    """

    photographs: list[Photograph]
    rooms: list[Photograph]
    spoil: Callable[[Image, Random], Image]
    cut_outs: CutOuts
    hard: Sequence[tuple[int, Array]] = ()

    @cached_property
    def _faces(self) -> tuple[NDArray[np.int64], Array]:
        """(photograph, face) of every face, and how often it is drawn."""
        pairs, weights = [], []
        missed = {(index, tuple(box.tolist())) for index, box in self.hard}
        for index, one in enumerate(self.photographs):
            for face, (box, five) in enumerate(zip(one.boxes, one.points, strict=True)):
                turned = abs(float(five[2, 0] - five[:2, 0].mean())) / float(box[2] - box[0]) > TURNED
                pairs.append((index, face))
                # a crowd's faces share a picture: each counts less
                weight = (2.0 if turned else 1.0) * (3.0 if (index, tuple(box.tolist())) in missed else 1.0)
                weights.append(weight / np.sqrt(len(one.boxes)))
        chances = np.array(weights, np.float32)
        return np.array(pairs, np.int64), chances / chances.sum()

    def scene(self, height: int, width: int, random: Random) -> Scene:
        pairs, chances = self._faces
        index, face = pairs[int(random.choice(len(pairs), p=chances))]
        photograph = self.photographs[index]
        frame = np.zeros((height, width, 3), np.uint8)
        if random.random() < WHOLE:
            matrix = fit_whole(photograph.image, height, width)
            if random.random() < 0.5:
                across = photograph.image.shape[1] * matrix[0, 0]
                matrix = np.array([(-matrix[0, 0], 0, across), matrix[1]])
        else:
            draw_room(frame, self.rooms[int(random.integers(len(self.rooms)))].image, random)
            matrix = self._framing(photograph.boxes[face], height, width, random)
        warp(photograph.image, matrix, frame)
        scene = Scene(frame)
        map_all(photograph, matrix, scene)
        if len(scene.boxes) and random.random() < 0.2:
            self._occlude(scene, random)
        scene.image = self.spoil(scene.image, random)
        scene.ignore_unseen()
        return scene

    def _framing(self, box: Array, height: int, width: int, random: Random) -> NDArray[np.float64]:
        """A map that shows the face at a height from tiny to the whole frame, somewhere in it."""
        own = float(box[3] - box[1])
        if random.random() < 0.5:
            wanted = height * random.uniform(0.15, 0.75)
        else:
            wanted = np.exp(random.uniform(np.log(SMALLEST + 1), np.log(height * 1.05)))
        scale = min(float(wanted) / own, LARGEST_ENLARGEMENT)
        linear = similarity(draw_degrees(random), scale, bool(random.random() < 0.5))
        half = np.minimum(np.abs(linear) @ ((box[2:] - box[:2]) / 2), np.array((width, height)) / 2)
        room = half * (0.5 if random.random() < 0.2 else 1.0)
        place = random.uniform(room, np.array((width, height)) - room)
        return np.column_stack((linear, place - linear @ ((box[:2] + box[2:]) / 2)))

    def _occlude(self, scene: Scene, random: Random) -> None:
        """Put something before one of the faces; what hides most of it makes it a face that need not be found."""
        chosen = int(random.integers(len(scene.boxes)))
        box = scene.boxes[chosen]
        side = int(1.5 * max(box[2] - box[0], box[3] - box[1]))
        height, width = scene.image.shape[:2]
        if side < 16 or side > min(height, width):
            return
        middle = (box[:2] + box[2:]) / 2
        left = int(np.clip(middle[0] - side / 2, 0, width - side))
        top = int(np.clip(middle[1] - side / 2, 0, height - side))
        alpha = cover(scene.image, (left, top, side), self.cut_outs, random)
        x1, y1, x2, y2 = (box - (left, top, left, top)).clip(0, side).astype(int)
        hidden = float(alpha[y1:y2, x1:x2].mean()) if x2 > x1 and y2 > y1 else 1.0
        if hidden > 0.6:
            rest = np.arange(len(scene.boxes)) != chosen
            scene.ignored = np.concatenate((scene.ignored, box[None]))
            scene.boxes, scene.points = scene.boxes[rest], scene.points[rest]

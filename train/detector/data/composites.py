"""Training frames: up to six labelled faces pasted over a background, then degraded as by a bad webcam."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from train.detector.data import geometry, paste, warp
from train.detector.data.backgrounds import background
from train.detector.data.degrade import degrade
from train.detector.data.faces import FaceBank

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
Random = np.random.Generator

SMALLEST = 7.0
"""Height in px of the smallest box that counts; what ends up smaller is ignored."""
POSITIVE, IGNORED = 0.7, 0.5
"""A face with this share of its box in the frame must be found; between the two it is ignored; below, no face."""
CROWD = np.array((0.14, 0.30, 0.20, 0.13, 0.10, 0.07, 0.06))
"""How often a frame has 0 to 6 faces."""


FAINTEST = 4.0
"""Deviation in levels over the blocks of a face under which it counts as unseen."""


def contrast(image: Image, box: Array) -> float:
    """Deviation of 8×8 block means of the box's visible part, in levels: noise averages out, features stay."""
    x1, y1 = np.maximum(box[:2], 0).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    part = image[y1:y2, x1:x2]
    if not part.size:
        return 0.0
    return float(np.asarray(cv2.resize(part, (8, 8), interpolation=cv2.INTER_AREA)).std(axis=(0, 1)).max())


@dataclass
class Scene:
    """A frame (H×W×3 BGR), the boxes (N×4 px) and points (N×5×2 px) to find, and boxes (M×4) that do not count."""

    image: Image
    boxes: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    points: Array = field(default_factory=lambda: np.zeros((0, 5, 2), np.float32))
    ignored: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    def add(self, box: Array, points: Array) -> None:
        """Take in a face that was pasted: to be found, ignored, or neither, by size and by how much of it shows."""
        height, width = self.image.shape[:2]
        share = geometry.visible_share(box, height, width)
        mouth_inside = bool((points[3:].mean(0) < (width, height)).all() and (points[3:].mean(0) > 0).all())
        if share >= POSITIVE and mouth_inside and box[3] - box[1] >= SMALLEST:
            self.boxes = np.concatenate((self.boxes, box[None]))
            self.points = np.concatenate((self.points, points[None]))
        elif share >= IGNORED:
            self.ignored = np.concatenate((self.ignored, box[None]))

    def ignore_unseen(self) -> None:
        """Do not ask for a face that darkness or fog has swallowed: that would teach to see faces in anything."""
        seen = np.array([contrast(self.image, box) >= FAINTEST for box in self.boxes], bool)
        self.ignored = np.concatenate((self.ignored, self.boxes[~seen]))
        self.boxes, self.points = self.boxes[seen], self.points[seen]

    def taken(self) -> Array:
        return np.concatenate((self.boxes, self.ignored))


@dataclass(frozen=True)
class Composer:
    """Draws scenes from faces (those at `indices`) and backgrounds."""

    bank: FaceBank
    indices: NDArray[np.int64]
    backgrounds: Image
    spoil: Callable[[Image, Random], Image] = degrade

    def scene(self, height: int, width: int, random: Random) -> Scene:
        """A degraded scene of that size; some are letterboxed as insightface does: picture top left, black beyond."""
        rows, columns = height, width
        if random.random() < 0.2:
            rows, columns = int(height * random.uniform(0.5, 1)), width
            if random.random() < 0.3:
                rows, columns = height, int(width * random.uniform(0.5, 1))
        scene = Scene(background(self.backgrounds, rows, columns, random))
        if random.random() < 0.06:
            self._portrait(scene, random)
        else:
            for _ in range(int(random.random() < 0.3) * int(random.integers(1, 4))):
                self._fragment(scene, random)
            if random.random() < 0.1:
                self._imposter(scene, random)
            count = int(random.choice(len(CROWD), p=CROWD / CROWD.sum()))
            for _ in range(count):
                self._face(scene, self._height(rows, columns, count, random), random)
        image = self.spoil(scene.image, random)
        scene.image = np.zeros((height, width, 3), np.uint8)
        scene.image[:rows, :columns] = image
        scene.ignore_unseen()
        return scene

    def _height(self, rows: int, columns: int, count: int, random: Random) -> float:
        """A box height: most as of someone at a desk, the rest anything from the smallest to the whole frame."""
        largest = min(rows, columns * 1.3) * (1.05 if count == 1 else 0.75)
        if random.random() < 0.45:
            return float(rows * random.uniform(0.15, 0.75)) if count < 4 else float(rows * random.uniform(0.1, 0.4))
        return float(np.exp(random.uniform(np.log(SMALLEST - 1), np.log(largest))))

    def _draw(self, random: Random) -> tuple[int, Array]:
        index = int(random.choice(self.indices))
        return index, self.bank.boxes[index]

    def _face(self, scene: Scene, height: float, random: Random) -> None:
        """Paste one face of that box height where it does not cover another; gives up after some tries."""
        index, box = self._draw(random)
        pose = geometry.draw_pose(height, random)
        rows, columns = scene.image.shape[:2]
        for _ in range(8):
            centre = (float(random.uniform(0, columns)), float(random.uniform(0, rows)))
            matrix = geometry.affine(box, pose, centre)
            mapped = geometry.map_box(box, matrix)
            share = geometry.visible_share(mapped, rows, columns)
            reluctant = share < 0.98 and random.random() < 0.75
            if share > 0.3 and not reluctant and geometry.overlap(mapped, scene.taken()) < 0.1:
                break
        else:
            return
        tight = random.random() < 0.6 or bool(box[0] < 0 or box[1] < 0)
        below = np.array((mapped[0] * 2 - mapped[2], mapped[3], mapped[2] * 2 - mapped[0], rows), np.float32)
        if tight and random.random() < 0.5 and mapped[3] < rows and geometry.overlap(below, scene.taken()) < 0.05:
            paste.shoulders(scene.image, mapped, random)
        mask = paste.ellipse_mask(box, random) if tight else paste.rectangle_mask()
        before = scene.taken()
        if not tight and len(before):  # a whole picture reaches beyond its box: it must not bury another face
            corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ matrix[:, :2].T + matrix[:, 2]
            reach = np.concatenate((corners.min(0), corners.max(0))).astype(np.float32)
            if geometry.overlap(reach, before) > 0.1:
                mask = paste.ellipse_mask(box, random)
        self._place(scene, index, mask, matrix, random)

    def _place(self, scene: Scene, index: int, mask: Image, matrix: NDArray[np.float64], random: Random) -> None:
        picture, source = self.bank.level(index, float(np.hypot(*matrix[:, 0]))), self.bank.points[index]
        if random.random() < 0.6:
            picture, source = warp.warp(picture, source, warp.draw_shift(random))
        if random.random() < 0.3:  # each face under its own light, as in pictures put together by a conference tool
            gain = np.exp(random.normal(0, 0.3)) * np.exp(random.normal(0, 0.08, 3))
            table = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)
            picture = np.asarray(cv2.LUT(picture, table[:, None, :]), np.uint8)
        paste.paste(scene.image, picture, mask, matrix)
        mapped = geometry.map_box(self.bank.boxes[index], matrix)
        points = geometry.map_points(source, matrix)
        if random.random() < 0.15 and mapped[3] - mapped[1] > 16:
            paste.occlude(scene.image, mapped, points, random)
        scene.add(mapped, points)

    def _portrait(self, scene: Scene, random: Random) -> None:
        """One face whose own picture is the whole frame."""
        index, box = self._draw(random)
        rows, columns = scene.image.shape[:2]
        natural = (box[3] - box[1]) * min(rows, columns)
        pose = geometry.draw_pose(float(natural * random.uniform(0.8, 1.4)), random)
        middle = ((box[0] + box[2]) / 2 - 0.5, (box[1] + box[3]) / 2 - 0.5)
        x, y = (0.5 + offset + random.normal(0, 0.06) for offset in middle)
        matrix = geometry.affine(box, pose, (float(x * columns), float(y * rows)))
        paste.fill(scene.image, self.bank.level(index, 256), matrix)
        self._place(scene, index, paste.rectangle_mask(), matrix, random)

    def _fragment(self, scene: Scene, random: Random) -> None:
        """A piece of a face that is none: an eye, a mouth, an ear, blown up; nothing to find there."""
        index, box = self._draw(random)
        picture = np.asarray(self.bank.pictures[0][index], np.uint8)
        side = picture.shape[0]
        width, height = ((box[2:] - box[:2]) * side * random.uniform(0.15, 0.38, 2)).astype(int)
        x, y = (int(random.integers(0, side - length)) for length in (width, height))
        if random.random() < 0.5:  # astride the face's edge: ears, and what hangs from them
            x = int(np.clip(box[random.choice((0, 2))] * side - width / 2, 0, side - width))
        scale = float(np.exp(random.uniform(np.log(0.3), np.log(2.5))))
        piece = picture[y : y + height, x : x + width]
        piece = np.asarray(cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        rows, columns = scene.image.shape[:2]
        top, left = int(random.integers(0, rows)), int(random.integers(0, columns))
        target = scene.image[top : top + piece.shape[0], left : left + piece.shape[1]]
        target[:] = piece[: target.shape[0], : target.shape[1]]

    def _imposter(self, scene: Scene, random: Random) -> None:
        """A face on its head, or with its parts in the wrong places, large enough to differ from a blurred one."""
        index, box = self._draw(random)
        rows, columns = scene.image.shape[:2]
        picture = np.array(self.bank.pictures[1][index], np.uint8)
        if random.random() < 0.3:
            picture = np.ascontiguousarray(picture[::-1])
            box = np.array((box[0], 1 - box[3], box[2], 1 - box[1]), np.float32)
        else:
            left, top, right, bottom = (np.clip(box, 0, 1) * picture.shape[0]).astype(int)
            across, down = (right - left) // 3, (bottom - top) // 3
            spots = [np.s_[top + j * down : top + (j + 1) * down, left + i * across : left + (i + 1) * across]
                     for j in range(3) for i in range(3)]  # fmt: skip
            tiles = [picture[spot].copy() for spot in spots]
            for spot, tile in zip(spots, random.permutation(9), strict=True):
                picture[spot] = tiles[tile]
        centre = (float(random.uniform(0, columns)), float(random.uniform(0, rows)))
        pose = geometry.draw_pose(float(np.exp(random.uniform(np.log(28), np.log(rows * 0.7)))), random)
        mask = paste.ellipse_mask(box, random) if random.random() < 0.6 else paste.rectangle_mask()
        paste.paste(scene.image, picture, mask, geometry.affine(box, pose, centre))

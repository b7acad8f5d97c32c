"""Faces in large pictures, with a detector that sees each picture 320 pixels wide, as the real one does."""

import cv2
import numpy as np
import pytest

from frrcam.enhance.tiles import TiledDetector
from frrcam.faces.types import Detection
from frrcam.frame import Image

SEEN = 10
"""Pixels of those 320 that a face must be wide to be found."""


class Squares:
    """Finds bright squares; of one that is wide enough to show them, its eyes too: darker squares inside."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def detect(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        self.sizes.append((width, height))
        least = SEEN * max(width, height) / 320
        return [*self._squares(image[..., 1] > 100, least, 0.9), *self._squares(image[..., 0] > 100, least, 0.6)]

    def _squares(self, mask: np.ndarray, least: float, score: float) -> list[Detection]:
        _, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        return [
            Detection((float(x), float(y), float(x + w), float(y + h)), score, np.full((5, 2), (x, y), np.float32))
            for x, y, w, h, _ in sorted(boxes[1:].tolist(), key=lambda box: -box[2])
            if min(w, h) >= least
        ]


def picture(width: int, height: int, *squares: tuple[int, int, int]) -> Image:
    image = np.zeros((height, width, 3), np.uint8)
    for x, y, side in squares:
        image[y : y + side, x : x + side, 1] = 200
        eye = side // 5
        image[y + eye : y + 2 * eye, x + eye : x + 2 * eye, 0] = 200
    return image


def found(image: Image) -> list[tuple[int, int, int]]:
    """x, y and side, as the squares are given."""
    faces = TiledDetector(Squares()).detect(image)
    assert all(face.points[0].tolist() == list(face.box[:2]) for face in faces)
    return [(round(face.box[0]), round(face.box[1]), round(face.box[2] - face.box[0])) for face in faces]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1080, 1920)])
def test_what_a_camera_gives_is_looked_at_once(size: tuple[int, int]) -> None:
    detector = Squares()
    TiledDetector(detector).detect(picture(*size))
    assert detector.sizes == [size]


def test_the_faces_of_a_panorama_are_found_wherever_they_are() -> None:
    faces = [(x, 100 + x % 300, 120) for x in range(0, 7680 - 120, 180)]
    assert Squares().detect(picture(7680, 720, *faces)) == []
    assert sorted(found(picture(7680, 720, *faces))) == faces


def test_a_group_has_its_large_and_its_small_faces_each_once_and_largest_first() -> None:
    faces = [(300, 200, 560), (2100, 900, 470), (3700, 2600, 300), (1860, 1860, 120), (0, 2900, 100), (3900, 0, 80)]
    assert found(picture(4000, 3000, *faces)) == faces


def test_tiles_are_no_larger_than_what_is_looked_at_as_a_whole() -> None:
    detector = Squares()
    TiledDetector(detector).detect(picture(4000, 3000))
    whole, *tiles = detector.sizes
    assert whole == (4000, 3000)
    assert set(tiles) == {(1920, 1920)}
    assert len(tiles) == 6

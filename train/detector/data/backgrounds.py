"""Pictures without a face to paste faces on: drawn ones, scikit-image's bundled ones, shreds of the training pictures.

Drawn once into a bank; on use each is cropped, mirrored, scaled and recoloured, so that few repeat.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from train.common.files import save_array
from train.detector.data.drawings import (
    SIDE,
    blobs,
    figures,
    filled,
    furniture,
    leaves,
    lettering,
    skin,
    stripes,
    texture,
)
from train.detector.data.faces import FaceBank

Image = NDArray[np.uint8]
Random = np.random.Generator

PICTURES = ("coffee", "rocket", "chelsea", "brick", "grass", "gravel", "hubble_deep_field", "moon", "page", "text",
            "clock_motion", "motorcycle_left", "ihc", "retina", "horse", "color")  # fmt: skip
"""Names in skimage.data of pictures that hold no human face; `astronaut` and `camera` are left to the demo source."""


def shreds(random: Random, bank: FaceBank) -> Image:
    """Patches from the corners of the training pictures, beside the face: real cloth, hair, walls and leaves."""
    image = blobs(random)
    largest = bank.pictures[0]
    for _ in range(int(random.integers(1, 40))):
        index = int(random.integers(len(bank.keys)))
        left, _, right, bottom = np.clip(bank.boxes[index], 0, 1) * largest.shape[1]
        # beside the box, or below the chin: nothing of the face but an ear
        x1, x2 = ((0, int(left)), (int(right) + 1, largest.shape[1]))[int(random.integers(2))]
        if x2 - x1 < 12 or bottom < 40:
            continue
        height = int(random.integers(16, 120))
        top = int(random.integers(0, largest.shape[1] - height))
        patch = np.asarray(largest[index, top : top + height, x1:x2], np.uint8)
        scale = float(np.exp(random.uniform(np.log(0.4), np.log(5))))
        patch = np.asarray(cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), np.uint8)
        if min(patch.shape[:2]) < 24:
            continue
        if random.random() < 0.5:
            patch = patch[::-1]
        y, x = (int(v) for v in random.integers(-20, SIDE - 10, 2))
        target = image[max(y, 0) : y + patch.shape[0], max(x, 0) : x + patch.shape[1]]
        target[:] = patch[max(-y, 0) :, max(-x, 0) :][: target.shape[0], : target.shape[1]]
    return image


def scrambled(random: Random, bank: FaceBank) -> Image:
    """A training picture whose blocks are shuffled or that is blurred out of recognition: its colours, no face."""
    index = int(random.integers(len(bank.keys)))
    image = np.asarray(bank.pictures[0][index], np.uint8)
    if random.random() < 0.4:  # on its head, or a heavily blurred face would be asked not to be one
        few = cv2.resize(image[::-1], (7, 7), interpolation=cv2.INTER_AREA)
        return filled(np.asarray(few, np.uint8), cv2.INTER_CUBIC)
    blocks = int(random.choice((8, 16)))
    side = image.shape[0] // blocks
    tiles = image.reshape(blocks, side, blocks, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    tiles = random.permutation(tiles).reshape(blocks, blocks, side, side, 3).swapaxes(1, 2)
    image = np.ascontiguousarray(tiles.reshape(blocks * side, -1, 3))
    if random.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(random.uniform(1, 6))), np.uint8)
    return filled(image, cv2.INTER_LINEAR)


def erased(random: Random, bank: FaceBank) -> Image:
    """A training picture whose face is wiped out: hair, clothes and room without a face."""
    index = int(random.integers(len(bank.keys)))
    image = np.array(bank.pictures[0][index], np.uint8)
    side = image.shape[0]
    left, top, right, bottom = bank.boxes[index] * side
    mask = np.zeros((side, side), np.uint8)
    centre, axes = ((left + right) / 2, (top + bottom) / 2), ((right - left) * 0.55, (bottom - top) * 0.53)
    cv2.ellipse(mask, (int(centre[0]), int(centre[1])), (int(axes[0]), int(axes[1])), 0, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(1, 10)))[..., None] / 255
    if random.random() < 0.5:
        above, below = random.uniform(0.6, 1.3, 2).tolist()
        cover = np.array(skin(random)) * np.linspace(above, below, side)[:, None, None]
    else:
        cover = texture(random)[:side, :side]
    return filled((image * (1 - soft) + cover.clip(0, 255) * soft).astype(np.uint8), cv2.INTER_LINEAR)


def photographs() -> list[Image]:
    """scikit-image's bundled pictures that show no human face, BGR."""
    folder = Path(skimage.data.__file__).parent
    paths = [path for name in PICTURES for path in folder.glob(f"{name}.*")]
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    return [np.asarray(image, np.uint8) for image in images if image is not None]


def photograph(random: Random, pictures: list[Image]) -> Image:
    """A random square of one of the photographs."""
    image = pictures[int(random.integers(len(pictures)))]
    side = int(min(image.shape[:2]) * random.uniform(0.25, 1))
    y, x = (int(random.integers(0, length - side + 1)) for length in image.shape[:2])
    return filled(image[y : y + side, x : x + side], cv2.INTER_AREA)


def build(count: int, bank: FaceBank, random: Random) -> Image:
    """`count` backgrounds, count×SIDE×SIDE×3 BGR."""
    pictures = photographs()
    kinds: list[tuple[float, Callable[[], Image]]] = [
        (0.06, lambda: blobs(random)),
        (0.05, lambda: texture(random)),
        (0.05, lambda: stripes(random)),
        (0.08, lambda: furniture(random)),
        (0.05, lambda: lettering(random)),
        (0.10, lambda: figures(random)),
        (0.14, lambda: shreds(random, bank)),
        (0.05, lambda: scrambled(random, bank)),
        (0.08, lambda: erased(random, bank)),
        (0.10, lambda: leaves(random, shreds(random, bank))),
        (0.10, lambda: leaves(random, photograph(random, pictures))),
        (0.14, lambda: photograph(random, pictures)),
    ]
    weights = np.array([weight for weight, _ in kinds])
    chosen = random.choice(len(kinds), count, p=weights / weights.sum())
    return np.stack([kinds[kind][1]() for kind in chosen])


def load_or_build(cache: Path, count: int, bank: FaceBank, random: Random) -> Image:
    """The bank of backgrounds in `cache`, memory-mapped, built on first use."""
    path = cache / f"backgrounds-{count}.npy"
    if not path.exists():
        save_array(path, build(count, bank, random))
    backgrounds: Image = np.load(path, mmap_mode="r")
    return backgrounds


def background(backgrounds: Image, height: int, width: int, random: Random) -> Image:
    """A random piece of a random background, height×width×3, mirrored and stretched; at times two side by side."""
    piece = _piece(backgrounds, height, width, random)
    if random.random() < 0.3:
        other = _piece(backgrounds, height, width, random)
        y, x = int(random.integers(0, height)), int(random.integers(0, width))
        piece[y:, x:] = other[y:, x:]
    return piece


def _piece(backgrounds: Image, height: int, width: int, random: Random) -> Image:
    image = np.asarray(backgrounds[int(random.integers(len(backgrounds)))], np.uint8)
    scale = float(np.exp(random.uniform(np.log(0.35), np.log(1.0))))
    rows, columns = (max(8, int(SIDE * scale * random.uniform(0.7, 1))) for _ in range(2))
    y, x = int(random.integers(0, SIDE - rows + 1)), int(random.integers(0, SIDE - columns + 1))
    piece = image[y : y + rows, x : x + columns]
    if random.random() < 0.5:
        piece = piece[:, ::-1]
    if random.random() < 0.3:
        piece = piece.transpose(1, 0, 2)
    return np.array(cv2.resize(np.ascontiguousarray(piece), (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

"""A picture of what a detector finds on frames of clips, to be looked at."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.detector.evaluate import Array, Detector, read_frames

Image = NDArray[np.uint8]

TILE = (480, 270)
LEFT, RIGHT, NOSE = (255, 128, 0), (0, 128, 255), (0, 255, 255)


def draw(image: Image, boxes: Array, points: Array) -> Image:
    """The picture with boxes, scores and points; what the viewer sees on the left is blue, on the right orange."""
    drawn = image.copy()
    width = max(1, image.shape[1] // 400)
    for (x1, y1, x2, y2, score), five in zip(boxes.tolist(), points, strict=True):
        cv2.rectangle(drawn, (int(x1), int(y1)), (int(x2), int(y2)), (0, 255, 0), width)
        place = (int(x1), max(12, int(y1) - 4))
        cv2.putText(drawn, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, (0, 255, 0), width)
        for (x, y), tint in zip(five.tolist(), (LEFT, RIGHT, NOSE, LEFT, RIGHT), strict=True):
            cv2.circle(drawn, (int(x), int(y)), width * 2, tint, -1)
    return drawn


def tile(image: Image) -> Image:
    """The picture fitted into a TILE, grey around it."""
    scale = min(TILE[0] / image.shape[1], TILE[1] / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[: TILE[1], : TILE[0]]
    canvas = np.full((TILE[1], TILE[0], 3), 64, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def sheet(images: list[Image], detector: Detector, columns: int = 4) -> Image:
    """All pictures with what the detector finds on them, in rows of `columns`."""
    tiles = [tile(draw(image, *detector.detect(image))) for image in images]
    tiles += [np.full_like(tiles[0], 64)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], 1) for start in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def pick_frames(clip: Path, count: int) -> list[Image]:
    """`count` frames spread evenly over a clip."""
    frames = list(read_frames(clip))
    return [frames[index] for index in np.linspace(0, len(frames) - 1, count).astype(int)]

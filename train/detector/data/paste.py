"""Put one face into a frame: a hard rectangle, a feathered ellipse or the whole frame; and hide a part of it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from train.detector.data.drawings import colour, hand, skin

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
Matrix = NDArray[np.float64]
Random = np.random.Generator

MASK = 96


def rectangle_mask() -> Image:
    """The whole picture, cut hard (MASK×MASK)."""
    return np.full((MASK, MASK), 255, np.uint8)


def ellipse_mask(box: Array, random: Random) -> Image:
    """An ellipse around the face (box in fractions) that lets in some or much of hair, ears and neck; feathered."""
    mask = np.zeros((MASK, MASK), np.uint8)
    reach = random.uniform(1.1, 1.7)
    centre = (int((box[0] + box[2]) / 2 * MASK), int((box[1] + box[3]) / 2 * MASK))
    axes = (int((box[2] - box[0]) / 2 * MASK * reach * 1.05), int((box[3] - box[1]) / 2 * MASK * reach))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    softness = random.uniform(0.5, 8)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.uint8)
    # the picture ends at its edge: fade there too, so that no straight cut gives the face away
    edge = np.clip(np.minimum(np.arange(MASK), np.arange(MASK)[::-1]) / softness, 0, 1)
    fade = np.minimum.outer(edge, edge)
    return (mask * fade).astype(np.uint8)


def paste(frame: Image, picture: Image, mask: Image, matrix: Matrix) -> None:
    """Blend `picture` (S×S×3) under `mask` (MASK×MASK) into the frame in place; matrix: fractions to frame px."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ matrix[:, :2].T + matrix[:, 2]
    x1, y1 = np.floor(np.clip(corners.min(0), 0, frame.shape[1::-1])).astype(int)
    x2, y2 = np.ceil(np.clip(corners.max(0), 0, frame.shape[1::-1])).astype(int)
    if x2 <= x1 or y2 <= y1:
        return
    size = (int(x2 - x1), int(y2 - y1))
    pixels = _pixels(matrix, picture.shape[0], x1, y1)
    face = cv2.warpAffine(picture, pixels, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(mask, _pixels(matrix, MASK, x1, y1), size, flags=cv2.INTER_LINEAR)
    weight = cv2.cvtColor(np.asarray(alpha, np.uint8), cv2.COLOR_GRAY2BGR)
    region = frame[y1:y2, x1:x2]
    shown = cv2.multiply(face, weight, scale=1 / 255)
    kept = cv2.multiply(region, cv2.bitwise_not(weight), scale=1 / 255)
    region[:] = cv2.add(shown, kept)


def fill(frame: Image, picture: Image, matrix: Matrix) -> None:
    """Make the picture the whole frame, in place; beyond its edges it is mirrored and then blurred."""
    size = (frame.shape[1], frame.shape[0])
    pixels = _pixels(matrix, picture.shape[0], 0, 0)
    blurred = cv2.GaussianBlur(picture, (0, 0), picture.shape[0] / 40)
    frame[:] = cv2.warpAffine(blurred, pixels, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    paste(frame, picture, rectangle_mask(), matrix)


def shoulders(frame: Image, box: Array, random: Random) -> None:
    """A neck and a clothed body below the face (box in frame px), in place."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    middle, chin = float(box[0] + box[2]) / 2, float(box[3])
    bottom = frame.shape[0] + 2
    spread = width * random.uniform(1.1, 1.8)
    top = chin + height * random.uniform(0.1, 0.3)
    neck = ((width * 0.3, chin - height * 0.3), (width * 0.35, top + height * 0.1))
    body = ((width * 0.4, top), (spread, top + height * 0.35), (spread * 1.15, bottom))
    for half, tint in ((neck, skin(random)), (body, colour(random))):
        outline = [(middle - x, y) for x, y in half] + [(middle + x, y) for x, y in reversed(half)]
        cv2.fillPoly(frame, [np.array(outline, np.int32)], tint, cv2.LINE_AA)


def occlude(frame: Image, box: Array, points: Array, random: Random) -> None:
    """Hide a part of the face (box, points in frame px) in place: a hand, a mask, sunglasses or a thing in front."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    kind = random.random()
    if kind < 0.45:
        spot = mouth + random.normal((0, 0.1), 0.12, 2) * (width, height)
        hand(frame, (int(spot[0]), int(spot[1])), max(2, int(width * random.uniform(0.25, 0.5))), skin(random), random)
    elif kind < 0.6:
        nose = points[2]
        side = (points[4] - points[3]) * 0.85
        jaw, chin = mouth + np.array((0, height * 0.1)), mouth + np.array((0, height * 0.28))
        outline = np.array((nose - side, nose + side, jaw + side, chin, jaw - side), np.int32)
        cv2.fillPoly(frame, [outline], colour(random), cv2.LINE_AA)
    elif kind < 0.75:
        radius = max(1, int(np.linalg.norm(points[1] - points[0]) * random.uniform(0.25, 0.38)))
        tint = tuple(int(v) for v in random.integers(0, 60, 3))
        for eye in points[:2]:
            cv2.circle(frame, (int(eye[0]), int(eye[1])), radius, tint, -1, cv2.LINE_AA)
        ends = [(int(p[0]), int(p[1])) for p in (points[0], points[1])]
        cv2.line(frame, ends[0], ends[1], tint, max(1, radius // 4), cv2.LINE_AA)
    else:
        x = float(eyes[0] + random.choice((-1, 1)) * width * random.uniform(0.35, 0.6))
        y = float(mouth[1] + height * random.uniform(-0.2, 0.4))
        corner = (int(x - width * 0.25), int(y - height * 0.2))
        cv2.rectangle(frame, corner, (int(x + width * 0.25), int(y + height * 0.4)), colour(random), -1)


def _pixels(matrix: Matrix, side: int, x: int, y: int) -> NDArray[np.float64]:
    """The same map between pixel centres: from a picture of that side to a region whose corner is (x, y)."""
    linear = matrix[:, :2] / side
    return np.column_stack((linear, linear @ (0.5, 0.5) + matrix[:, 2] - (x + 0.5, y + 0.5)))

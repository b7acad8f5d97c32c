"""Drawn pictures without a face: fields, textures, stripes, furniture, lettering, and what a face is taken for."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Random = np.random.Generator

SIDE = 384


def colour(random: Random) -> tuple[int, int, int]:
    """A BGR colour; most are muted, as in rooms."""
    base = random.integers(0, 256)
    spread = random.choice((8, 30, 120))
    b, g, r = np.clip(base + random.integers(-spread, spread + 1, 3), 0, 255)
    return int(b), int(g), int(r)


def skin(random: Random) -> tuple[int, int, int]:
    """A BGR colour of skin, from dark to pale, under roughly white light."""
    tone = random.uniform()
    red = 60 + 190 * tone
    green = red * random.uniform(0.62, 0.85)
    return int(green * random.uniform(0.65, 0.95)), int(green), int(red)


def blobs(random: Random) -> Image:
    """Smooth fields of colour."""
    cells = int(random.integers(2, 9))
    low, high = sorted(random.integers(0, 256, 2).tolist())
    field = random.integers(low, high + 1, (cells, cells, 3)).astype(np.float32)
    if random.random() < 0.6:
        field = 0.8 * field.mean(2, keepdims=True) + 0.2 * field
    return filled(np.clip(field, 0, 255).astype(np.uint8), cv2.INTER_CUBIC)


def texture(random: Random) -> Image:
    """Noise summed over octaves: plaster, cloth, foliage."""
    total = np.zeros((SIDE, SIDE, 3), np.float32)
    weight = random.uniform(0.4, 1.0)
    amplitude = 1.0
    for cells in (4, 8, 16, 32, 64, 128, SIDE):
        noise = random.normal(0, 1, (cells, max(2, int(cells * random.uniform(0.3, 1))), 1 if cells > 8 else 3))
        total += amplitude * _resized(noise.astype(np.float32), cv2.INTER_LINEAR).reshape(SIDE, SIDE, -1)
        amplitude *= weight
    total = total / total.std() * random.uniform(8, 50) + np.array(colour(random))
    return np.asarray(total.clip(0, 255), np.uint8)


def stripes(random: Random) -> Image:
    """Blinds, shelves, tiles: two colours alternating along one or two directions."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = random.choice((0, np.pi / 2, random.uniform(0, np.pi)))
    phase = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * random.uniform(0.03, 1.2))
    if random.random() < 0.4:
        phase *= np.sin((rows * np.cos(angle) - columns * np.sin(angle)) * random.uniform(0.03, 1.2))
    mix = np.clip(phase * random.choice((1, 8)) * 0.5 + 0.5, 0, 1)[..., None]
    return np.asarray(mix * np.array(colour(random)) + (1 - mix) * np.array(colour(random)), np.uint8)


def furniture(random: Random) -> Image:
    """Boxes, frames, lamps, cables and discs on a wall."""
    image = blobs(random) if random.random() < 0.5 else texture(random)
    for _ in range(int(random.integers(3, 30))):
        x, y = (int(v) for v in random.integers(-40, SIDE, 2))
        width, height = (int(v) for v in np.exp(random.uniform(np.log(6), np.log(220), 2)))
        tint = colour(random) if random.random() < 0.85 else skin(random)
        thickness = -1 if random.random() < 0.7 else int(random.integers(1, 9))
        match int(random.integers(4)):
            case 0 | 1:
                cv2.rectangle(image, (x, y), (x + width, y + height), tint, thickness)
            case 2:
                axes = (max(2, width // 2), max(2, height // 2))
                cv2.ellipse(image, (x, y), axes, float(random.uniform(0, 180)), 0, 360, tint, thickness, cv2.LINE_AA)
            case _:
                end = (x + int(random.integers(-200, 200)), y + int(random.integers(-200, 200)))
                cv2.line(image, (x, y), end, tint, int(random.integers(1, 14)), cv2.LINE_AA)
    return image


def lettering(random: Random) -> Image:
    """Signs, book backs and screens."""
    image = furniture(random)
    letters = np.array(list("ABCDEFGHKMNOPRSTUWXYZabcdeghkmnopqrstuwxyz0123456789 .:-"))
    for _ in range(int(random.integers(3, 25))):
        words = "".join(random.choice(letters, int(random.integers(2, 20))))
        place = (int(random.integers(-30, SIDE)), int(random.integers(0, SIDE)))
        scale = float(random.uniform(0.3, 3))
        cv2.putText(image, words, place, int(random.integers(0, 5)), scale, colour(random), int(random.integers(1, 5)))
    return image


def figures(random: Random) -> Image:
    """What a face is taken for: skin-coloured ovals without features, hands, and dark spots in threes and fours."""
    image = furniture(random)
    for _ in range(int(random.integers(2, 9))):
        x, y = (int(v) for v in random.integers(0, SIDE, 2))
        size = int(np.exp(random.uniform(np.log(8), np.log(110))))
        tint = skin(random)
        if random.random() < 0.5:
            axes, angle = (size, int(size * 1.3)), float(random.normal(0, 20))
            cv2.ellipse(image, (x, y), axes, angle, 0, 360, tint, -1, cv2.LINE_AA)
            if random.random() < 0.3:
                cv2.ellipse(image, (x, y - size // 2), (size, size), 0, 180, 360, colour(random), -1, cv2.LINE_AA)
        else:
            hand(image, (x, y), size, tint, random)
    for _ in range(int(random.integers(0, 12))):
        x, y = random.integers(0, SIDE, 2)
        radius, spread = int(random.integers(1, 12)), random.uniform(4, 60)
        tint = colour(random)
        for dx, dy in random.uniform(-spread, spread, (int(random.integers(1, 4)), 2)):
            cv2.circle(image, (int(x + dx), int(y + dy)), radius, tint, -1, cv2.LINE_AA)
    return image


def hand(image: Image, centre: tuple[int, int], size: int, tint: tuple[int, int, int], random: Random) -> None:
    """Draw a palm with fingers, `size` px from palm to finger tip, in place."""
    x, y = centre
    cv2.ellipse(image, centre, (size // 2 + 1, int(size * 0.6) + 1), float(random.uniform(0, 180)), 0, 360, tint, -1)
    start = random.uniform(0, 2 * np.pi)
    for finger in range(int(random.integers(3, 6))):
        angle = start + finger * random.uniform(0.2, 0.4)
        end = (int(x + np.cos(angle) * size * 1.3), int(y + np.sin(angle) * size * 1.3))
        shade = tuple(int(v * random.uniform(0.8, 1.0)) for v in tint)
        cv2.line(image, centre, end, shade, max(1, int(size * 0.25)), cv2.LINE_AA)


def leaves(random: Random, atlas: Image) -> Image:
    """Overlapping shapes of all sizes, each cut from the atlas (SIDE×SIDE×3) somewhere else and shaded: clutter.

    The dead leaves model: Lee, Mumford and Huang, "Occlusion Models for Natural Images" (IJCV 2001).
    """
    image = blobs(random)
    smallest = random.uniform(12, 50)
    for size in 1 / np.sqrt(random.uniform(1 / 200**2, 1 / smallest**2, int(random.integers(60, 300)))):
        half = int(size / 2) + 1
        x, y = (int(v) for v in random.integers(0, SIDE, 2))
        u, v = (int(w) for w in random.integers(0, SIDE - 2 * half, 2))
        leaf = atlas[v : v + 2 * half, u : u + 2 * half]
        mask = np.zeros((2 * half, 2 * half), np.uint8)
        kind = random.random()
        if kind < 0.4:
            axes = (half, max(1, int(half * random.uniform(0.25, 1))))
            cv2.ellipse(mask, (half, half), axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
        elif kind < 0.7:
            cv2.fillPoly(mask, [random.integers(0, 2 * half, (int(random.integers(3, 7)), 2)).astype(np.int32)], 255)
        else:
            mask[: int(2 * half * random.uniform(0.3, 1)), : int(2 * half * random.uniform(0.3, 1))] = 255
        first, last = random.uniform(0.5, 1.4, 2).tolist()
        ramp = np.linspace(first, last, 2 * half, dtype=np.float32)
        shade = np.broadcast_to(ramp[:, None] if random.random() < 0.5 else ramp, mask.shape)
        tint = np.array(colour(random)) if random.random() < 0.35 else leaf
        shaded = (shade[..., None] * tint).clip(0, 255).astype(np.uint8)
        top, left = max(y - half, 0), max(x - half, 0)
        target = image[top : y + half, left : x + half]
        window = np.s_[top - y + half :, left - x + half :]
        covered = mask[window][: target.shape[0], : target.shape[1]] > 0
        target[covered] = shaded[window][: target.shape[0], : target.shape[1]][covered]
    return image


def filled(image: Image, interpolation: int) -> Image:
    """The picture stretched to SIDE×SIDE."""
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=interpolation), np.uint8)


def _resized(image: NDArray[np.float32], interpolation: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=interpolation), np.float32)

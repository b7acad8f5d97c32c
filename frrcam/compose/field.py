"""Extend the light that faces lack over the whole picture: a smooth field of gains, in stops, per colour channel.

A face's own map of stops is known inside its mask only. Beyond it the light falls off as that of a large soft lamp
beside the screen. So no edge of the mask can show: there is none in the field.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.amounts import Reach
from frrcam.compose.curves import cubic
from frrcam.compose.exposure import CELLS
from frrcam.faces.alignment import Affine, scale

Stops = NDArray[np.float32]
Plane = NDArray[np.float32]

WIDTH = 108
"""Cells of the field from left to right; they are square, some 12 pixels of a 1280 pixel picture."""
CENTRE = 0.5, 0.53
"""Middle of the head in an aligned crop, as fractions of its side."""
HEAD = 0.42
"""Distance from the middle of the head, in crop sides, up to which the whole amount is given."""
BRIGHTER = 0.3, 1.5
"""Stops by which surroundings are brighter than a face from which fill light leaves them out, in part and wholly."""
TALL = 0.8
"""Vertical distances count so much: a person is taller than wide."""
MARGIN = 11
"""Cells by which a face's map goes beyond its crop."""
SPREAD = 5.0
"""Deviation, in cells, of the blur that extends a face's map beyond its mask."""


@dataclass(frozen=True, slots=True)
class Falloff:
    """How light falls off with the distance d beyond the head, in crop sides: (1 + (d / width)²)^-1.5."""

    width: float
    least: float = 0.0
    """What is left far away, [0,1]."""
    colour: float = 0.25
    """What is left of the colour correction far away: white balance belongs to the whole picture."""


FALLOFFS: dict[Reach, Falloff] = {
    "face": Falloff(0.35, colour=0.0),
    "person": Falloff(1.6),
    "picture": Falloff(2.5, least=0.7, colour=0.7),
}


@dataclass(frozen=True, slots=True, eq=False)
class FaceMap:
    """How the light that a face lacks differs within it, on a grid that goes `MARGIN` cells beyond its crop."""

    layers: Stops
    """M×M×4: the channels' gains B, G, R beyond that of luminance, and luminance beyond the face's mean, in stops."""
    inside: Plane
    """M×M in [0,1]: where the face is."""


def face_map(colour: Stops, shape: Plane, known: Plane) -> FaceMap:
    """Extend what is known of a face (`CELLS`²×3, `CELLS`² and its weight in [0,1]) smoothly beyond its mask.

    A normalised convolution; far from the face, the face's mean takes the place of what is not known.
    """
    layers = np.dstack((colour, shape)).astype(np.float32)
    mean = np.tensordot(known, layers, axes=2) / max(float(known.sum()), 1e-3)
    margins = (MARGIN,) * 4
    weighted = cv2.copyMakeBorder(layers * known[..., None], *margins, cv2.BORDER_CONSTANT)
    weight = cv2.copyMakeBorder(known, *margins, cv2.BORDER_CONSTANT)
    few = np.float32(0.02)
    total = np.asarray(cv2.GaussianBlur(weight, (0, 0), SPREAD), np.float32)[..., None] + few
    extended = (cv2.GaussianBlur(weighted, (0, 0), SPREAD) + few * mean.astype(np.float32)) / total
    return FaceMap(np.asarray(extended, np.float32), np.asarray(np.clip(2 * weight, 0, 1), np.float32))


NEUTRAL = face_map(
    np.zeros((CELLS, CELLS, 3), np.float32), np.zeros((CELLS, CELLS), np.float32), np.zeros((CELLS, CELLS), np.float32)
)
"""The map of a face of which nothing is known but its overall light."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceLight:
    """The light that one face lacks."""

    affine: Affine
    """2×3, from the picture to an aligned crop of side `size`."""
    size: int
    stops: float
    """Overall luminance gain, in stops."""
    map: FaceMap
    level: float = 0.0
    """Brightness of its bright parts as the camera sees it, in stops below white."""
    amount: float = 1.0
    """[0,1]: fades a face in and out."""
    uneven: float = 1.0
    """Weight of the map's differences of luminance, [0,1]."""
    colour: float = 1.0
    """Weight of the map's colours, [0,1]."""


def field_size(size: tuple[int, int]) -> tuple[int, int]:
    """Cells (width, height) of the field of a picture (width, height)."""
    return WIDTH, max(round(WIDTH * size[1] / size[0]), 1)


def extend(
    faces: list[FaceLight], scene_stops: float, brightness: Plane, size: tuple[int, int], reach: Reach
) -> tuple[Plane, Stops] | None:
    """The field of a picture: luminance gain (h×w) and the channels' gains beyond it (h×w×3), both in stops.

    faces        what each face lacks
    scene_stops  exposure that the whole picture lacks
    brightness   h×w at any resolution: the picture as the camera sees it, in stops below white
    size         width, height of the picture

    None if no face asks for anything. What a face lacks beyond the scene's exposure is fill light. It does not fall on
    surroundings that are brighter than the face: a window stays as it is.

    Faces are mixed by weights that grow with nearness, and their falloffs as probabilities of independent events, so
    the order of the faces does not matter and no seam shows.
    """
    faces = [face for face in faces if face.amount > 0]
    if not faces:
        return None
    cells = field_size(size)
    falloff = FALLOFFS[reach]
    seen = np.asarray(cv2.resize(brightness, cells, interpolation=cv2.INTER_LINEAR), np.float32)
    near, light, colour = (np.zeros((cells[1], cells[0], *rest), np.float32) for rest in ((), (), (3,)))
    dark, plain = np.ones_like(near), np.ones_like(near)
    for face in faces:
        cell = size[0] / cells[0]
        layers, inside = _over_picture(face, cell, cells)
        lamp = _lamp(face, cell, cells, falloff.width)
        weight = face.amount * (np.square(np.square(lamp)) + np.float32(1e-6))
        near += weight
        light += weight * (np.float32(face.uneven) * layers[..., 3] + np.float32(face.stops))
        colour += (np.float32(face.colour) * weight)[..., None] * layers[..., :3]
        behind = _behind(seen, inside, face.level)
        dark *= 1 - np.float32(face.amount) * (np.float32(falloff.least) + (1 - falloff.least) * lamp) * behind
        plain *= 1 - np.float32(face.amount) * (np.float32(falloff.colour) + (1 - falloff.colour) * lamp)
    light /= near
    base = min(scene_stops, max(face.stops for face in faces)) * max(face.amount for face in faces)
    if reach == "face":
        base = 0.0
    light = np.asarray(base + (light - np.float32(base)) * (1 - dark), np.float32)
    return light, np.asarray(colour * ((1 - plain) / near)[..., None], np.float32)


def _behind(seen: Plane, inside: Plane, level: float) -> Plane:
    """1 where fill light falls, 0 on what is brighter than the face and not part of it."""
    t = np.clip((seen - np.float32(level + BRIGHTER[0])) * np.float32(1 / (BRIGHTER[1] - BRIGHTER[0])), 0, 1)
    return np.asarray(cv2.blur(1 - cubic(t) * (1 - inside), (3, 3)), np.float32)


def _lamp(face: FaceLight, cell: float, cells: tuple[int, int], width: float) -> Plane:
    """The falloff at each cell: 1 on the head."""
    side = face.size / scale(face.affine) / cell
    back = cv2.invertAffineTransform(face.affine)
    x, y = ((back @ (CENTRE[0] * face.size, CENTRE[1] * face.size, 1)) + 0.5) / cell - 0.5
    across = (np.arange(cells[0], dtype=np.float32) - np.float32(x)) * np.float32(1 / side)
    down = (np.arange(cells[1], dtype=np.float32) - np.float32(y)) * np.float32(TALL / side)
    distance = np.sqrt(np.square(down)[:, None] + np.square(across)[None])
    q = 1 + np.square(np.maximum(distance - np.float32(HEAD), 0) * np.float32(1 / width))
    return np.asarray(1 / (q * np.sqrt(q)), np.float32)


def _over_picture(face: FaceLight, cell: float, cells: tuple[int, int]) -> tuple[Stops, Plane]:
    """The face's layers (h×w×4) over the picture, its edge values far from it, and where it is (h×w)."""
    ratio = face.size / CELLS
    # cell centres of the face's map to its crop, to the picture, to the field
    to_crop = np.array([(ratio, 0, (0.5 - MARGIN) * ratio - 0.5), (0, ratio, (0.5 - MARGIN) * ratio - 0.5), (0, 0, 1)])
    to_picture = np.linalg.inv(np.vstack((face.affine.astype(np.float64), (0, 0, 1))))
    to_field = np.array([(1 / cell, 0, 0.5 / cell - 0.5), (0, 1 / cell, 0.5 / cell - 0.5), (0, 0, 1)])
    affine = (to_field @ to_picture @ to_crop)[:2]
    layers = cv2.warpAffine(face.map.layers, affine, cells, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(face.map.inside, affine, cells, flags=cv2.INTER_LINEAR)
    return np.asarray(layers, np.float32), np.asarray(inside, np.float32)

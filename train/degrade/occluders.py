"""Things in front of faces: cut-outs from shards and drawn ones, composited so that a mask learns to leave them out.

Hands, mugs, microphones, phones, paper and face masks cover a face in a call. What is in front is part of the picture
that a face should become, as it is; only the mask says that it is no face.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.faces import held_out
from train.data.shards import read_shards

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]

SHARDS = "occluders-*.tar"
DRAWN = 0.3
"""Share of occluders that are drawn, where there are cut-outs."""
HELD_OUT = 32
"""Of 256 key hashes, the cut-outs that are never trained on (12.5 %)."""


@dataclass(frozen=True)
class CutOut:
    """Something to put before a face: RGB (H×W×3 uint8), alpha (H×W in [0,1]), and its kind."""

    image: Image
    alpha: Plane
    kind: str


@dataclass(frozen=True)
class Placement:
    """Where a kind goes, in parts of the crop's side: its longer side, the middle of its box, and how far it turns."""

    size: tuple[float, float]
    row: tuple[float, float]
    column: tuple[float, float]
    degrees: float


PLACEMENTS = {
    "hand": Placement((0.35, 0.8), (0.35, 1.0), (0.05, 0.95), 180),
    "mask": Placement((0.4, 0.5), (0.7, 0.78), (0.46, 0.54), 8),
    "glasses": Placement((0.45, 0.55), (0.46, 0.5), (0.48, 0.52), 5),
    "phone": Placement((0.35, 0.7), (0.4, 0.95), (0.0, 1.0), 60),
}
ELSEWHERE = Placement((0.25, 0.65), (0.45, 1.0), (0.05, 0.95), 45)
"""Mugs, microphones, paper, pens, food and all else."""


class CutOuts:
    """Cut-outs to draw from; without any, drawn shapes alone."""

    def __init__(self, cut_outs: list[CutOut]) -> None:
        self.cut_outs = cut_outs

    def put(self, picture: Image, mask: NDArray[np.uint8], random: np.random.Generator) -> Plane:
        """Put one thing before a face (S×S×3 RGB and its mask S×S, both written to); its alpha (S×S in [0,1])."""
        side = picture.shape[0]
        if not self.cut_outs or random.random() < DRAWN:
            chosen = drawn(random)
        else:
            kinds = sorted({one.kind for one in self.cut_outs})
            kind = kinds[random.integers(len(kinds))] if random.random() < 0.5 else "hand"
            matching = [one for one in self.cut_outs if one.kind == kind] or self.cut_outs
            chosen = matching[random.integers(len(matching))]
        image, alpha = placed(chosen, side, random)
        # in the light of the picture: as bright as the face, give or take a stop
        level = float(picture.mean()) + 20
        gain = level / (float((image * alpha[..., None]).sum() / max(float(alpha.sum()), 1.0) / 3) + 20)
        lit = image * np.float32(np.clip(gain ** random.uniform(0.3, 1), 0.3, 2) * random.uniform(0.75, 1.3))
        mixed = picture * (1 - alpha[..., None]) + np.clip(lit, 0, 255) * alpha[..., None]
        picture[:] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
        if "glasses" not in chosen.kind:
            mask[:] = np.clip(mask * (1 - alpha) + 0.5, 0, 255).astype(np.uint8)
        return alpha


def placed(chosen: CutOut, side: int, random: np.random.Generator) -> tuple[Plane, Plane]:
    """A cut-out on a canvas (S×S×3 in levels, and alpha S×S), turned, sized and mirrored at random as its kind is."""
    where = next((place for kind, place in PLACEMENTS.items() if kind in chosen.kind), ELSEWHERE)
    height, width = chosen.alpha.shape
    scale = side * random.uniform(*where.size) / max(height, width)
    turn = np.radians(random.uniform(-where.degrees, where.degrees))
    mirror = -1.0 if random.random() < 0.5 else 1.0
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    linear = np.array([(mirror * cos, -sin), (mirror * sin, cos)])
    centre = side * np.array((random.uniform(*where.column), random.uniform(*where.row)))
    offset = centre - linear @ ((width - 1) / 2, (height - 1) / 2)
    affine = np.concatenate((linear, offset[:, None]), 1)
    premultiplied = np.dstack((chosen.image * chosen.alpha[..., None], chosen.alpha))
    if scale < 0.7:
        small = max(round(width * scale / 0.7), 1), max(round(height * scale / 0.7), 1)
        ratio = np.array(small) / (width, height)
        premultiplied = cv2.resize(premultiplied, small, interpolation=cv2.INTER_AREA)
        affine[:, 2] += affine[:, :2] @ (0.5 / ratio - 0.5)
        affine[:, :2] /= ratio
    warped = cv2.warpAffine(premultiplied, affine, (side, side), flags=cv2.INTER_LINEAR)
    alpha = np.clip(warped[..., 3], 0, 1)
    return np.asarray(warped[..., :3] / np.maximum(alpha, 1e-3)[..., None], np.float32), np.asarray(alpha, np.float32)


def drawn(random: np.random.Generator) -> CutOut:
    """A sheet of paper, a microphone or a bar: an outline filled with an even colour, a gradient and some texture."""
    side = 160
    alpha = np.zeros((side, side), np.uint8)
    kind = ("paper", "microphone", "bar")[random.integers(3)]
    if kind == "paper":
        corners = np.array([(20, 20), (140, 20), (140, 140), (20, 140)]) + random.integers(-18, 19, (4, 2))
        cv2.fillPoly(alpha, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    elif kind == "microphone":
        cv2.ellipse(alpha, (80, 50), (int(random.integers(22, 40)), 40), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.line(alpha, (80, 80), (80, 159), 255, int(random.integers(10, 26)), cv2.LINE_AA)
    else:
        cv2.line(alpha, (0, 80), (159, 80), 255, int(random.integers(12, 50)), cv2.LINE_AA)
    colour = random.uniform(15, 245, 3) if random.random() < 0.5 else np.full(3, random.uniform(15, 245))
    slope = np.linspace(-1, 1, side)[:, None, None] * random.uniform(-30, 30)
    texture = cv2.GaussianBlur(random.normal(0, 1, (side, side, 1)), (0, 0), random.uniform(0.6, 4))[..., None]
    contrast = random.uniform(0, 15) / max(float(texture.std()), 1e-6)
    image = np.clip(colour + slope + contrast * texture, 0, 255).astype(np.uint8)
    return CutOut(image, np.asarray(alpha, np.float32) / np.float32(255), kind)


def load(data: Path | None, *, training: bool = True) -> CutOuts:
    """The training (or the held-out) cut-outs of a folder's shards; none if it has no such shard."""
    if data is None or not list(data.glob(SHARDS)):
        return CutOuts([])
    found = []
    for key, files in read_shards(data, SHARDS):
        if held_out(key, HELD_OUT) == training:
            continue
        content = next(content for name, content in files.items() if name in ("webp", "png"))
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
            raise ValueError(f"occluder {key} has no alpha")
        kind = str(json.loads(files["json"])["kind"])
        image = np.ascontiguousarray(pixels[..., 2::-1], np.uint8)
        alpha = np.asarray(pixels[..., 3], np.float32) / np.float32(255)
        found.append(CutOut(image, alpha, kind))
    return CutOuts(found)

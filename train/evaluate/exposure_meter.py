"""Fit the light meter of `frrcam.compose.exposure` to real photographs that are darkened by known amounts.

A photograph is taken to be exposed rightly. It is darkened as a whole, or only where the person is, as before a window.
What a meter should say is then known. Three quarters of the photographs, by a hash of their key, are fitted to; the
errors are of the others, and are shown by skin tone (individual typology angle).
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from frrcam.compose import exposure
from frrcam.faces import alignment
from train.data.faces import decode, held_out
from train.data.shards import read_shards
from train.data.skin_tone import typology_angle

Array = NDArray[np.float64]
DARKENED = ((1.0, 1.0), (0.6, 1.0), (0.3, 1.0), (0.12, 1.0), (1.0, 0.5), (1.0, 0.25), (1.0, 0.12))
"""Linear gains of the whole picture and, on top, of the person."""
HELD_OUT = 64
"""Of 256 photographs, those that are only measured on."""
SIDE = 168
"""Side of the aligned crops that are measured."""
TONES = (-90, -20, 10, 30, 50, 90)
"""Bounds of the skin tones, in degrees."""


@dataclass(frozen=True)
class Readings:
    """What the meter reads on each darkened photograph (rows), and what it should say."""

    face: Array
    """N×3: bright, middle, and the scene's white, in stops."""
    scene: Array
    """N×4: white, upper, around (stops), bright share."""
    gains: Array
    """N×2: of the picture and of the person."""
    tone: Array
    """N: individual typology angle of the photograph as it is, degrees."""
    held_out: NDArray[np.bool_]


def read(data: Path, count: int | None = None) -> Readings:
    """Read the meter on the people of DATA, at most `count` of them. Raises FileNotFoundError without people-*.tar."""
    rows = [row for _, row in zip(range(count or 10**9), _rows(data), strict=False)]
    if not rows:
        raise FileNotFoundError(f"{data}: no people-*.tar with agreed faces; set --data")
    table = np.concatenate(rows)
    return Readings(table[:, :3], table[:, 3:7], table[:, 7:9], table[:, 9], table[:, 10] > 0)


def _rows(data: Path) -> Iterator[Array]:
    random = np.random.default_rng(1)
    for key, files in read_shards(data, "people-*.tar"):
        faces = [face for face in json.loads(files["json"])["faces"] if face.get("agreed")]
        largest = max(faces, key=lambda face: face["box"][3] - face["box"][1], default=None)
        if largest is None or largest["box"][3] - largest["box"][1] < 56:
            continue
        image = decode(files["webp"])
        affine = alignment.similarity(np.array(largest["points"], np.float32), SIDE)
        kept = held_out(key, HELD_OUT)
        tone = _tone(alignment.crop(image, affine, SIDE))
        person = _person(image.shape[1::-1], affine)
        rows = []
        for whole, own in DARKENED:
            light = (image / 255.0) ** exposure.GAMMA * whole * (1 - person + person * own)
            light += random.normal(0, 0.003, light.shape) * np.sqrt(light + 0.01) * (whole * own < 1)
            levels = np.asarray(np.round(255 * np.clip(light, 0, 1) ** (1 / exposure.GAMMA)), np.uint8)
            rows.append([*_readings(levels, affine), whole, own, tone, kept])
        yield np.array(rows, np.float64)


def _readings(image: NDArray[np.uint8], affine: alignment.Affine) -> list[float]:
    small = exposure.small_scene(image)
    ratio = small.shape[1] / image.shape[1]
    back = cv2.invertAffineTransform(affine)
    x, y = back @ (0.5 * SIDE, 0.53 * SIDE, 1)
    place = float(x) * ratio, float(y) * ratio, SIDE / alignment.scale(affine) * ratio
    scene = exposure.read_scene(small, exposure.luminance(small), [place])
    face = exposure.read_face(exposure.small_face(alignment.crop(image, affine, SIDE)))
    return [face.bright, face.middle, scene.white, scene.white, scene.upper, scene.around, scene.bright_share]


def _tone(crop: NDArray[np.uint8]) -> float:
    small = cv2.resize(crop, (exposure.CELLS, exposure.CELLS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(np.asarray(small, np.float32) / 255, cv2.COLOR_BGR2LAB)[exposure.FACE]
    lightness, _, yellow = np.median(lab, axis=0)
    return typology_angle(float(lightness), float(yellow))


def _person(size: tuple[int, int], affine: alignment.Affine) -> Array:
    """Where head and shoulders probably are (H×W×1, [0,1]), with a soft edge."""
    back = cv2.invertAffineTransform(affine)
    x, y = back @ (0.5 * SIDE, 0.53 * SIDE, 1)
    side = SIDE / alignment.scale(affine)
    rows, columns = np.mgrid[: size[1], : size[0]]
    head = 1 - np.clip((np.hypot(columns - x, (rows - y) * 0.8) / side - 0.6) / 0.12, 0, 1)
    below = np.clip((rows - y - 0.62 * side) / (0.1 * side), 0, 1)
    beside = 1 - np.clip((np.abs(columns - x) / side - 1.1) / 0.15, 0, 1)
    return np.asarray(np.maximum(head, below * beside)[..., None], np.float64)


def fit(inputs: Array, wanted: Array, training: NDArray[np.bool_], softness: float) -> list[float]:
    """Constant and weights of softplus(line) that says `wanted` (stops); what is right counts three times."""
    columns, stops = torch.tensor(inputs[training]), torch.tensor(wanted[training])
    line = torch.zeros(inputs.shape[1] + 1, dtype=torch.float64)
    line[1] = -0.7
    line.requires_grad_()
    importance = torch.where(stops == 0, 3.0, 1.0)
    optimiser = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        said = softness * functional.softplus((line[0] + columns @ line[1:]) / softness)
        error = said - stops
        too_much = 0.3 * torch.relu(error) * (stops == 0)
        total = (importance * ((error.square() + 0.01).sqrt() + too_much)).mean() + 0.002 * line[1:].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return [round(float(value), 2) for value in line.detach()]


def errors(readings: Readings, meter: exposure.Meter) -> list[tuple[str, float, list[float]]]:
    """For each darkening of held-out photographs: its name, the stops that the face lacks, and the median of what
    the meter gives by skin tone, from dark to light (NaN where there is none)."""
    given = np.array(
        [
            meter.face_stops(
                exposure.FaceReading(face[0], face[1]), exposure.SceneReading(scene[0], scene[1], scene[2], scene[3])
            )
            for face, scene in zip(readings.face, readings.scene, strict=True)
        ]
    )
    rows = []
    for whole, own in DARKENED:
        chosen = readings.held_out & np.isclose(readings.gains[:, 0], whole) & np.isclose(readings.gains[:, 1], own)
        medians = []
        for low, high in itertools.pairwise(TONES):
            among = given[chosen & (readings.tone >= low) & (readings.tone < high)]
            medians.append(float(np.median(among)) if len(among) else float("nan"))
        rows.append((f"picture x{whole:g}, person x{own:g}", float(-np.log2(whole * own)), medians))
    return rows

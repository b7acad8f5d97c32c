"""A sheet of what the degradation does: each operation alone at its low, middle and high, then mixtures as trained on.

Only held-out faces of SFHQ are shown, which are synthetic and under the MIT licence.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from train.data.faces import canvas, canvas_size, held_out
from train.data.shards import read_shards
from train.degrade import pipeline as d
from train.degrade.jpeg import jpeg

SIZE, CELL, MARGIN, LINE = 336, 132, 4, 18
"""Crops are degraded at the paper's side and shown at CELL pixels, a caption of height LINE below."""
LABELS = ("noise", "blur", "relight")

Cell = tuple[str, Tensor]


@dataclass(frozen=True)
class Ladder:
    """One operation, applied to a picture (1×3×S×S) at some of its values."""

    name: str
    values: tuple[float, ...]
    apply: Callable[[Tensor, Tensor], Tensor]

    def cells(self, face: Tensor) -> Iterator[Cell]:
        for value in self.values:
            yield f"{self.name} {value:g}", self.apply(face, torch.tensor([value])).clamp(0, 1)


def seeded(operation: d.Operation) -> Callable[[Tensor, Tensor], Tensor]:
    """An operation that draws its own values, by a seed."""
    return lambda x, seed: operation(x, d.Sampler(torch.Generator().manual_seed(int(seed)), len(x)))


def jitter(place: int) -> Callable[[Tensor, Tensor], Tensor]:
    """colour_jitter's brightness, contrast, saturation or hue alone."""
    return lambda x, v: d.colour_jitter(x, *(v if i == place else torch.zeros(1) for i in range(4)))


def exposed(x: Tensor, factor: Tensor) -> Tensor:
    return x * factor


def cast(x: Tensor, factor: Tensor) -> Tensor:
    """Exposure per channel: red up or down, blue against it."""
    return x * torch.stack((factor, torch.ones(1), 1.9 - factor), 1)[..., None, None]


def noisy(x: Tensor, deviation: Tensor) -> Tensor:
    return x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * deviation


def ladders(settings: d.Degradation = d.PAPER) -> tuple[Ladder, ...]:
    """The operations of Eq. 2 at the ends and in the middle of the paper's ranges, then those beside the paper."""

    def span(bounds: d.Range) -> tuple[float, ...]:
        return bounds[0], sum(bounds) / 2, bounds[1]

    either = (-settings.jitter[1], 0.0, settings.jitter[1])
    return (
        Ladder("downscale r", span(settings.downscale), d.downscale),
        Ladder("exposure e", span(settings.exposure), exposed),
        Ladder("red up, blue down e", span(settings.exposure), cast),
        Ladder("brightness j", either, jitter(0)),
        Ladder("contrast j", either, jitter(1)),
        Ladder("saturation j", either, jitter(2)),
        Ladder("hue j", either, jitter(3)),
        Ladder("chromatic γ", span(settings.chromatic), lambda x, v: d.aberration(x, v, torch.tensor([0.6]))),
        Ladder("noise δ", span(settings.noise), noisy),
        Ladder("blur σ", span(settings.blur), d.blur),
        Ladder("JPEG q", (0, 10, 50), jpeg),
        Ladder("screen light, seed", (1, 2, 3), seeded(d.screen_light)),
        Ladder("side shade, seed", (1, 2, 3), seeded(d.side_shade)),
        Ladder("motion, seed", (1, 2, 3), seeded(lambda x, draw: d.motion_blur(x, draw, 1))),
        Ladder("chroma noise, seed", (1, 2, 3), seeded(lambda x, draw: x + d.chroma_noise(x, draw, 1))),
    )


def mixtures(faces: Tensor, seed: int = 7) -> Iterator[Cell]:
    """Each face (N×3×S×S) under a random mixture of the paper's (Eq. 2), with its labels."""
    settings = d.DISTORTED
    degraded, labels = d.degrade(faces, settings, torch.Generator().manual_seed(seed))
    for picture, row in zip(degraded, labels, strict=True):
        yield " ".join(name for name, on in zip(LABELS, row, strict=True) if on), picture[None]


def sfhq_faces(data: Path | str, count: int) -> Tensor:
    """Crops (N×3×336×336) of held-out SFHQ faces, at most `count` different ones and then again from the first.

    Raises ValueError if there is none.
    """
    offset = (canvas_size(SIZE) - SIZE) // 2
    chosen = (
        canvas(key, files, SIZE)[offset : offset + SIZE, offset : offset + SIZE]
        for key, files in read_shards(data)
        if held_out(key) and "sfhq" in str(json.loads(files["json"]).get("source")).lower()
    )
    found = list(islice(chosen, count))
    if not found:
        raise ValueError(f"no held-out SFHQ face in {data}")
    faces = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255
    return faces[torch.arange(count) % len(faces)]


def thumbnail(picture: Tensor) -> NDArray[np.uint8]:
    """1×3×S×S to CELL×CELL×3; cropped about the middle, so that noise and blocks are seen pixel for pixel."""
    top = math.ceil((picture.shape[-1] - 2 * CELL) / 2)
    middle = picture[0, :, top : top + 2 * CELL, top : top + 2 * CELL]
    halved = torch.nn.functional.avg_pool2d(middle, 2)
    return np.asarray((halved * 255).round().byte().permute(1, 2, 0).numpy(), np.uint8)


def draw(rows: list[list[Cell]]) -> Image.Image:
    """Rows of captioned pictures."""
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 10)
    wide, tall = CELL + MARGIN, CELL + LINE
    sheet = Image.new("RGB", (max(map(len, rows)) * wide + MARGIN, len(rows) * tall + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for row, cells in enumerate(rows):
        for column, (caption, picture) in enumerate(cells):
            left, top = MARGIN + column * wide, MARGIN + row * tall
            sheet.paste(Image.fromarray(thumbnail(picture)), (left, top))
            pen.text((left + 1, top + CELL + 1), caption, "black", font)
    return sheet


def sheet(data: Path | str) -> Image.Image:
    """Two operations in a row, each on its own face: as it was | low | middle | high. Then random mixtures."""
    steps = ladders()
    faces = sfhq_faces(data, len(steps) + 1)
    pairs = zip(faces[:-1, None], steps, strict=True)
    blocks = [[("as it was", face), *ladder.cells(face)] for face, ladder in pairs]
    mixed = list(mixtures(faces))
    blocks.append([("as it was", faces[-1:]), *mixtures(faces[-1:].expand(3, -1, -1, -1))])
    rows = [left + right for left, right in zip(blocks[::2], blocks[1::2], strict=True)]
    return draw([*rows, mixed[:8], mixed[8:]])


def write(path: Path, image: Image.Image) -> None:
    """As a PNG of 6 bits per channel, which is not visible and halves the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = [round(round(value * 63 / 255) * 255 / 63) for value in range(256)] * 3
    image.point(coarse).save(path, "PNG", optimize=True)

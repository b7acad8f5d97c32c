"""The training's frames: real people, real rooms, and synthetic faces on both real and drawn backgrounds."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.common.paths import YUNET
from train.degrade import occluders
from train.detector.data import backgrounds, faces, mine, real
from train.detector.data.composites import Composer
from train.detector.data.drawings import SIDE
from train.detector.data.real import Part, Photograph
from train.detector.data.spoil import spoil
from train.detector.data.views import Mixture, People, Rooms, Source

Image = NDArray[np.uint8]

HARD = "hard.npz"
"""What was mined, in the cache."""
DRAWN_BACKGROUNDS = 2_400
DOUBT = 0.3
"""YuNet's score from which what has no label may yet be a face."""
WEIGHTS = {"people": 0.38, "rooms": 0.24, "pasted on rooms": 0.24, "pasted on drawings": 0.14}


def squares(photographs: list[Photograph]) -> Image:
    """Rooms as a bank of square backgrounds (N×SIDE×SIDE×3): two pieces of each, stretched a little."""
    pieces = []
    for one in photographs:
        height, width = one.image.shape[:2]
        side = min(height, width)
        for top, left in ((0, 0), (height - side, width - side)):
            piece = one.image[top : top + side, left : left + side]
            pieces.append(cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(pieces).astype(np.uint8)


def open_mixture(data: Path, cache: Path, part: Part = Part.TRAINING, seed: int = 0) -> Mixture:
    """The sources of one part of the data; banks come from the cache and are built on first use.

    The drawn backgrounds are the training's alone: other parts show faces on real rooms only.
    """
    labeller = faces.YuNet(data / YUNET, DOUBT)
    rooms = real.load(data, real.SCENES, part)
    people = real.with_doubts(real.load(data, real.PEOPLE, part), labeller)
    training = part is Part.TRAINING
    cut_outs = occluders.load(data, training=training)
    bank = faces.load_or_label(data, cache)
    indices = bank.indices(training=training)
    hard = mine.load(cache / HARD, rooms) if training else []
    missed = mine.load(cache / HARD, people, "missed") if training else []
    sources: dict[str, Source] = {
        "people": People(people, rooms, spoil, cut_outs, missed),
        "rooms": Rooms(rooms, spoil, cut_outs, hard),
        "pasted on rooms": Composer(bank, indices, squares(rooms), spoil),
    }
    if training:
        drawn = backgrounds.load_or_build(cache, DRAWN_BACKGROUNDS, bank, np.random.default_rng(seed))
        sources["pasted on drawings"] = Composer(bank, indices, drawn, spoil)
    return Mixture([(WEIGHTS[name], source) for name, source in sources.items()])

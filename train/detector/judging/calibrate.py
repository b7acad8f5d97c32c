"""Scores that mean something: a score of 0.7 is right 95 % of the time, one of 0.5 80 %.

Platt scaling (Platt, "Probabilistic outputs for support vector machines", 1999): the chance that a detection is a face
is fitted as σ(slope · logit + offset of its stride) on pictures that are neither trained on nor judged on. Then it is
bent so that the usual thresholds are where they are useful. Both steps are affine in the logit and fold into the last
layer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from train.common.paths import YUNET
from train.degrade import occluders
from train.detector.anchors import STRIDES, Anchors, decode_boxes, make_anchors
from train.detector.data import real
from train.detector.data.composites import Scene
from train.detector.data.faces import YuNet
from train.detector.data.mixture import DOUBT
from train.detector.data.spoil import spoil
from train.detector.data.views import Mixture, People, Rooms
from train.detector.evaluate import MATCH, iou
from train.detector.export import Calibration
from train.detector.fit import SIZES, to_tensor
from train.detector.judging.verdict import EXCUSE
from train.detector.network import FaceDetector

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

ANCHORS = ((0.5, 0.8), (0.7, 0.95))
"""(score, share of detections of that score that are right)."""
LEAST = 0.2
"""Raw score from which detections are fitted: what is lower is never shown, and would outweigh the rest."""
SUPPRESSION = 0.4
"""IoU above which insightface takes two boxes for one face."""
PRIOR = 0.5
"""Weight of the squared differences between the strides' offsets."""


@dataclass(frozen=True)
class Sample:
    """A detection's raw score, the index of its stride (0: stride 8), and whether it is a face."""

    score: float
    level: int
    right: bool


def suppress(boxes: Array, scores: Array) -> list[int]:
    """Positions of the boxes (N×4) that non-maximum suppression keeps, best score first."""
    left = np.argsort(-scores)
    kept = []
    while len(left):
        kept.append(int(left[0]))
        left = left[1:][iou(boxes[left[:1]], boxes[left[1:]])[0] <= SUPPRESSION]
    return kept


def detections(network: FaceDetector, image: Image, anchors: Anchors) -> tuple[Array, Array, NDArray[np.int64]]:
    """(boxes N×4 px, raw scores N, levels N) of a frame, best first, as insightface finds them."""
    with torch.no_grad():
        predictions = network(to_tensor([image]))
    scores = predictions.scores[0].sigmoid()
    chosen = (scores >= LEAST).nonzero().squeeze(1)
    boxes = decode_boxes(anchors.centres[chosen], anchors.strides[chosen], predictions.distances[0, chosen]).numpy()
    kept = suppress(boxes, scores[chosen].numpy())
    return boxes[kept], scores[chosen].numpy()[kept], anchors.levels[chosen].numpy()[kept]


def collect(network: FaceDetector, scenes: Iterable[Scene]) -> list[Sample]:
    """Detections on labelled frames; those on ignored boxes are left out, a second one on a face is wrong."""
    samples, anchors = [], dict[tuple[int, int], Anchors]()
    for scene in scenes:
        size = scene.image.shape[0], scene.image.shape[1]
        boxes, scores, levels = detections(network, scene.image, anchors.setdefault(size, make_anchors(*size)))
        overlaps, excuses = iou(boxes, scene.boxes), iou(boxes, scene.ignored)
        taken: set[int] = set()
        for index in range(len(boxes)):
            free = [-1.0 if face in taken else float(overlaps[index, face]) for face in range(len(scene.boxes))]
            best = int(np.argmax(free)) if free else -1
            right = best >= 0 and free[best] >= MATCH
            if right:
                taken.add(best)
            if right or not (excuses[index] >= EXCUSE).any():
                samples.append(Sample(float(scores[index]), int(levels[index]), right))
    return samples


def views(data: Path, count: int, seed: int = 0) -> Iterator[Scene]:
    """Frames of the calibration part: twice as many rooms as people, half of all as they are, half spoiled."""
    rooms = real.load(data, real.SCENES, real.Part.CALIBRATION)
    people = real.load(data, real.PEOPLE, real.Part.CALIBRATION)
    people = real.with_doubts(people, YuNet(data / YUNET, DOUBT))
    cut_outs = occluders.load(data, training=False)

    def sometimes(image: Image, random: np.random.Generator) -> Image:
        return spoil(image, random) if random.random() < 0.5 else image

    source = Mixture([(1.0, People(people, rooms, sometimes, cut_outs)), (2.0, Rooms(rooms, sometimes, cut_outs))])
    random = np.random.default_rng(seed)
    for index in range(count):
        yield source.scene(*SIZES[index % len(SIZES)], random)


def logit(probability: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """log(p / (1 − p)), p kept off 0 and 1."""
    p = np.clip(np.asarray(probability, np.float64), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(p / (1 - p)))


def platt(samples: Sequence[Sample], steps: int = 50) -> tuple[float, list[float]]:
    """(slope, offset of each stride) of the chance of being right, by Newton's method.

    Raises ValueError if all are right or all are wrong.
    """
    right = np.array([one.right for one in samples], np.float64)
    if not len(samples) or right.all() or not right.any():
        raise ValueError(f"{len(samples)} detections, {int(right.sum())} of them right: too few of either kind")
    levels = np.eye(len(STRIDES))[[one.level for one in samples]]
    design = np.column_stack((logit(np.array([one.score for one in samples])), levels))
    weights = np.array((1.0, *(0.0,) * len(STRIDES)))
    # a stride with few detections keeps near the others' mean offset
    apart = np.eye(len(STRIDES)) - 1 / len(STRIDES)
    prior = np.zeros((len(weights), len(weights)))
    prior[1:, 1:] = PRIOR * apart.T @ apart
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance - right) + prior @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + prior + 1e-6 * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return float(weights[0]), [float(offset) for offset in weights[1:]]


def calibration(slope: float, offsets: Sequence[float]) -> Calibration:
    """What the last layer must do to a logit so that the scores mean what `ANCHORS` say."""
    (low_score, low), (high_score, high) = ANCHORS
    steepness = float((logit(high) - logit(low)) / (logit(high_score) - logit(low_score)))
    middle = float(logit(low)) - steepness * float(logit(low_score))
    first, second, third = ((offset - middle) / steepness for offset in offsets)
    return Calibration(slope / steepness, (first, second, third))

"""What a prediction costs: quality focal loss for scores, DIoU for boxes, smooth L1 for points.

Quality focal loss: Li et al., "Generalized Focal Loss" (arXiv:2006.04388), Eq. 3.
DIoU: Zheng et al. (arXiv:1911.08287), Eq. 7.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.detector.anchors import Anchors, decode_boxes, decode_points
from train.detector.assignment import assign
from train.detector.network import Predictions

BETA = 0.01
"""Where the smooth L1 of points turns linear, as a fraction of the face's size: about half a percent of it is noise."""


@dataclass(frozen=True)
class Weights:
    """How much the parts count."""

    score: float = 5.0
    box: float = 2.0
    points: float = 40.0


@dataclass(frozen=True)
class Target:
    """One image's faces: boxes (G×4 px), points (G×5×2 px), ignored boxes (M×4 px)."""

    boxes: Tensor
    points: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class Loss:
    """The parts (each 0-d), and their weighted sum."""

    score: Tensor
    box: Tensor
    points: Tensor
    total: Tensor


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """|quality − σ(logit)|² × cross-entropy, per prediction."""
    gap = (quality - logits.sigmoid()).square()
    return gap * functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def diou(predicted: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(IoU, 1 − DIoU) of paired boxes (P×4 each), both P; a box turned inside out counts as empty."""
    corner = torch.minimum(predicted[:, 2:], boxes[:, 2:]) - torch.maximum(predicted[:, :2], boxes[:, :2])
    shared = corner.clamp(min=0).prod(1)
    areas = (predicted[:, 2:] - predicted[:, :2]).clamp(min=0).prod(1) + (boxes[:, 2:] - boxes[:, :2]).prod(1)
    iou = shared / (areas - shared).clamp(min=1e-6)
    hull = torch.maximum(predicted[:, 2:], boxes[:, 2:]) - torch.minimum(predicted[:, :2], boxes[:, :2])
    centres = (predicted[:, :2] + predicted[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    penalty = centres.square().sum(1) / hull.square().sum(1).clamp(min=1e-6)
    return iou, 1 - iou + penalty


def detection_loss(predictions: Predictions, targets: list[Target], anchors: Anchors, weights: Weights) -> Loss:
    """The loss of a batch of N images with A anchors each.

    The quality that a positive's score aims at is the square root of its IoU, so that a tiny face, whose IoU a pixel
    halves, still scores well above the detector's usual threshold of 0.5.
    """
    assignments = [assign(anchors, target.boxes, target.ignored) for target in targets]
    faces = torch.stack([assignment.faces for assignment in assignments])
    counts = torch.stack([assignment.counts for assignment in assignments])
    image, anchor = (faces >= 0).nonzero(as_tuple=True)
    quality = torch.zeros_like(predictions.scores)
    box_loss = points_loss = predictions.distances.sum() * 0
    normaliser = torch.tensor(1.0)
    if len(image):
        starts = torch.tensor([0, *(len(target.boxes) for target in targets[:-1])]).cumsum(0)
        matched = starts[image] + faces[image, anchor]
        boxes = torch.cat([target.boxes for target in targets])[matched]
        points = torch.cat([target.points for target in targets])[matched]
        centres, strides = anchors.centres[anchor], anchors.strides[anchor]
        iou, distance = diou(decode_boxes(centres, strides, predictions.distances[image, anchor]), boxes)
        quality[image, anchor] = iou.detach().sqrt()
        worth = quality[image, anchor].clamp(min=0.2)
        normaliser = worth.sum()
        box_loss = (distance * worth).sum() / normaliser
        size = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()[:, None, None]
        error = (decode_points(centres, strides, predictions.offsets[image, anchor]) - points) / size
        smooth = functional.smooth_l1_loss(error, torch.zeros_like(error), beta=BETA, reduction="none").mean((1, 2))
        points_loss = (smooth * worth).sum() / normaliser
    score_loss = (quality_focal(predictions.scores, quality) * counts).sum() / normaliser.clamp(min=1)
    total = weights.score * score_loss + weights.box * box_loss + weights.points * points_loss
    return Loss(score_loss, box_loss, points_loss, total)

"""Which anchors answer for which face: ATSS (Zhang et al., "Bridging the Gap …", arXiv:1912.02424, Algorithm 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.detector.anchors import STRIDES, Anchors

CANDIDATES = 9
"""k of Algorithm 1: the anchors nearest a face's centre that are looked at per stride."""
IGNORE_SHARE = 0.4
"""An anchor of which this share lies in an ignored box (or whose IoU with it is as high) is not trained on."""


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (A×4 and G×4: x1 y1 x2 y2) → A×G."""
    corner = torch.minimum(first[:, None, 2:], second[:, 2:]) - torch.maximum(first[:, None, :2], second[:, :2])
    shared = corner.clamp(min=0).prod(-1)
    areas = (first[:, 2:] - first[:, :2]).prod(-1)[:, None] + (second[:, 2:] - second[:, :2]).prod(-1)
    return shared / (areas - shared).clamp(min=1e-9)


@dataclass(frozen=True)
class Assignment:
    """Per anchor: the index of its face or −1 for background (A int64), and whether it counts at all (A bool)."""

    faces: Tensor
    counts: Tensor


def assign(anchors: Anchors, boxes: Tensor, ignored: Tensor) -> Assignment:
    """Give each of the G boxes (G×4 px) its anchors; every box whose centre is in the input gets at least one.

    Per box: the k nearest anchors of each stride are candidates; those whose IoU is at least mean + deviation of the
    candidates', and whose centre lies in the box (or within half a cell of its centre), are positive.
    """
    total = len(anchors.centres)
    anchor_boxes = anchors.boxes()
    counts = torch.ones(total, dtype=torch.bool)
    if len(ignored):
        counts &= _share_inside(anchor_boxes, ignored) < IGNORE_SHARE
        counts &= pairwise_iou(anchor_boxes, ignored).amax(1) < IGNORE_SHARE
    if not len(boxes):
        return Assignment(torch.full((total,), -1), counts)
    overlaps = pairwise_iou(anchor_boxes, boxes)
    offsets = (anchors.centres[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs()
    distances = offsets.square().sum(-1)
    candidate = torch.zeros_like(overlaps, dtype=torch.bool)
    for level in range(len(STRIDES)):
        members = (anchors.levels == level).nonzero().squeeze(1)
        nearest = distances[members].topk(min(CANDIDATES, len(members)), dim=0, largest=False).indices
        candidate.scatter_(0, members[nearest], True)
    number = candidate.sum(0)
    mean = (overlaps * candidate).sum(0) / number
    deviation = (((overlaps - mean) * candidate).square().sum(0) / (number - 1).clamp(min=1)).sqrt()
    half = torch.maximum((boxes[:, 2:] - boxes[:, :2])[None] / 2, anchors.strides[:, None, None] / 2)
    positive = candidate & (overlaps >= mean + deviation) & (offsets <= half).all(-1)
    best = torch.where(candidate, overlaps, -1.0).argmax(0)
    positive[best, torch.arange(len(boxes))] = True
    claims = torch.where(positive, overlaps, -1.0)
    value, face = claims.max(1)
    faces = torch.where(value >= 0, face, -1)
    return Assignment(faces, counts | (faces >= 0))


def _share_inside(boxes: Tensor, regions: Tensor) -> Tensor:
    """The largest share of each box's area (A×4) that one of the regions (M×4) covers → A."""
    corner = torch.minimum(boxes[:, None, 2:], regions[:, 2:]) - torch.maximum(boxes[:, None, :2], regions[:, :2])
    return (corner.clamp(min=0).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None]).amax(1)

"""Where the network predicts, and what its numbers mean: SCRFD's cells, strides and distances.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection" (arXiv:2105.04714), as decoded by
`insightface.model_zoo.scrfd`: two predictions per cell, whose centre is cell index × stride (no half cell added);
a box is four distances and a point two, all from that centre, in strides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
PER_CELL = 2
SIZES: tuple[tuple[int, ...], ...] = ((12, 24), (48, 96), (160, 280))
"""Sides in pixels of the two square anchors per stride. They steer the assignment only; decoding does not see them."""


@dataclass(frozen=True)
class Anchors:
    """All predictions of one input size, stride 8 first: centres (A×2 px), strides (A), square sides (A), level (A)."""

    centres: Tensor
    strides: Tensor
    sizes: Tensor
    levels: Tensor

    def boxes(self) -> Tensor:
        """The anchors as boxes (A×4: x1 y1 x2 y2, px)."""
        half = self.sizes[:, None] / 2
        return torch.cat((self.centres - half, self.centres + half), 1)


def make_anchors(height: int, width: int) -> Anchors:
    """The anchors of an input of height × width pixels, both divisible by 32 (ValueError otherwise)."""
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise ValueError(f"input {width}x{height} is not divisible by {STRIDES[-1]}")
    centres, strides, sizes, levels = [], [], [], []
    for level, (stride, sides) in enumerate(zip(STRIDES, SIZES, strict=True)):
        rows, columns = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        cells = torch.stack((columns, rows), -1).reshape(-1, 2).float() * stride
        count = len(cells) * PER_CELL
        centres.append(cells.repeat_interleave(PER_CELL, 0))
        strides.append(torch.full((count,), float(stride)))
        sizes.append(torch.tensor(sides, dtype=torch.float32).repeat(len(cells)))
        levels.append(torch.full((count,), level))
    return Anchors(torch.cat(centres), torch.cat(strides), torch.cat(sizes), torch.cat(levels))


def decode_boxes(centres: Tensor, strides: Tensor, distances: Tensor) -> Tensor:
    """Distances (…×4: left, top, right, bottom, in strides) to boxes (…×4: x1 y1 x2 y2, px)."""
    pixels = distances * strides[..., None]
    return torch.cat((centres - pixels[..., :2], centres + pixels[..., 2:]), -1)


def encode_boxes(centres: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """Boxes (…×4, px) to distances (…×4, in strides); the inverse of `decode_boxes`."""
    return torch.cat((centres - boxes[..., :2], boxes[..., 2:] - centres), -1) / strides[..., None]


def decode_points(centres: Tensor, strides: Tensor, offsets: Tensor) -> Tensor:
    """Offsets (…×10, in strides) to five points (…×5×2, px)."""
    return offsets.reshape(*offsets.shape[:-1], 5, 2) * strides[..., None, None] + centres[..., None, :]


def encode_points(centres: Tensor, strides: Tensor, points: Tensor) -> Tensor:
    """Five points (…×5×2, px) to offsets (…×10, in strides); the inverse of `decode_points`."""
    return ((points - centres[..., None, :]) / strides[..., None, None]).flatten(-2)

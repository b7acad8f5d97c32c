"""JPEG's loss on tensors: YCbCr 4:2:0, 8×8 DCT, libjpeg's quality tables, rounding; entropy coding loses nothing."""

import math

import torch
from torch import Tensor
from torch.nn import functional

LUMINANCE = torch.tensor(
    [
        (16, 11, 10, 16, 24, 40, 51, 61),
        (12, 12, 14, 19, 26, 58, 60, 55),
        (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62),
        (18, 22, 37, 56, 68, 109, 103, 77),
        (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101),
        (72, 92, 95, 98, 112, 100, 103, 99),
    ],
    dtype=torch.float32,
)
CHROMINANCE = torch.full((8, 8), 99.0)
CHROMINANCE[:4, :4] = torch.tensor([(17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99)])
TO_YCC = torch.tensor([(0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)])
"""ITU-T T.871 (JFIF); Annex K of T.81 for the tables."""
TO_RGB = torch.linalg.inv(TO_YCC)


def dct_matrix() -> Tensor:
    """Orthonormal DCT-II of 8 samples (8×8)."""
    frequency, sample = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = torch.cos((2 * sample + 1) * frequency * math.pi / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def tables(base: Tensor, quality: Tensor) -> Tensor:
    """Quantisation tables (N×8×8) for qualities (N); below 1 counts as 1, as libjpeg does."""
    quality = quality.clamp(1, 100).round()
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((base.to(quality) * percent[:, None, None] + 50) / 100).floor().clamp(1, 255)


def quantise(plane: Tensor, table: Tensor) -> Tensor:
    """Planes (N×C×H×W in 0…255, sides multiples of 8) through DCT, rounding to the table's steps (N×8×8), and back."""
    n, c, height, width = plane.shape
    dct = dct_matrix().to(plane)
    blocks = (plane - 128).view(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = table[:, None, None, None]
    blocks = ((dct @ blocks @ dct.T) / steps).round() * steps
    return (dct.T @ blocks @ dct).transpose(3, 4).reshape(n, c, height, width) + 128


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images (N×3×H×W, RGB, [0,1]) as a JPEG of each quality (N, 1…100) shows them."""
    height, width = images.shape[-2:]
    padded = functional.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    offset = torch.tensor([0.0, 128, 128], device=images.device)[:, None, None]
    to_ycc = TO_YCC.to(images)
    pixels = (padded * 255).round().flatten(2)
    ycc = ((to_ycc @ pixels).view(padded.shape) + offset).round()
    luminance = quantise(ycc[:, :1], tables(LUMINANCE, quality))
    chrominance = quantise(functional.avg_pool2d(ycc[:, 1:], 2).round(), tables(CHROMINANCE, quality))
    chrominance = functional.interpolate(
        chrominance.clamp(0, 255), scale_factor=2.0, mode="bilinear", align_corners=False
    )
    decoded = torch.cat((luminance.clamp(0, 255), chrominance), 1).round() - offset
    rgb: Tensor = (TO_RGB.to(images) @ decoded.flatten(2)).view(padded.shape)
    return rgb[:, :, :height, :width].round().clamp(0, 255) / 255

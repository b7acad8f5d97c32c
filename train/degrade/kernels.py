"""Blur kernels that no product of rows and columns gives: rotated Gaussians, discs, lines; one for each picture."""

import torch
from torch import Tensor
from torch.nn import functional

LARGEST = 15
"""Radius in pixels of the largest kernel."""


def places(radius: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column (K×1 and 1×K, K = 2·radius + 1) from the kernel's middle."""
    line = torch.arange(-radius, radius + 1, device=device, dtype=torch.float32)
    return line[:, None], line[None, :]


def normalised(kernel: Tensor) -> Tensor:
    return kernel / kernel.sum((1, 2), keepdim=True).clamp_min(1e-12)


def radius_for(extent: Tensor) -> int:
    """Radius of the smallest kernel that holds an extent (N, pixels)."""
    return max(1, min(LARGEST, int(extent.max().ceil()) if len(extent) else 1))


def gaussian(along: Tensor, across: Tensor, angle: Tensor | None = None) -> Tensor:
    """Gaussians (N×K×K) of deviations `along` an angle (N, radians; 0: along the row) and `across` it (N, pixels)."""
    along, across = along.clamp_min(0.05), across.clamp_min(0.05)
    row, column = places(radius_for(3 * torch.maximum(along, across)), along.device)
    angle = torch.zeros_like(along) if angle is None else angle
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u, v = (column * cos + row * sin) / along[:, None, None], (row * cos - column * sin) / across[:, None, None]
    return normalised(torch.exp(-0.5 * (u.square() + v.square())))


def disc(radius: Tensor) -> Tensor:
    """Discs (N×K×K) of a radius (N, pixels): a point out of focus."""
    row, column = places(radius_for(radius + 1), radius.device)
    distance = (row.square() + column.square()).sqrt()
    return normalised((radius[:, None, None] + 0.5 - distance).clamp(0, 1))


def line(length: Tensor, angle: Tensor) -> Tensor:
    """Lines (N×K×K) of a length (N, pixels) along an angle (N, radians): uniform motion while the shutter is open."""
    row, column = places(radius_for(length / 2 + 1), length.device)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = column * cos + row * sin, row * cos - column * sin
    inside = (length[:, None, None] / 2 + 0.5 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp(0, 1)
    return normalised(inside)


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Pictures (N×C×H×W), each with its own kernel (N×K×K, K odd); edges are repeated."""
    n, _, height, width = x.shape
    radius = kernel.shape[-1] // 2
    # repeating an edge further than the picture is wide is not defined
    radius = min(radius, height - 1, width - 1)
    middle = kernel.shape[-1] // 2
    kernel = normalised(kernel[:, middle - radius : middle + radius + 1, middle - radius : middle + radius + 1])
    padded = functional.pad(x, (radius,) * 4, mode="replicate").transpose(0, 1)
    weights = kernel[:, None].to(x)
    return functional.conv2d(padded, weights, groups=n).transpose(0, 1) if n else x

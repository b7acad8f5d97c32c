"""Separable linear picture operators as matrices: blur, shift, motion and re-sampling, one per picture and channel.

Each is a matrix M (…×S×S), so that any of them is applied as `rows @ X @ columns.T`, for a whole batch at once and on
whatever device trains. Borders repeat the edge (OpenCV's BORDER_REPLICATE).
"""

import torch
from torch import Tensor


def apply(rows: Tensor, columns: Tensor, images: Tensor) -> Tensor:
    """rows and columns (N×S×S or N×C×S×S) on images (N×C×S×S): down the rows, along the columns."""
    if rows.dim() == 3:
        rows, columns = rows[:, None], columns[:, None]
    return rows @ images @ columns.transpose(-1, -2)


def banded(weights: Tensor, size: int) -> Tensor:
    """Matrix (…×S×S) of filters given on taps −S…S (…×(2S+1)), normalised, with replicated border."""
    weights = weights / weights.sum(-1, keepdim=True)
    sums = torch.nn.functional.pad(weights.cumsum(-1), (1, 0))
    row = torch.arange(size, device=weights.device)
    tap = row[None, :] - row[:, None] + size
    matrix = weights[..., tap]
    # taps beyond the border fall on the edge pixel
    matrix[..., 0] = sums[..., tap[:, 0] + 1]
    matrix[..., -1] = 1 - sums[..., tap[:, -1]]
    return matrix


def taps(size: int, device: torch.device) -> Tensor:
    return torch.arange(-size, size + 1, device=device, dtype=torch.float32)


def gaussian(sigma: Tensor, size: int) -> Tensor:
    """Gaussian blur of deviation sigma (any shape, pixels)."""
    return banded(torch.exp(-0.5 * (taps(size, sigma.device) / sigma.clamp_min(0.05)[..., None]).square()), size)


def shift(pixels: Tensor, size: int) -> Tensor:
    """Translation by a fraction of pixels (any shape), linear interpolation."""
    return banded((1 - (taps(size, pixels.device) + pixels[..., None]).abs()).clamp_min(0), size)


def motion(length: Tensor, size: int) -> Tensor:
    """Uniform motion blur over `length` pixels (any shape, ≥ 1)."""
    return banded((length[..., None] / 2 + 0.5 - taps(size, length.device).abs()).clamp(0, 1), size)


def largest(sides: int | Tensor) -> int:
    return sides if isinstance(sides, int) else int(sides.max())


def area(outputs: int | Tensor, inputs: int, device: torch.device | None = None) -> Tensor:
    """Area-average resampling (outputs×inputs, rows sum to one), as OpenCV's INTER_AREA shrinks.

    outputs may differ from picture to picture (N×1×1, float64): rows beyond a picture's own say nothing.
    """
    edges = torch.arange(largest(outputs) + 1, dtype=torch.float64, device=device)[:, None] * inputs / outputs
    cells = torch.arange(inputs, dtype=torch.float64, device=device)
    overlap = torch.minimum(edges[..., 1:, :], cells + 1) - torch.maximum(edges[..., :-1, :], cells)
    return (overlap.clamp_min(0) * outputs / inputs).float()


def bilinear(outputs: int, inputs: int | Tensor, device: torch.device | None = None) -> Tensor:
    """Linear interpolation (outputs×inputs) with pixel centres at one half, as OpenCV's INTER_LINEAR.

    inputs may differ from picture to picture (N×1×1, float64): columns beyond a picture's own are zero.
    """
    places = torch.arange(outputs, dtype=torch.float64, device=device)[:, None]
    centre = ((places + 0.5) * inputs / outputs - 0.5).clamp_min(0).clamp_max(inputs - 1)
    cells = torch.arange(largest(inputs), dtype=torch.float64, device=device)
    return (1 - (centre - cells).abs()).clamp_min(0).float()


def downscale(ratios: Tensor, size: int) -> Tensor:
    """Down by each ratio (N, ≥ 1; area average) and up again to the old size (linear); a ratio of 1 changes nothing."""
    if not len(ratios):
        return ratios.new_empty(0, size, size)
    small = (size / ratios.double()).round().clamp_min(1)[:, None, None]
    return bilinear(size, small, ratios.device) @ area(small, size, ratios.device)

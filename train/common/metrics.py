"""Quality on tensors (N×3×H×W, RGB, [0,1]): PSNR and SSIM, whole or inside a mask; dice, and a classifier's F1."""

import torch
from torch import Tensor

BORDER = 5
"""Pixels at each edge that SSIM's 11×11 window leaves out."""


def psnr(target: Tensor, restored: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio per picture (N), dB; equal pictures count as 100 dB.

    mask (N×1×H×W, [0,1]): weight of each place; a picture whose mask is empty gets NaN.
    """
    error = (target - restored).square().mean(1, keepdim=True)
    return -10 * weighted(error, mask).clamp_min(1e-10).log10()


def weighted(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean per picture (N) of a map (N×1×H×W) under the mask; NaN where the mask is empty."""
    if mask is None:
        return values.mean((1, 2, 3))
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def window(side: int, device: torch.device | None = None) -> Tensor:
    """SSIM's Gaussian (11 taps, σ 1.5) along one axis as a matrix ((side − 10)×side), without the border."""
    offset = torch.arange(side, device=device)[None, :] - torch.arange(BORDER, side - BORDER, device=device)[:, None]
    taps = torch.where(offset.abs() <= BORDER, torch.exp(-offset.square() / (2 * 1.5**2)), 0.0)
    return taps / taps.sum(1, keepdim=True)


def ssim_map(target: Tensor, restored: Tensor) -> Tensor:
    """Similarity of each place (N×1×H−10×W−10), mean of RGB, Wang et al. 2004: Gaussian 11×11 window, σ 1.5.

    As scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False), which also
    leaves out the 5 pixels at the border.
    """
    rows, columns = (window(side, target.device).to(target) for side in target.shape[2:])

    def smooth(x: Tensor) -> Tensor:
        return rows @ x @ columns.T

    mean_a, mean_b = smooth(target), smooth(restored)
    var_a = smooth(target.square()) - mean_a.square()
    var_b = smooth(restored.square()) - mean_b.square()
    covariance = smooth(target * restored) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    index = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2)
    )
    return index.mean(1, keepdim=True)


def mean_ssim(similarity: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `ssim_map` per picture (N); mask (N×1×H×W): as in `psnr`."""
    return weighted(similarity, None if mask is None else mask[:, :, BORDER:-BORDER, BORDER:-BORDER])


def ssim(target: Tensor, restored: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity per picture (N), of `ssim_map`."""
    return mean_ssim(ssim_map(target, restored), mask)


def box(side: int, cell: int, device: torch.device | None = None) -> Tensor:
    """Means over `cell` places (odd) along one axis as a matrix (side×side); at the border, over those there are."""
    place = torch.arange(side, device=device)
    near = ((place[None, :] - place[:, None]).abs() <= cell // 2).float()
    return near / near.sum(1, keepdim=True)


def finer(images: Tensor, cell: int) -> Tensor:
    """What is finer than `cell` pixels (odd): images (N×C×H×W) less their means over the cell around each place."""
    # as matrices: pooling, with its gradient, takes three times as long on a CPU
    rows, columns = (box(side, cell, images.device).to(images) for side in images.shape[2:])
    return images - rows @ images @ columns.T


def sharpness(target: Tensor, restored: Tensor, cell: int = 5) -> Tensor:
    """Deviation of what is finer than `cell` pixels, over the target's, per picture (N).

    1: as sharp as the target; below: blurred; above: noisy or too sharp.
    """
    whole = slice(cell // 2, -(cell // 2))  # where a cell does not reach beyond the picture
    found, wanted = (finer(x, cell)[:, :, whole, whole].square().mean((1, 2, 3)) for x in (restored, target))
    return (found / wanted.clamp_min(1e-10)).sqrt()


def dice(truth: Tensor, found: Tensor) -> Tensor:
    """2·|A∩B| / (|A|+|B|) per picture (N) of two masks (N×1×H×W), each cut at one half; 1 where both are empty."""
    a, b = (mask.flatten(1) > 0.5 for mask in (truth, found))
    size = (a.sum(1) + b.sum(1)).float()
    return torch.where(size > 0, 2 * (a & b).sum(1) / size.clamp_min(1), 1.0)


def f1(labels: Tensor, probabilities: Tensor) -> Tensor:
    """F1 per class (K) at threshold one half (both N×K); 0 for a class that neither has nor finds anything."""
    truth, found = labels > 0.5, probabilities > 0.5
    hit = (truth & found).sum(0).float()
    return 2 * hit / (truth.sum(0) + found.sum(0)).clamp_min(1)


def macro_f1(labels: Tensor, probabilities: Tensor) -> float:
    """Mean of `f1` over the classes."""
    return float(f1(labels, probabilities).mean())

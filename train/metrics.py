"""Picture quality on tensors (N×3×H×W, RGB, [0,1]): PSNR, SSIM, and the share a classifier gets right."""

import torch
from torch import Tensor
from torch.nn import functional


def psnr(target: Tensor, restored: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per picture (N), dB; equal pictures count as 100 dB."""
    error = (target - restored).square().mean((1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()


def ssim(target: Tensor, restored: Tensor) -> Tensor:
    """Structural similarity per picture (N), Wang et al. 2004: Gaussian 11×11 window of σ 1.5, mean over RGB.

    As scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False), which also
    leaves out the 5 pixels at the border.
    """
    tap = torch.arange(-5.0, 6.0)
    window = torch.exp(-tap.square() / (2 * 1.5**2))
    window = (window / window.sum()).to(target)

    def smooth(x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)[:, None]
        return functional.conv2d(functional.conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1)).view(
            *x.shape[:2], -1
        )

    mean_a, mean_b = smooth(target), smooth(restored)
    var_a = smooth(target.square()) - mean_a.square()
    var_b = smooth(restored.square()) - mean_b.square()
    covariance = smooth(target * restored) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    index = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2)
    )
    return index.mean((1, 2))


def macro_f1(labels: Tensor, probabilities: Tensor) -> float:
    """Mean over the classes of F1 at threshold one half (both N×K)."""
    truth, found = labels > 0.5, probabilities > 0.5
    hit = (truth & found).sum(0).float()
    return float((2 * hit / (truth.sum(0) + found.sum(0)).clamp_min(1)).mean())

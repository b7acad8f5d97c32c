"""The paper's losses (002, Eq. 4-8), the classifier's, and five that speed up a short training; batch means."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.common import metrics


def huber(target: Tensor, restored: Tensor, alpha: float = 0.1) -> Tensor:
    """Eq. 4, channel-wise, mean over all values."""
    return functional.huber_loss(restored, target, delta=alpha)


def reconstruction(target: Tensor, restored: Tensor) -> Tensor:
    """L_rec = L1 + Huber."""
    return functional.l1_loss(restored, target) + huber(target, restored)


def angular(target: Tensor, restored: Tensor, floor: float = 0.02) -> Tensor:
    """Eq. 5: mean angle between the colours of two images (N×3×H×W), in radians.

    `floor` is added to both as grey, since black has no direction; arccos is taken as atan2(|a×b|, a·b), whose gradient
    stays finite where the colours agree.
    """
    a, b = target + floor, restored.clamp_min(0) + floor
    (a_r, a_g, a_b), (b_r, b_g, b_b) = a.unbind(1), b.unbind(1)
    cross = (a_g * b_b - a_b * b_g).square() + (a_b * b_r - a_r * b_b).square() + (a_r * b_g - a_g * b_r).square()
    return torch.atan2((cross + 1e-8).sqrt() - 1e-4, (a * b).sum(1)).mean()


def dice(target: Tensor, mask: Tensor, epsilon: float = 1.0) -> Tensor:
    """Eq. 7 per picture (N×1×H×W in [0,1]), mean over the batch; ε above as well, so that two empty masks agree."""
    overlap = (target * mask).sum((1, 2, 3))
    total = target.square().sum((1, 2, 3)) + mask.square().sum((1, 2, 3))
    return (1 - (2 * overlap + epsilon) / (total + epsilon)).mean()


def gram(features: Tensor) -> Tensor:
    """Gram matrix (N×C×C) of features (N×C×H×W), over the number of their values."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def perceptual(target: list[Tensor], restored: list[Tensor]) -> Tensor:
    """L_per: mean square distance of features, summed over the layers."""
    return torch.stack([functional.mse_loss(b, a) for a, b in zip(target, restored, strict=True)]).sum()


def style(target: list[Tensor], restored: list[Tensor]) -> Tensor:
    """Eq. 6: square distance of the Gram matrices, summed over matrix and layers."""
    pairs = zip(target, restored, strict=True)
    return torch.stack([(gram(a) - gram(b)).square().sum((1, 2)).mean() for a, b in pairs]).sum()


def log_error(target: Tensor, restored: Tensor, floor: float = 1e-4) -> Tensor:
    """Mean of ln(MSE) per picture: PSNR itself, so that nearly clean pictures have their weight (NAFNet, ECCV 2022)."""
    return ((target - restored).square().mean((1, 2, 3)) + floor).log().mean()


def coarse(target: Tensor, restored: Tensor, cell: int = 16) -> Tensor:
    """L1 between cell averages: colour and light, which are learnt long before detail."""
    return functional.avg_pool2d(restored - target, cell).abs().mean()


def fine(target: Tensor, restored: Tensor, cell: int = 5) -> Tensor:
    """L1 between what is finer than `cell` pixels (odd): noise, blocks and edges, drowned out by colour otherwise."""
    return metrics.finer(restored - target, cell).abs().mean()


def dissimilarity(target: Tensor, restored: Tensor) -> Tensor:
    """1 - SSIM (Zhao et al., IEEE TCI 2017) in the middle half of the sides: of all, it costs a third of a step."""
    side = target.shape[-1]
    middle = slice(side // 4, side - side // 4)
    a, b = (image[:, :, middle, middle] for image in (target, restored.clamp(0, 1)))
    return (1 - metrics.ssim(a, b)).mean()


def identity(target: Tensor, restored: Tensor) -> Tensor:
    """1 - cosine between face embeddings (N×D), as GFPGAN's (Wang et al., CVPR 2021): who it is must not change."""
    return (1 - functional.cosine_similarity(restored, target)).mean()


def adversarial(logits: Tensor) -> Tensor:
    """Paper 004, Eq. 9, non-saturating: the discriminator must take restored pictures for originals."""
    return functional.softplus(-logits).mean()


@dataclass(frozen=True)
class Weights:
    """Factors of the total loss (Eq. 8). Perceptual, style and identity cost a feature network, else never run."""

    reconstruction: float = 1.0
    """Weight of L1 + Huber (paper: 1)."""
    angular: float = 0.2
    """Weight of the angle between colours (paper: 1)."""
    perceptual: float = 0.0
    """Weight of the distance of features (paper: 0.04); above 0 it runs a feature network."""
    style: float = 0.0
    """Weight of the distance of their Gram matrices (paper: 4e-5), likewise."""
    dice: float = 0.1
    """Weight of the mask's dice (paper: 1)."""
    mask: float = 0.1
    """Weight of the mask's cross-entropy (paper: none)."""
    classifier: float = 0.1
    """Weight of the distortion classifier's cross-entropy (--paper: 1; the paper names none)."""
    log_error: float = 0.08
    """Weight of ln(MSE) (paper: none)."""
    coarse: float = 0.5
    """Weight of the L1 between 16x16 averages (paper: none)."""
    fine: float = 4.0
    """Weight of the L1 between what is finer than 5x5 (paper: none)."""
    ssim: float = 0.0
    """Weight of 1 - SSIM (paper: none)."""
    identity: float = 0.0
    """Weight of 1 - the cosine of face embeddings (paper: none); it needs --features mobilefacenet."""
    adversarial: float = 0.0
    """Weight of the adversarial loss (paper: tried and left, 000 §4); above 0 it trains a discriminator beside."""

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not 0 <= weight < inf:
                raise ValueError(f"--{name.replace('_', '-')} must be a number from 0, not {weight}")

    @property
    def featured(self) -> bool:
        """Whether a feature network is needed."""
        return bool(self.perceptual or self.style or self.identity)


PAPER = Weights(1.0, 1.0, 0.04, 4e-5, dice=1.0, mask=0.0, classifier=1.0, log_error=0.0, coarse=0.0, fine=0.0)
"""The paper's; it gives no factor for the classifier."""


@dataclass(frozen=True)
class Truth:
    """What a batch should have become: image (N×3×H×W), labels (N×3), mask (N×1×H×W) if labelled."""

    image: Tensor
    labels: Tensor
    mask: Tensor | None


def total(
    outputs: tuple[Tensor, Tensor, Tensor],
    truth: Truth,
    weights: Weights,
    features: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum (Eq. 8) over the network's logits, and each term before its factor."""
    restored, mask, distortion = outputs
    terms = {
        "reconstruction": reconstruction(truth.image, restored),
        "angular": angular(truth.image, restored),
        "classifier": functional.binary_cross_entropy_with_logits(distortion, truth.labels),
        "log_error": log_error(truth.image, restored),
        "coarse": coarse(truth.image, restored),
        "fine": fine(truth.image, restored),
    }
    if truth.mask is not None:
        terms["dice"] = dice(truth.mask, mask.sigmoid())
        terms["mask"] = functional.binary_cross_entropy_with_logits(mask, truth.mask)
    if weights.ssim:
        terms["ssim"] = dissimilarity(truth.image, restored)
    if features is not None and weights.featured:
        with torch.no_grad():
            wanted = features(truth.image)
        found = features(restored)
        if weights.perceptual:
            terms["perceptual"] = perceptual(wanted.maps, found.maps)
        if weights.style:
            terms["style"] = style(wanted.maps, found.maps)
        if weights.identity and wanted.embedding is not None:
            terms["identity"] = identity(wanted.embedding, found.embedding)
    if discriminator is not None:
        terms["adversarial"] = adversarial(discriminator(restored.clamp(0, 1)))
    loss = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return loss, {name: term.detach() for name, term in terms.items()}

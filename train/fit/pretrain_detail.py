"""The detail's gates trained alone, without features: how much of each coefficient to keep in how noisy a picture.

A thousand faces settle that, in minutes, and the trunk then learns on pictures that are no longer noisy.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.common import metrics
from train.data.faces import STILL, Faces, batch
from train.degrade.pipeline import WEBCAM
from train.fit import losses
from train.fit.pretrain import Course
from train.fit.settings import Phase, Settings
from train.networks.detail import Detail
from train.networks.frrnet import LAYOUTS, level_channels

STEM, WIDTH = 4, 16
"""Of the network that it is for."""

FINE = replace(
    WEBCAM, exposure=(1, 1), jitter=(0, 0), noise=(0.008, 0.2), probability=0.4, screen=0, shade=0, chroma_noise=0.2
)
"""Eq. 2 without a change of light, which is another part's, and with the noise that brightening makes larger."""

SETTINGS = Settings(
    (Phase(336, 8, 2400),),
    rate=2e-3,
    warm_up=400,
    final_rate=2e-5,
    decay=0.99,
    degradation=FINE,
    far=0,
    validate_every=800,
)


def build() -> Detail:
    """The branch, its gates for the features' channels."""
    return Detail(STEM, level_channels(WIDTH * STEM, len(LAYOUTS[STEM].blocks))[0])


def restored(detail: nn.Module, images: Tensor) -> Tensor:
    """Pictures (N×3×S×S) with the branch's change, the same gates everywhere."""
    change: Tensor = detail(functional.pixel_unshuffle(images, STEM), None)
    return images + functional.pixel_shuffle(change, STEM)


def lesson(detail: nn.Module, degraded: Tensor, target: Tensor) -> Tensor:
    """L1 and Huber, fine L1, and logarithm of the mean square error."""
    found = restored(detail, degraded)
    edges = 4 * losses.fine(target, found)
    return losses.reconstruction(target, found) + edges + 0.08 * losses.log_error(target, found)


def validate(detail: nn.Module, faces: Faces, size: int) -> dict[str, float]:
    """PSNR (dB) of up to 32 held-out faces under noise of 0.02 and 0.08, before and after, and of clean ones."""
    target, _ = batch(faces, faces.indices(training=False)[:32], size, STILL, np.random.default_rng(0))
    figures = {}
    with torch.no_grad():
        for deviation in (0.02, 0.08):
            noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
            noisy = (target + deviation * noise).clamp(0, 1)
            figures[f"noise_{deviation}"] = float(metrics.psnr(target, noisy).mean())
            figures[f"psnr_{deviation}"] = float(metrics.psnr(target, restored(detail, noisy).clamp(0, 1)).mean())
        figures["clean_psnr"] = float(metrics.psnr(target, restored(detail, target).clamp(0, 1)).mean())
    return figures


COURSE = Course(
    "detail",
    "Train the detail's gates alone, for `fit --detail`: how much of what is fine is noise.",
    build,
    SETTINGS,
    1e-4,
    lesson,
    validate,
)

"""The light network trained alone, on the small views that it looks at: hundreds of faces a second on one core.

Eq. 2 on 96 px crops stands for Eq. 2 on 336 px ones, with two ranges changed: noise is what its average over 3.5 px
leaves, and JPEG's blocks cover 3.5 times as much of a face, so that the lowest qualities are left out.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.common import metrics
from train.data.faces import STILL, Faces, Jitter, batch
from train.degrade.pipeline import DISTORTED, WEBCAM, degrade
from train.fit import losses
from train.fit.pretrain import Course
from train.fit.settings import Phase, Settings
from train.networks.light import VIEW, Light, pooled, relight

SMALL = replace(WEBCAM, noise=(0.004, 0.045), quality=(8, 100), chroma_noise=0.1)
"""Eq. 2 at 96 px."""

SETTINGS = Settings(
    (Phase(96, 64, 480_000),),
    rate=2e-3,
    warm_up=12_800,
    degradation=SMALL,
    gentle=0,
    far=0,
    jitter=Jitter(scale=0.06, shift=0.02, degrees=4.0),
    validate_every=32_000,
)
"""What the shipped weights were trained by."""


def light_loss(target: Tensor, restored: Tensor) -> Tensor:
    """L1, logarithm of the mean square error, and angle between the colours (Eq. 5), of views (N×3×48×48)."""
    l1 = functional.l1_loss(restored, target)
    return 2 * l1 + 0.08 * losses.log_error(target, restored) + 0.2 * losses.angular(target, restored)


def lesson(light: nn.Module, degraded: Tensor, target: Tensor) -> Tensor:
    """The loss on the views of a batch."""
    view = pooled(degraded, VIEW)
    return light_loss(pooled(target, VIEW), relight(view, *cast(Light, light).light(view)))


def validate(light: nn.Module, faces: Faces, size: int) -> dict[str, float]:
    """PSNR of held-out faces' small views, before and after, and of undegraded faces (dB)."""
    target, _ = batch(faces, faces.indices(training=False), size, STILL, np.random.default_rng(0))
    settings = replace(DISTORTED, noise=SMALL.noise, quality=SMALL.quality)
    degraded, _ = degrade(target, settings, torch.Generator().manual_seed(5))
    with torch.no_grad():
        lit, clean = (light(images).clamp(0, 1) for images in (degraded, target))
    wanted = pooled(target, VIEW)
    pairs = {
        "input_psnr": (wanted, pooled(degraded, VIEW)),
        "psnr": (wanted, pooled(lit, VIEW)),
        "clean_psnr": (target, clean),
    }
    return {name: float(metrics.psnr(*pair).mean()) for name, pair in pairs.items()}


# a million weights see six thousand faces again and again: hence the weight decay (1e-2 in the shipped weights' first
# half million views; held-out faces came out as well as training ones at their end, so the rest had less)
COURSE = Course(
    "light",
    "Train the light network alone, for `fit --light`: exposure and colour, at hundreds of faces a second.",
    Light,
    SETTINGS,
    2e-3,
    lesson,
    validate,
)

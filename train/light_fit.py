"""The light network trained alone, on the small views that it looks at: hundreds of faces a second on one core.

Eq. 2 on 96 px crops stands for Eq. 2 on 336 px ones, with two ranges changed: noise is what its average over 3.5 px
leaves, and JPEG's blocks cover 3.5 times as much of a face, so that the lowest qualities are left out.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train import checkpoint, losses, metrics, progress
from train.data import STILL, Faces, Jitter, batch
from train.degrade import PAPER, WEBCAM, degrade
from train.feed import Feed
from train.light import VIEW, Light, pooled, relight
from train.settings import Phase, Settings

SMALL = replace(WEBCAM, noise=(0.004, 0.045), quality=(8, 100), chroma_noise=0.1)
"""Eq. 2 at 96 px."""

SETTINGS = Settings(
    (Phase(96, 64, 480_000),),
    rate=2e-3,
    warm_up=12_800,
    degradation=SMALL,
    gentle=0,
    jitter=Jitter(scale=0.06, shift=0.02, degrees=4.0),
    validate_every=32_000,
)
"""What the shipped weights were trained by."""

DECAY = 1e-2
"""AdamW's weight decay: a million weights see six thousand faces again and again."""


def light_loss(target: Tensor, restored: Tensor) -> Tensor:
    """L1, logarithm of the mean square error, and angle between the colours (Eq. 5), of views (N×3×48×48)."""
    l1 = functional.l1_loss(restored, target)
    return 2 * l1 + 0.08 * losses.log_error(target, restored) + 0.2 * losses.angular(target, restored)


def read(path: Path) -> dict[str, Any]:
    """What a light network's training saved; FileNotFoundError if nothing, ValueError if it is something else."""
    content: dict[str, Any] = checkpoint.opened(path, "holds no light network")
    if not isinstance(content, dict) or not {"network", "average", "optimiser", "step", "images"} <= content.keys():
        raise ValueError(f"{path} holds no light network: make one with `python -m train light {path}`")
    return content


class LightTraining:
    """Everything that a light network's training is; saving and loading it loses nothing."""

    def __init__(self, rate: float = SETTINGS.rate) -> None:
        self.network = Light()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), rate, (0.9, 0.98), weight_decay=DECAY)
        self.step = self.images = 0

    def contents(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        return {**parts, "step": self.step, "images": self.images}

    def take(self, content: dict[str, Any]) -> None:
        """Go on from saved contents."""
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(content[name])
        self.step, self.images = content["step"], content["images"]

    def save(self, path: Path) -> None:
        checkpoint.write(path, self.contents())

    def learn(self, degraded: Tensor, target: Tensor, settings: Settings) -> float:
        """One optimiser step on a batch (N×3×S×S each); returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate_at(self.images)
        view = pooled(degraded, VIEW)
        loss = light_loss(pooled(target, VIEW), relight(view, *self.network.light(view)))
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)):
            self.optimiser.step()
        self.step += 1
        self.images += len(degraded)
        checkpoint.follow(self.average, self.network, settings.decay, self.step)
        return float(loss.detach())


def validate(light: Light, faces: Faces, size: int) -> dict[str, float]:
    """PSNR of held-out faces' small views, before and after, and of undegraded faces (dB)."""
    target, _ = batch(faces, faces.indices(training=False), size, STILL, np.random.default_rng(0))
    settings = replace(PAPER, noise=SMALL.noise, quality=SMALL.quality, percent_dist=1.0)
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


def fit_light(
    training: LightTraining,
    faces: Faces,
    settings: Settings,
    path: Path,
    report: progress.Report = print,
    *,
    advance: progress.Advance = progress.silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Light:
    """Train to the end of the settings' phases, or until `stopped`; the whole training is kept in `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = settings.phases[0].size
    for degraded, truth in Feed({faces.size: faces}, settings).batches(training.images):
        if stopped():
            break
        before = training.images
        loss = training.learn(degraded, truth.image, settings)
        advance(settings.progress(training.images), f"{training.images} of {settings.images} images")
        if training.images // settings.validate_every != before // settings.validate_every:
            scores = validate(training.average, faces, size)
            figures = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
            report(f"{training.images} of {settings.images} images: loss {loss:.4f}, {figures}")
            training.save(path)
    training.save(path)
    return training.average

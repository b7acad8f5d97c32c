"""Training: phases of growing size, one cosine over all of them, resumable to the same result.

Every random draw of a step comes from (seed, images seen), so that one that was stopped goes on as if it
had not been.
"""

import csv
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from train import checkpoint, losses, metrics
from train.checkpoint import State
from train.data import STILL, Faces, Jitter, batch
from train.degrade import PAPER, WEBCAM, Degradation, degrade
from train.model import FRRNet


@dataclass(frozen=True)
class Phase:
    """`images` pictures of side `size` in batches of `batch`."""

    size: int
    batch: int
    images: int

    @classmethod
    def parse(cls, text: str) -> "Phase":
        """SIZE:BATCH:IMAGES, as in 96:16:150000; ValueError if it is not."""
        try:
            return cls(*(int(part) for part in text.split(":")))
        except (TypeError, ValueError):
            raise ValueError(f"a phase is SIZE:BATCH:IMAGES, as in 96:16:150000, not {text!r}") from None


@dataclass(frozen=True)
class Settings:
    """How to train."""

    phases: tuple[Phase, ...]
    rate: float = 1e-3
    final_rate: float = 2e-5
    warm_up: int = 3000
    decay: float = 0.999
    clip: float = 0.5
    seed: int = 1
    bf16: bool = True
    weights: losses.Weights = field(default_factory=losses.Weights)
    degradation: Degradation = WEBCAM
    jitter: Jitter = field(default_factory=Jitter)
    checkpoint_seconds: float = 120
    validate_every: int = 8000

    @property
    def images(self) -> int:
        return sum(phase.images for phase in self.phases)

    def phase(self, seen: int) -> Phase:
        """The phase that the next picture belongs to."""
        for phase in self.phases:
            if seen < phase.images:
                return phase
            seen -= phase.images
        return self.phases[-1]

    def progress(self, seen: int) -> float:
        """Share of the training's pixels that so many pictures are: large ones cost more and come late."""
        done = total = 0
        for phase in self.phases:
            done += min(max(seen, 0), phase.images) * phase.size**2
            total += phase.images * phase.size**2
            seen -= phase.images
        return done / max(1, total)

    def rate_at(self, seen: int) -> float:
        """Linear warm-up, then one cosine over the training's pixels, down to the final rate."""
        way = 0.5 * (1 + math.cos(math.pi * self.progress(seen)))
        return min(1.0, (seen + 1) / self.warm_up) * (self.final_rate + (self.rate - self.final_rate) * way)


def shuffled(indices: np.ndarray, seed: int, start: int, count: int) -> np.ndarray:
    """`count` entries from place `start` of an endless list of shuffles of `indices`."""
    places = np.arange(start, start + count)
    rounds = places // len(indices)
    order = {r: np.random.default_rng((seed, int(r))).permutation(indices) for r in np.unique(rounds)}
    return np.array([order[r][p % len(indices)] for r, p in zip(rounds, places, strict=True)])


def make_batch(
    faces: Faces, chosen: np.ndarray, size: int, settings: Settings, seen: int
) -> tuple[Tensor, losses.Truth]:
    """Degraded pictures and what they should become, a function of the settings' seed and `seen`."""
    random = np.random.default_rng((settings.seed, seen))
    target, mask = batch(faces, chosen, size, settings.jitter, random)
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + seen)
    degraded, labels = degrade(target, settings.degradation, generator)
    return degraded.contiguous(memory_format=torch.channels_last), losses.Truth(target, labels, mask)


def train_step(
    state: State, degraded: Tensor, truth: losses.Truth, settings: Settings, features: nn.Module | None
) -> dict[str, float]:
    """One optimiser step; a batch whose loss or gradient is not finite is left out."""
    for group in state.optimiser.param_groups:
        group["lr"] = settings.rate_at(state.images)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
        outputs = state.network.logits(degraded)
    loss, terms = losses.total(outputs, truth, settings.weights, features)
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    if torch.isfinite(norm):
        state.optimiser.step()
    state.step += 1
    state.images += len(degraded)
    state.follow(settings.decay)
    return {"loss": float(loss.detach()), "norm": float(norm), **terms}


def validate(network: FRRNet, faces: Faces, size: int, count: int = 64) -> dict[str, float]:
    """PSNR, SSIM and F1 on held-out faces degraded by Eq. 2, and the PSNR of undegraded ones."""
    chosen = faces.indices(training=False)[:count]
    totals: dict[str, float] = {}
    for start in range(0, len(chosen), 16):
        part = chosen[start : start + 16]
        target, _ = batch(faces, part, size, STILL, np.random.default_rng(0))
        degraded, labels = degrade(
            target, dataclasses.replace(PAPER, percent_dist=1.0), torch.Generator().manual_seed(start)
        )
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            restored, _, distortion = network(degraded)
            clean, _, _ = network(target)
        found = {
            "input_psnr": float(metrics.psnr(target, degraded).mean()),
            "psnr": float(metrics.psnr(target, restored).mean()),
            "ssim": float(metrics.ssim(target, restored).mean()),
            "clean_psnr": float(metrics.psnr(target, clean).mean()),
            "f1": metrics.macro_f1(labels, distortion),
        }
        for name, value in found.items():
            totals[name] = totals.get(name, 0.0) + value * len(part) / len(chosen)
    return totals


def fit(
    state: State,
    faces: dict[int, Faces],
    settings: Settings,
    out: Path,
    features: nn.Module | None = None,
    report: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
    stopped: Callable[[], bool] = lambda: False,
) -> State:
    """Train from `state` to the end of the settings' phases, or until `stopped`; checkpoint.pt and log.csv go to `out`.

    faces: by cache size; a phase takes the smallest that is at least its own size.
    """
    out.mkdir(parents=True, exist_ok=True)
    began, first, saved = clock(), state.images, clock()
    recent: list[dict[str, float]] = []
    while state.images < settings.images and not stopped():
        phase = settings.phase(state.images)
        source = faces[min((s for s in faces if s >= phase.size), default=max(faces))]
        chosen = shuffled(source.indices(training=True), settings.seed, state.images, phase.batch)
        before = state.images
        degraded, truth = make_batch(source, chosen, phase.size, settings, before)
        recent.append(train_step(state, degraded, truth, settings, features))
        if state.images // 1000 != before // 1000:
            mean = {name: sum(row.get(name, 0.0) for row in recent) / len(recent) for name in recent[-1]}
            speed = (state.images - first) / (clock() - began)
            left = (settings.images - state.images) / speed / 60
            report(
                f"{state.images} of {settings.images} images at {phase.size} px, {speed:.1f}/s, {left:.0f} min left: "
                + ", ".join(f"{name} {value:.4f}" for name, value in mean.items())
            )
            log(out / "log.csv", {"images": state.images, "size": phase.size, "rate": settings.rate_at(before), **mean})
            recent.clear()
        if state.images // settings.validate_every != before // settings.validate_every:
            scores = validate(state.average, source, phase.size)
            report("validation: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
            log(out / "validation.csv", {"images": state.images, "size": phase.size, **scores})
        if clock() - saved > settings.checkpoint_seconds:
            checkpoint.save(out / "checkpoint.pt", state)
            saved = clock()
    checkpoint.save(out / "checkpoint.pt", state)
    return state


def log(path: Path, row: dict[str, float]) -> None:
    """Append a row to a CSV file; the head is written with the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)

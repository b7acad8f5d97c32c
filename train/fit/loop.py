"""Training: phases of growing size, one cosine over all of them, resumable to the same result, in one process or many.

A training that was stopped goes on as if it had not been: its state is network, running mean, optimiser and the number
of images seen, and every random draw is a function of the seed and that number (`train.fit.batches`).
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from train.common import mixed_precision, progress
from train.common.distributed import ALONE, World
from train.data.faces import Faces
from train.data.stream import Stream
from train.degrade.occluders import CutOuts
from train.fit import checkpoint, losses
from train.fit.batches import Feed, Labeller, make_batch, shuffled
from train.fit.checkpoint import State
from train.fit.run_log import Journal
from train.fit.settings import Phase, Settings
from train.fit.validation import validate
from train.networks.discriminator import Adversary
from train.networks.frrnet import FRRNet

__all__ = ["Phase", "Settings", "fit", "make_batch", "shuffled", "train_step", "validate"]


class Logits(nn.Module):
    """The network as it is trained: DistributedDataParallel follows a module's forward alone."""

    def __init__(self, network: FRRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.logits(images)


def train_step(
    state: State,
    degraded: Tensor,
    truth: losses.Truth,
    settings: Settings,
    features: nn.Module | None,
    model: nn.Module | None = None,
    world: World = ALONE,
) -> dict[str, float]:
    """One optimiser step; a batch whose loss or gradient is not finite is left out.

    model: what runs the network in the world of many processes (`Logits`, wrapped); the network itself if not given.
    """
    rate = settings.rate_at(state.images)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    adversary = None
    if settings.weights.adversarial:
        adversary = state.adversary = state.adversary or Adversary.new(settings.seed, settings.rate, state.device)
    with mixed_precision.convolutions(degraded.device.type, bf16=settings.bf16):
        outputs = state.network.logits(degraded) if model is None else model(degraded)
    discriminator = adversary.discriminator if adversary else None
    loss, terms = losses.total(outputs, truth, settings.weights, features, discriminator)
    if truth.mask is None:
        # DistributedDataParallel waits for a gradient of every parameter
        loss = loss + 0 * outputs[1].sum()
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    # copied from the device at once: each copy waits until the device has finished all that was queued
    values = torch.stack([loss.detach(), norm, *terms.values()]).tolist()
    found = dict(zip(("loss", "norm", *terms), values, strict=True))
    if math.isfinite(found["norm"]):
        state.optimiser.step()
    if adversary:
        found["discrimination"] = float(adversary.learn(truth.image, outputs[0], rate, world))
    state.step += 1
    state.images += len(degraded) * world.size
    state.follow(settings.decay)
    return found


def fit(
    state: State,
    faces: dict[int, Faces],
    settings: Settings,
    out: Path,
    features: nn.Module | None = None,
    report: progress.Report = print,
    clock: Callable[[], float] = time.monotonic,
    stopped: Callable[[], bool] = lambda: False,
    *,
    advance: progress.Advance = progress.silent,
    world: World = ALONE,
    stream: Stream | None = None,
    label: Labeller | None = None,
    cut_outs: CutOuts | None = None,
) -> State:
    """Train from `state` to the end of the settings' phases, or until `stopped` in any process.

    checkpoint.pt, log.csv, validation.csv and validation.png go to `out`, from the first process.

    faces: by cache size, to validate on, and to train on if there is no `stream`. label: masks where there are none.
    cut_outs: what may be in front of a face.
    """
    state.network.light.requires_grad_(not settings.hold_light)
    feed = Feed(faces, settings, world, stream, label, cut_outs)
    model = world.wrapped(Logits(state.network))
    journal = Journal(out, settings, state.images, report, clock) if world.first else None
    if state.images >= settings.images:
        report(f"{state.images} of {settings.images} images seen: there is nothing left to train")
    recent: list[dict[str, float]] = []
    for degraded, truth in feed.batches(state.images):
        if world.any(stopped()):
            report(f"stopped after {state.images} of {settings.images} images: the same command goes on")
            break
        before, phase = state.images, settings.phase(state.images)
        recent.append(train_step(state, degraded, truth, settings, features, model, world))
        advance(settings.progress(state.images), f"{state.images} of {settings.images} images, {phase.size} px")
        last = state.images >= settings.images
        if last or state.images // 1000 != before // 1000:
            means = world.mean([sum(row[name] for row in recent) / len(recent) for name in recent[-1]])
            if journal:
                journal.training(before, state.images, dict(zip(recent[-1], means, strict=True)))
            recent.clear()
        due = state.images // settings.validate_every != before // settings.validate_every
        if journal and (due or (last and settings.images >= settings.validate_every)):
            journal.validation(state, feed.source(phase.size), phase.size)
        if journal:
            journal.checkpoint(state)
    if journal:
        checkpoint.save(out / "checkpoint.pt", state)
    return state

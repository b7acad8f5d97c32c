"""Training: frames drawn as they are needed, AdamW, warm-up and cosine by images seen, averaged weights."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.common import mixed_precision, progress
from train.detector.anchors import Anchors, make_anchors
from train.detector.data import backgrounds, faces
from train.detector.data.composites import Composer, Scene
from train.detector.data.views import Source
from train.detector.export import Calibration
from train.detector.losses import Loss, Target, Weights, detection_loss
from train.detector.network import Architecture, FaceDetector
from train.fit import checkpoint

Image = NDArray[np.uint8]

LAST = "last.pt"
"""A training's checkpoint, in its folder."""
SIZES = ((192, 320), (256, 256), (192, 320), (320, 320), (256, 320), (320, 192))
"""Heights and widths that batches take in turn: the daemon's inputs for 16:9, square, 4:3 and upright pictures."""


@dataclass(frozen=True)
class FitSettings:
    """How to train."""

    images: int = 150_000
    """Frames to see in all, counted over resumed runs."""
    batch: int = 24
    """Frames per step."""
    rate: float = 2e-3
    """Peak learning rate."""
    decay: float = 0.02
    """AdamW's weight decay."""
    warmup: int = 6_000
    """Images over which the rate rises."""
    average: float = 0.998
    """How much of the averaged weights a step keeps."""
    checkpoint_every: int = 6_000
    """Images between checkpoints."""
    backgrounds: int = 2_400
    """Backgrounds in the bank."""
    seed: int = 0
    """Of composites and initial weights."""


@dataclass
class State:
    """All that a run needs to go on: saved whole, loaded whole."""

    network: FaceDetector
    averaged: FaceDetector
    optimiser: torch.optim.Optimizer
    architecture: Architecture
    images_seen: int = 0
    before: int = 0
    """Images that the network had seen before this training began from its weights."""


def to_tensor(images: list[Image]) -> Tensor:
    """BGR uint8 images (each H×W×3) as N×3×H×W RGB float32, normalised as insightface does: (value − 127.5) / 128."""
    batch = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)
    return ((batch.float() - 127.5) / 128).contiguous(memory_format=torch.channels_last)


def to_target(scene: Scene) -> Target:
    """A scene's labels as tensors."""
    return Target(torch.from_numpy(scene.boxes), torch.from_numpy(scene.points), torch.from_numpy(scene.ignored))


def learning_rate(seen: int, settings: FitSettings) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    if seen < settings.warmup:
        return settings.rate * (seen + 1) / settings.warmup
    done = min(1.0, (seen - settings.warmup) / max(1, settings.images - settings.warmup))
    return settings.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def new_state(architecture: Architecture, settings: FitSettings) -> State:
    """Fresh weights, seeded."""
    torch.manual_seed(settings.seed)
    network = FaceDetector(architecture).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = FaceDetector(architecture)
    averaged.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.decay)
    return State(network, averaged.eval(), optimiser, architecture)


def save(state: State, path: Path, *, resumable: bool = True, compact: bool = False) -> None:
    """Write a checkpoint under its final name only when it is whole; not resumable means the averaged weights alone.

    Compact: the averaged weights in float32, network and optimiser in sixteen bits, to go on from, though not to the
    same bits.
    """
    content: dict[str, Any] = {
        "averaged": state.averaged.state_dict(),
        "architecture": asdict(state.architecture),
        "images_seen": state.images_seen,
        "before": state.before,
    }
    if resumable:
        network, optimiser = state.network.state_dict(), state.optimiser.state_dict()
        if compact:
            network, optimiser = checkpoint.cast(network, torch.float16), checkpoint.cast(optimiser, torch.bfloat16)
        content |= {"network": network, "optimiser": optimiser}
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(path, content)


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, on the CPU.

    Raises FileNotFoundError if there is none, ValueError if it is none of this network.
    """
    content = checkpoint.opened(path, "is no checkpoint")
    if not isinstance(content, dict) or not {"averaged", "architecture", "images_seen"} <= content.keys():
        raise ValueError(f"{path} is no checkpoint of the detector")
    try:
        architecture = Architecture(**content["architecture"])
        with torch.device("meta"):
            wanted = FaceDetector(architecture).state_dict()
    except TypeError as error:
        raise ValueError(f"{path} is of another version of the detector: {error}") from error
    if odd := wanted.keys() ^ content["averaged"].keys():
        raise ValueError(f"{path} is of another version of the detector: it differs in {len(odd)} weights")
    return dict(content, architecture=architecture)


def load(path: Path, settings: FitSettings, *, restart: bool = False) -> State:
    """A checkpoint's state; `restart` takes its averaged weights into a fresh optimiser and a count of zero images."""
    content = read(path)
    state = new_state(content["architecture"], settings)
    state.averaged.load_state_dict(content["averaged"])
    resumable = "network" in content and not restart
    state.network.load_state_dict(content["network" if resumable else "averaged"])
    state.before = int(content.get("before", 0)) + (int(content["images_seen"]) if restart else 0)
    if resumable:
        state.optimiser.load_state_dict(content["optimiser"])
        state.images_seen = int(content["images_seen"])
    return state


def load_calibration(path: Path) -> Calibration:
    """How a checkpoint's scores are calibrated; not at all if it does not say."""
    scale, *shifts = read(path).get("calibration", (1.0, 0.0, 0.0, 0.0))
    first, second, third = shifts
    return Calibration(scale, (first, second, third))


def keep_calibrated(path: Path, out: Path, calibration: Calibration) -> None:
    """Write a checkpoint's averaged weights alone, with the calibration of its scores."""
    content = read(path)
    kept = {
        "averaged": content["averaged"],
        "architecture": asdict(content["architecture"]),
        "images_seen": content["images_seen"],
        "before": content.get("before", 0),
        "calibration": [calibration.scale, *calibration.shifts],
    }
    checkpoint.write(out, kept)


def load_averaged(path: Path) -> tuple[FaceDetector, int]:
    """The averaged network of a checkpoint, ready to evaluate or export, and the images it has seen in all."""
    content = read(path)
    network = FaceDetector(content["architecture"])
    network.load_state_dict(content["averaged"])
    return network.eval(), int(content["images_seen"]) + int(content.get("before", 0))


def train_step(state: State, scenes: list[Scene], anchors: Anchors, rate: float, keep: float) -> Loss:
    """One optimiser step; convolutions run in bfloat16 where the processor has it, at twice the rate of float32."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.network.train()
    images = to_tensor([scene.image for scene in scenes])
    with mixed_precision.convolutions("cpu"):
        predictions = state.network(images)
    loss = detection_loss(predictions, [to_target(scene) for scene in scenes], anchors, Weights())
    state.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 10.0)
    state.optimiser.step()
    state.images_seen += len(scenes)
    with torch.no_grad():
        for mean, value in zip(state.averaged.state_dict().values(), state.network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)
    return loss


def draw_scenes(source: Source, settings: FitSettings, seen: int) -> Iterator[tuple[list[Scene], tuple[int, int]]]:
    """Endless batches with their size (height, width); the stream depends on the seed and on where it starts."""
    random = np.random.default_rng((settings.seed, seen))
    step = seen // settings.batch
    while True:
        height, width = SIZES[step % len(SIZES)]
        yield [source.scene(height, width, random) for _ in range(settings.batch)], (height, width)
        step += 1


def open_composer(data: Path, cache: Path, settings: FitSettings, *, training: bool = True) -> Composer:
    """Faces and backgrounds from the cache, built on first use."""
    bank = faces.load_or_label(data, cache)
    pictures = backgrounds.load_or_build(cache, settings.backgrounds, bank, np.random.default_rng(settings.seed))
    return Composer(bank, bank.indices(training=training), pictures)


def fit(
    state: State,
    source: Source,
    settings: FitSettings,
    folder: Path,
    report: progress.Report = print,
    *,
    advance: progress.Advance = progress.silent,
) -> None:
    """Train until `settings.images` are seen, a checkpoint and a line of JSON in folder/log.jsonl now and then."""
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    anchors = {size: make_anchors(*size) for size in set(SIZES)}
    sums, steps, started = np.zeros(4), 0, time.monotonic()
    next_save = state.images_seen + settings.checkpoint_every
    if state.images_seen >= settings.images:
        report(f"{state.images_seen} of {settings.images} images seen: there is nothing left to train")
        return
    for scenes, size in draw_scenes(source, settings, state.images_seen):
        # a short memory at first, so that the random start is forgotten
        keep = min(settings.average, 1 - 1 / (1 + state.images_seen / settings.batch / 10))
        loss = train_step(state, scenes, anchors[size], learning_rate(state.images_seen, settings), keep)
        sums += [float(part.detach()) for part in (loss.score, loss.box, loss.points, loss.total)]
        steps += 1
        advance(state.images_seen / settings.images, f"{state.images_seen} of {settings.images} images")
        if state.images_seen >= min(next_save, settings.images):
            means = dict(zip(("score", "box", "points", "total"), (sums / steps).round(4).tolist(), strict=True))
            speed = round(steps * settings.batch / (time.monotonic() - started), 1)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({"images": state.images_seen, "images_per_s": speed, **means}) + "\n")
            save(state, folder / LAST)
            left = max(0, settings.images - state.images_seen) / max(speed, 0.1) / 60
            report(
                f"{state.images_seen} of {settings.images} images, {speed}/s, {left:.0f} min left: "
                + ", ".join(f"{name} {value}" for name, value in means.items())
            )
            sums, steps, started = np.zeros(4), 0, time.monotonic()
            next_save += settings.checkpoint_every
        if state.images_seen >= settings.images:
            return

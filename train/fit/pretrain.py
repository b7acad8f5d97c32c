"""One part of the network trained alone, before the whole: the light network, the detail's gates.

Each knows its own small task, learns it at many times the whole's speed, and is a better beginning than none.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train.common import progress
from train.data.faces import Faces
from train.fit import checkpoint
from train.fit.batches import Feed
from train.fit.settings import Settings


@dataclass(frozen=True)
class Course:
    """How a part is trained alone."""

    name: str
    """Of the part, of the command that trains it, and of the option that takes it into `fit`."""
    purpose: str
    """What the command's help says."""
    build: Callable[[], nn.Module]
    settings: Settings
    weight_decay: float
    lesson: Callable[[nn.Module, Tensor, Tensor], Tensor]
    """The loss of the part on degraded pictures and what they should become (N×3×S×S each)."""
    validate: Callable[[nn.Module, Faces, int], dict[str, float]]
    """Figures of the part on held-out faces at a side."""


class PartTraining:
    """Everything that a part's training is; saving and loading it loses nothing."""

    def __init__(self, course: Course) -> None:
        self.course, self.network = course, course.build()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), course.settings.rate, (0.9, 0.98), weight_decay=course.weight_decay
        )
        self.step = self.images = 0

    def contents(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        return {**parts, "step": self.step, "images": self.images}

    def take(self, content: dict[str, Any]) -> None:
        """Go on from saved contents."""
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(content[name])
        self.step, self.images = content["step"], content["images"]

    def begin(self, network: nn.Module) -> None:
        """Begin from a network's own part; ValueError if it has none, or another."""
        own: nn.Module | None = getattr(network, self.course.name)
        if own is None or checkpoint.unlike(self.network, own.state_dict()):
            raise ValueError(f"--begin: that network has no {self.course.name} part, or one of another width")
        for mine in (self.network, self.average):
            mine.load_state_dict(own.state_dict())

    def save(self, path: Path) -> None:
        checkpoint.write(path, self.contents())

    def learn(self, degraded: Tensor, target: Tensor, settings: Settings) -> float:
        """One optimiser step on a batch (N×3×S×S each); returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate_at(self.images)
        loss = self.course.lesson(self.network, degraded, target)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)):
            self.optimiser.step()
        self.step += 1
        self.images += len(degraded)
        checkpoint.follow(self.average, self.network, settings.decay, self.step)
        return float(loss.detach())


def read(path: Path, course: Course) -> dict[str, Any]:
    """What a part's training saved; FileNotFoundError if nothing, ValueError if it is something else."""
    content: dict[str, Any] = checkpoint.opened(path, f"holds no {course.name} network")
    fields = {"network", "average", "optimiser", "step", "images"}
    if (
        not isinstance(content, dict)
        or not fields <= content.keys()
        or checkpoint.unlike(course.build(), content["average"])
    ):
        raise ValueError(
            f"{path} holds no {course.name} network of this version: give `python -m train {course.name}` a new file"
        )
    return content


def fit_part(
    training: PartTraining,
    faces: Faces,
    settings: Settings,
    path: Path,
    report: progress.Report = print,
    *,
    advance: progress.Advance = progress.silent,
    stopped: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Train to the end of the settings' phases, or until `stopped`; the whole training is kept in `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = settings.phases[0].size
    if training.images >= settings.images:
        report(f"{training.images} of {settings.images} images seen: there is nothing left to train")
    for degraded, truth in Feed({faces.size: faces}, settings).batches(training.images):
        if stopped():
            report(f"stopped after {training.images} of {settings.images} images: the same command goes on")
            break
        before = training.images
        loss = training.learn(degraded, truth.image, settings)
        advance(settings.progress(training.images), f"{training.images} of {settings.images} images")
        if training.images // settings.validate_every != before // settings.validate_every:
            training.save(path)
            held_out = len(faces.indices(training=False))
            scores = training.course.validate(training.average, faces, size) if held_out else {}
            figures = ", ".join(f"{name} {value:.2f}" for name, value in scores.items()) or "no face is held out"
            report(f"{training.images} of {settings.images} images: loss {loss:.4f}, {figures}")
    training.save(path)
    return training.average

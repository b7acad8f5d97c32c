"""How a training goes: its phases, rates and weights, each field an option of `python -m train fit`."""

import math
from dataclasses import dataclass, field

import numpy as np

from train.data.faces import Jitter
from train.degrade.pipeline import WEBCAM, Degradation
from train.fit import losses


@dataclass(frozen=True)
class Phase:
    """`images` pictures in batches of `batch`, of side `size` or, each batch at random, of one of `others` too."""

    size: int
    batch: int
    images: int
    others: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Phase":
        """SIZE:BATCH:IMAGES, as in 96:16:150000, or several sizes, as in 160/224/336:8:90000; ValueError if not."""
        try:
            sizes, batch, images = text.split(":")
            size, *others = sorted((int(part) for part in sizes.split("/")), reverse=True)
            phase = cls(size, int(batch), int(images), tuple(others))
        except (TypeError, ValueError):
            phase = cls(0, 0, 0)
        if min(phase.sizes) < 1 or phase.batch < 1 or phase.images < 1:
            raise ValueError(f"a phase is SIZE:BATCH:IMAGES, as in 96:16:150000 or 160/336:8:9000, not {text!r}")
        return phase

    @property
    def sizes(self) -> tuple[int, ...]:
        """All its sides, the largest first."""
        return (self.size, *self.others)

    def side(self, draw: float) -> int:
        """The side of a batch, by a draw in [0,1): each gets as many pixels, so that small ones come more often."""
        bounds = np.cumsum([1 / size**2 for size in self.sizes])
        return self.sizes[int(np.searchsorted(bounds, draw * bounds[-1], side="right"))]


@dataclass(frozen=True)
class Settings:
    """How to train."""

    phases: tuple[Phase, ...]
    rate: float = 1e-3
    """Highest learning rate (AdamW)."""
    final_rate: float = 2e-5
    """Learning rate at the end of the cosine."""
    warm_up: int = 3000
    """Images over which the learning rate rises from zero."""
    decay: float = 0.999
    """Of the network's running mean (EMA), per step."""
    clip: float = 0.5
    """Longest gradient (L2) that is not shortened."""
    seed: int = 1
    """Of weights, data order, jitter and degradation."""
    bf16: bool = True
    """bfloat16 convolutions where the device has it (a GPU, AVX512-BF16, AMX): twice as fast."""
    workers: int = 0
    """Threads that cut crops ahead of the training; 0 cuts them in between."""
    hold_light: bool = False
    """Leave the light network as --light or --begin brought it."""
    weights: losses.Weights = field(default_factory=losses.Weights)
    degradation: Degradation = WEBCAM
    gentle: float = 0.1
    """Share of batches with slight faults only (`pipeline.GENTLE`)."""
    far: float = 0.0
    """Share of batches whose faces are small in the camera's picture (`pipeline.FAR`); --gentle comes first."""
    camera: float = 0.55
    """Share of batches that go through a camera's whole chain (`camera.CAMERA`); --gentle and --far come first."""
    occluded: float = 0.2
    """Share of faces with something in front of them, which their mask leaves out."""
    even_tones: bool = True
    """Show faces of rare skin tones more often, so that each tone is seen alike; a stream takes them as they come."""
    jitter: Jitter = field(default_factory=Jitter)
    checkpoint_seconds: float = 120
    """Write the checkpoint this often."""
    validate_every: int = 8000
    """Images between validations; one more at the end, unless the whole training is shorter."""

    def __post_init__(self) -> None:
        positive = ("rate", "final_rate", "warm_up", "clip", "checkpoint_seconds", "validate_every")
        for name in positive:
            if not getattr(self, name) > 0:  # nor NaN
                raise ValueError(f"--{name.replace('_', '-')} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"--decay must be at least 0 and below 1, not {self.decay}")
        for name in ("gentle", "far", "camera", "occluded"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} must be within 0 and 1, not {getattr(self, name)}")
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} must not be below 0, but is {getattr(self, name)}")

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
        """Share of the training's pixels in the first `images` pictures: large ones cost more and come late."""
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

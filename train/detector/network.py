"""The network: a small residual backbone, a top-down pyramid, and one head per stride with SCRFD's nine outputs.

Plain 3×3 convolutions, BatchNorm and ReLU only: with BatchNorm folded they run whole in ONNX Runtime's int8 kernels,
where a depthwise convolution of the same cost is slower.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.detector.anchors import PER_CELL

OUTPUTS = (1, 4, 10)
"""Numbers per prediction: score, box distances, point offsets."""


@dataclass(frozen=True)
class Architecture:
    """Channels and residual blocks; the default costs 0.51 GMAC at 320×320.

    Points have a tower of their own in each head: beside scores and boxes, in one of 40 channels, they stayed 5.4 % of
    the eye distance off, most of all the nose, which moves as the head turns.
    """

    stem: tuple[int, int] = (16, 24)
    widths: tuple[int, int, int] = (40, 64, 96)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    neck: int = 40
    head_blocks: tuple[int, int, int] = (0, 2, 2)
    points: int = 64
    points_blocks: tuple[int, int, int] = (0, 2, 2)


@dataclass(frozen=True)
class Predictions:
    """Over all anchors of a batch, stride 8 first: score logits (N×A), box distances (N×A×4), points (N×A×10)."""

    scores: Tensor
    distances: Tensor
    offsets: Tensor


class ConvUnit(nn.Sequential):
    """3×3 convolution, BatchNorm, and ReLU unless `linear`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, kernel: int = 3, linear: bool = False) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *(() if linear else (nn.ReLU(inplace=True),)))


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is added (He et al., arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvUnit(channels, channels), ConvUnit(channels, channels, linear=True))

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.body(features))


def tower(inputs: int, channels: int, blocks: int) -> nn.Sequential:
    """A head's features: one convolution and residual blocks."""
    return nn.Sequential(ConvUnit(inputs, channels), *(Residual(channels) for _ in range(blocks)))


class Head(nn.Module):
    """One stride's predictions: scores and boxes from one tower, points from another."""

    def __init__(self, channels: int, blocks: int, points: int, points_blocks: int) -> None:
        super().__init__()
        self.tower = tower(channels, channels, blocks)
        self.points_tower = tower(channels, points, points_blocks)
        self.scores = nn.Conv2d(channels, PER_CELL, 1)
        self.distances = nn.Conv2d(channels, PER_CELL * 4, 1)
        self.offsets = nn.Conv2d(points, PER_CELL * 10, 1)
        nn.init.constant_(cast(Tensor, self.scores.bias), -4.6)  # a prior of 1 %: background wins at the start
        nn.init.constant_(cast(Tensor, self.distances.bias), 1.5)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found, placed = self.tower(features), self.points_tower(features)
        parts = (self.scores(found), self.distances(found), self.offsets(placed))
        scores, distances, offsets = (
            part.permute(0, 2, 3, 1).reshape(part.shape[0], -1, count)
            for part, count in zip(parts, OUTPUTS, strict=True)
        )
        return scores, distances, offsets


class FaceDetector(nn.Module):
    """RGB input N×3×H×W, (value − 127.5) / 128, H and W divisible by 32."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = shape = architecture or Architecture()
        first, second = shape.stem
        self.stem = nn.Sequential(
            ConvUnit(3, first, 2),
            ConvUnit(first, second, 2),
            *(Residual(second) for _ in range(shape.blocks[0])),
        )
        stages, channels = [], second
        for width, blocks in zip(shape.widths, shape.blocks[1:], strict=True):
            stages.append(nn.Sequential(ConvUnit(channels, width, 2), *(Residual(width) for _ in range(blocks))))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(ConvUnit(width, shape.neck, kernel=1, linear=True) for width in shape.widths)
        self.smooths = nn.ModuleList(ConvUnit(shape.neck, shape.neck) for _ in shape.widths)
        self.heads = nn.ModuleList(
            Head(shape.neck, blocks, shape.points, points_blocks)
            for blocks, points_blocks in zip(shape.head_blocks, shape.points_blocks, strict=True)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """The pyramid at strides 8, 16, 32."""
        features = self.stem(images)
        levels = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            features = stage(features)
            levels.append(lateral(features))
        for level in range(len(levels) - 1, 0, -1):
            levels[level - 1] = levels[level - 1] + functional.interpolate(levels[level], scale_factor=2.0)
        return [smooth(level) for smooth, level in zip(self.smooths, levels, strict=True)]

    def levels(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(logits N×A×1, distances N×A×4, offsets N×A×10) per stride."""
        return [head(features) for head, features in zip(self.heads, self.features(images), strict=True)]

    def forward(self, images: Tensor) -> Predictions:
        scores, distances, offsets = (torch.cat(parts, 1) for parts in zip(*self.levels(images), strict=True))
        return Predictions(scores.squeeze(-1).float(), distances.float(), offsets.float())


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of all convolutions for one image of that size."""
    total = 0

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        convolution = cast(nn.Conv2d, module)
        total += convolution.weight.numel() * output.shape[-1] * output.shape[-2]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    training = network.training
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total

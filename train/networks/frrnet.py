"""FRR-Net: encoder of residual dense blocks, distortion classifier, depth-to-space generator (paper 002, §3.2, Eq. 3).

Beside the paper: a stem stride (space-to-depth before the first convolution, depth-to-space after the last); a light
network (`train.networks.light`) that goes first, since exposure and colour cast are the largest error; and a global
view, which pools the last features and the picture itself into one embedding: it feeds the classifier and joins the
bottleneck.
It stands in for the paper's VGGFace features, which are not available and would not fit a webcam's time. Behind a stem,
also a branch of the picture's own detail (`train.networks.detail`), which the features steer and could not carry.
ReLU alone, no normalisation: what ONNX Runtime fuses into an int8 convolution.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from train.networks.detail import Detail
from train.networks.light import Light, pooled

SURE = (0.5, 0.9)
"""Likeliest distortion's probability up to which a picture stays as it is, and from which it is fully restored."""


class Convolution(nn.Sequential):
    """3×3 convolution and ReLU, same size (or halved by stride 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())


class ResidualDenseBlock(nn.Module):
    """Residual dense block (Zhang et al., CVPR 2018): each layer sees all before it, a 1×1 fuses them, input added.

    growth: channels that each of the `depth` layers adds.
    """

    def __init__(self, channels: int, depth: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Convolution(channels + i * growth, growth) for i in range(depth))
        self.fuse = nn.Conv2d(channels + depth * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for layer in self.layers:
            features = torch.cat((features, layer(features)), 1)
        fused: Tensor = self.fuse(features)
        return x + fused


@dataclass(frozen=True)
class Layout:
    """What a stem stride settles beside width and depth.

    blocks: dense blocks at each level; each level has half the side of the one before it.
    growth: what a dense layer adds, as a part of its block's channels.
    outer: channels of two convolutions at the picture's own resolution on either side of the dense blocks, 0 for none.
    """

    blocks: tuple[int, ...]
    growth: float = 0.5
    outer: int = 0


LAYOUTS = {
    1: Layout((1, 2, 1, 3, 11), growth=1.0, outer=64),
    2: Layout((1, 1, 2, 2)),
    4: Layout((1, 2, 2)),
}
"""By stem stride; the last level always lies at a sixteenth of the picture's side.

Stem 1 is the paper's: dense layers that add as many channels as their block has, and 64 channels before the first block
and after the last, as in RDN (Zhang et al., CVPR 2018), on which neither width nor depth acts (`train.networks.cost`).
Behind a stem there is no place of the picture's own resolution, and half the growth is what the shipped weights have.
"""


def level_channels(first: int, levels: int) -> tuple[int, ...]:
    """Channels of each level: doubled from level to level, but the last three as 1 : 1.5 : 2.5."""
    *doubled, third = (first << level for level in range(levels - 2))
    return (*doubled, third, third * 3 // 2, third * 5 // 2)


class Upsample(nn.Sequential):
    """1×1 convolution, then depth-to-space: twice the size, `outputs` channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 1), nn.ReLU(), nn.PixelShuffle(2))


class GlobalView(nn.Module):
    """The whole picture in one embedding (N×64): pooled features, a small thumbnail, mean and deviation."""

    THUMBNAIL = 12

    def __init__(self, features: int, embedding: int = 64) -> None:
        super().__init__()
        inputs = 2 * features + 3 * self.THUMBNAIL**2 + 6
        self.mlp = nn.Sequential(
            nn.Linear(inputs, 2 * embedding), nn.ReLU(), nn.Linear(2 * embedding, embedding), nn.ReLU()
        )
        self.classifier = nn.Linear(embedding, 3)
        self.join = nn.Linear(embedding, features)

    def forward(self, features: Tensor, image: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        thumbnail = pooled(image, self.THUMBNAIL)
        features = features.float()
        numbers = (features.mean((2, 3)), features.amax((2, 3)), thumbnail, mean, deviation)
        view = torch.cat([number.flatten(1) for number in numbers], 1)
        embedding: Tensor = self.mlp(view)
        return embedding


class FRRNet(nn.Module):
    """Image (N×3×S×S, RGB, [0,1]) to restored (N×3×S×S), mask (N×1×S×S) and distortion (N×3), all in [0,1].

    width: channels of the first dense block per unit of stem stride, at least 2 (paper: 8, 12, 16).
    depth: layers in each dense block, at least 1 (paper: 1, 2, 3).
    stem_stride: 1, 2 or 4; space-to-depth of the picture before the first convolution.
    blocks: dense blocks at each level, first to last; LAYOUTS[stem_stride]'s if not given.
    size: side of the crops it is meant for; one set of weights runs at every multiple of `multiple`.

    Raises ValueError for an argument out of its range.
    """

    def __init__(
        self,
        width: int = 16,
        depth: int = 2,
        stem_stride: int = 4,
        blocks: tuple[int, ...] | None = None,
        size: int = 336,
    ) -> None:
        super().__init__()
        if stem_stride not in LAYOUTS:
            raise ValueError(f"stem_stride must be 1, 2 or 4, not {stem_stride}")
        layout = LAYOUTS[stem_stride]
        blocks = layout.blocks if blocks is None else tuple(blocks)
        self.width, self.depth, self.stem_stride, self.blocks, self.size = width, depth, stem_stride, blocks, size
        self._check()
        channels = level_channels(width * stem_stride, len(blocks))
        outer = layout.outer or channels[0]

        def dense(level: int, count: int) -> nn.Sequential:
            growth = int(channels[level] * layout.growth)
            return nn.Sequential(*(ResidualDenseBlock(channels[level], depth, growth) for _ in range(count)))

        self.unshuffle: nn.Module = nn.PixelUnshuffle(stem_stride)
        self.stem = nn.Sequential(*Convolution(3 * stem_stride**2, outer))
        self.encoder1 = dense(0, blocks[0])
        for level, (finer, coarser) in enumerate(pairwise(channels), 1):
            self.add_module(f"down{level}", Convolution(finer, coarser, stride=2))
            self.add_module(f"encoder{level + 1}", dense(level, blocks[level]))
        self.light = Light()
        self.view = GlobalView(channels[-1])
        self.bottleneck = dense(len(blocks) - 1, 1)
        for level in range(len(blocks) - 1, 0, -1):
            self.add_module(f"up{level}", Upsample(channels[level], channels[level - 1]))
            self.add_module(f"generator{level}", dense(level - 1, blocks[level - 1] + (level == 1)))
        self.last = nn.Sequential()
        if layout.outer:
            self.stem.extend((*Convolution(outer, outer), nn.Conv2d(outer, channels[0], 1), nn.ReLU()))
            self.last.extend((nn.Conv2d(channels[0], outer, 1), nn.ReLU(), *Convolution(outer, outer)))
        self.detail = Detail(stem_stride, outer) if stem_stride > 1 else None
        self.residual = nn.Conv2d(outer, 3 * stem_stride**2, 3, padding=1)
        self.mask = nn.Conv2d(outer, stem_stride**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(stem_stride)
        for parameter in self.residual.parameters():
            nn.init.normal_(parameter, std=1e-3)

    def _check(self) -> None:
        for name, value, least in (("width", self.width, 2), ("depth", self.depth, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if len(self.blocks) < 3 or min(self.blocks) < 1:
            raise ValueError(f"blocks must be counts of at least 1 for at least 3 levels, not {self.blocks}")
        if self.size <= 0 or self.size % self.multiple:
            raise ValueError(f"size must be a multiple of {self.multiple}, not {self.size}")

    @property
    def multiple(self) -> int:
        """The crop's side must be a multiple of this."""
        return self.stem_stride << (len(self.blocks) - 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        change, mask, distortion = self.change(image)
        probabilities = distortion.sigmoid()
        doubt, certainty = SURE
        gate = ((probabilities.amax(1) - doubt) / (certainty - doubt)).clamp(0, 1)
        return (image + gate[:, None, None, None] * change).clamp(0, 1), mask.sigmoid(), probabilities

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As forward, but ungated, not clipped, and mask and distortion before their sigmoid: for the losses."""
        change, mask, distortion = self.change(image)
        return image + change, mask, distortion

    def encode(self, normalised: Tensor) -> list[Tensor]:
        """Features of every level, the finest first."""
        levels = [self.encoder1(self.stem(self.unshuffle(normalised)))]
        for level in range(1, len(self.blocks)):
            coarser = self.get_submodule(f"down{level}")(levels[-1])
            levels.append(self.get_submodule(f"encoder{level + 1}")(coarser))
        return levels

    def generate(self, features: Tensor, finer: list[Tensor]) -> Tensor:
        """From the last features, with the class prior joined, back up to the first level's side."""
        features = self.bottleneck(features)
        for level, skip in reversed(list(enumerate(finer, 1))):
            upsampled = self.get_submodule(f"up{level}")(features)
            features = self.get_submodule(f"generator{level}")(upsampled + skip)
        return cast(Tensor, self.last(features))

    def change(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is added to the picture (N×3×S×S), and the mask and the distortion before their sigmoid."""
        side = image.shape[-1]
        if image.shape[-2] != side or side % self.multiple:
            raise ValueError(f"a crop must be square, its side a multiple of {self.multiple}, not {side}")
        lit = self.light(image)
        mean, deviation = statistics(lit)
        precision = self.residual.weight.dtype
        *finer, features = self.encode(((lit - mean) / deviation).to(precision))
        embedding = self.view(features, image, *statistics(image))
        features = self.generate(features + self.view.join(embedding).to(features)[:, :, None, None], finer)
        residual = self.residual(features)
        if self.detail is not None:
            # what can be shown: its 256 levels are then int8's own, and the sum below keeps the exact picture
            residual = residual + self.detail(self.unshuffle(lit.clamp(0, 1).to(precision)), features)
        residual = self.shuffle(residual).float()
        mask = self.shuffle(self.mask(features)).float()
        return lit - image + residual, mask, self.view.classifier(embedding).float()


def statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel (N×3×1×1 each)."""
    mean = image.mean((2, 3), keepdim=True)
    deviation = ((image - mean).square().mean((2, 3), keepdim=True) + 1e-4).sqrt()
    return mean, deviation

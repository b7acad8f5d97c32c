"""FRR-Net: encoder of residual dense blocks, distortion classifier, depth-to-space generator (paper 002, §3.2, Eq. 3).

Beside the paper: a stem stride (space-to-depth before the first convolution, depth-to-space after the last), and a
global view. The view pools the last features and the picture itself into one embedding, which feeds the classifier,
joins the bottleneck, and gives a 3×4 colour affine, since exposure and colour cast are global errors, and the largest.
It stands in for the paper's VGGFace features, which are not to be had and would not fit a webcam's time.
ReLU alone, no normalisation: what ONNX Runtime fuses into an int8 convolution.
"""

import torch
from torch import Tensor, nn

SURE = (0.5, 0.9)
"""Likeliest distortion's probability up to which a picture stays as it is, and from which it is fully restored."""


def pooling_matrix(outputs: int, inputs: int) -> Tensor:
    """Area-average resampling from `inputs` to `outputs` samples as a matrix (outputs×inputs, rows sum to one)."""
    edges = torch.arange(outputs + 1, dtype=torch.float64) * inputs / outputs
    cells = torch.arange(inputs, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return (overlap.clamp_min(0) * outputs / inputs).float()


class Convolution(nn.Sequential):
    """3×3 convolution and ReLU, same size (or halved by stride 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())


class ResidualDenseBlock(nn.Module):
    """Residual dense block (Zhang et al., CVPR 2018): each layer sees all before it, a 1×1 fuses them, input added."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        growth = channels // 2
        self.layers = nn.ModuleList(Convolution(channels + i * growth, growth) for i in range(depth))
        self.fuse = nn.Conv2d(channels + depth * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for layer in self.layers:
            features = torch.cat((features, layer(features)), 1)
        fused: Tensor = self.fuse(features)
        return x + fused


def dense_blocks(channels: int, depth: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualDenseBlock(channels, depth) for _ in range(count)))


class Upsample(nn.Sequential):
    """1×1 convolution, then depth-to-space: twice the size, `outputs` channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 1), nn.ReLU(), nn.PixelShuffle(2))


def zeroed(layer: nn.Linear) -> nn.Linear:
    """The layer with all its parameters at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


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
        self.affine = zeroed(nn.Linear(embedding, 12))
        self.join = nn.Linear(embedding, features)

    def forward(self, features: Tensor, image: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        pool = pooling_matrix(self.THUMBNAIL, image.shape[-1]).to(image)
        thumbnail = pool @ image @ pool.T
        features = features.float()
        pooled = (features.mean((2, 3)), features.amax((2, 3)))
        view = torch.cat((*pooled, thumbnail.flatten(1), mean.flatten(1), deviation.flatten(1)), 1)
        embedding: Tensor = self.mlp(view)
        return embedding


class FRRNet(nn.Module):
    """Image (N×3×S×S, RGB, [0,1]) to restored (N×3×S×S), mask (N×1×S×S) and distortion (N×3), all in [0,1].

    width: channels of the first dense block per unit of stem stride (paper: 8, 12, 16).
    depth: layers in each dense block (paper: 1, 2, 3).
    stem_stride: 1, 2 or 4; space-to-depth of the picture before the first convolution.
    blocks: dense blocks at each of the three levels. S must be a multiple of 4 · stem_stride.
    """

    def __init__(
        self, width: int = 16, depth: int = 2, stem_stride: int = 4, blocks: tuple[int, int, int] = (1, 2, 2)
    ) -> None:
        super().__init__()
        if stem_stride not in (1, 2, 4):
            raise ValueError(f"stem_stride must be 1, 2 or 4, not {stem_stride}")
        self.width, self.depth, self.stem_stride, self.blocks = width, depth, stem_stride, blocks
        first = width * stem_stride
        second, third = first * 3 // 2, first * 5 // 2
        self.unshuffle: nn.Module = nn.PixelUnshuffle(stem_stride)
        self.stem = Convolution(3 * stem_stride**2, first)
        self.encoder1 = dense_blocks(first, depth, blocks[0])
        self.down1 = Convolution(first, second, stride=2)
        self.encoder2 = dense_blocks(second, depth, blocks[1])
        self.down2 = Convolution(second, third, stride=2)
        self.encoder3 = dense_blocks(third, depth, blocks[2])
        self.view = GlobalView(third)
        self.bottleneck = dense_blocks(third, depth, 1)
        self.up2 = Upsample(third, second)
        self.generator2 = dense_blocks(second, depth, blocks[1])
        self.up1 = Upsample(second, first)
        self.generator1 = dense_blocks(first, depth, blocks[0] + 1)
        self.residual = nn.Conv2d(first, 3 * stem_stride**2, 3, padding=1)
        self.mask = nn.Conv2d(first, stem_stride**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(stem_stride)
        for parameter in self.residual.parameters():
            nn.init.normal_(parameter, std=1e-3)

    @property
    def multiple(self) -> int:
        """The crop's side must be a multiple of this."""
        return 4 * self.stem_stride

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

    def change(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is added to the picture (N×3×S×S), and the mask and the distortion before their sigmoid."""
        mean = image.mean((2, 3), keepdim=True)
        deviation = ((image - mean).square().mean((2, 3), keepdim=True) + 1e-4).sqrt()
        normalised = ((image - mean) / deviation).to(self.residual.weight.dtype)
        level1 = self.encoder1(self.stem(self.unshuffle(normalised)))
        level2 = self.encoder2(self.down1(level1))
        level3 = self.encoder3(self.down2(level2))
        embedding = self.view(level3, image, mean, deviation)
        level3 = self.bottleneck(level3 + self.view.join(embedding).to(level3)[:, :, None, None])
        level2 = self.generator2(self.up2(level3) + level2)
        level1 = self.generator1(self.up1(level2) + level1)
        residual = self.shuffle(self.residual(level1)).float()
        mask = self.shuffle(self.mask(level1)).float()
        affine = self.view.affine(embedding).float().view(-1, 3, 4)
        return apply_colour(affine, image) + residual, mask, self.view.classifier(embedding).float()


def apply_colour(affine: Tensor, image: Tensor) -> Tensor:
    """A 3×4 matrix per picture (N×3×4) on its RGB values (N×3×H×W)."""
    mixed = affine[:, :, :3] @ image.flatten(2) + affine[:, :, 3:]
    return mixed.view(image.shape)

"""Exposure, colour cast and uneven light, undone before anything else, from a small view of the whole picture.

What a wrong light costs is most of the error (Eq. 2: e, j; paper 002, §4.1), is smooth, and needs to know what a face
looks like, not what its pores do. So a small network looks at 48×48 averages, the same for every crop size, and gives a
3×4 colour affine and a smooth gain and offset of each place. It sees them twice: as they are, and with each channel's
mean and deviation taken out, so that one face looks alike under any exposure and cast. Alone, it trains at hundreds of
faces a second.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.degrade.operators import area, bilinear

VIEW = 48
"""Side of the small view."""
GRID = 12
"""Side of the grid that gains and offsets are given on."""
FLAT = 0.02
"""Added to a channel's deviation, so that noise in an even picture is not blown up."""


def pooled(image: Tensor, side: int) -> Tensor:
    """Averages of an image (N×C×S×S) on a grid of `side`."""
    matrix = area(side, image.shape[-1], image.device).to(image)
    return matrix @ image @ matrix.T


class Light(nn.Module):
    """Image (N×3×S×S, RGB, [0,1]) to the same under a neutral, even light (not clipped); at first, the same image."""

    def __init__(self, width: int = 32, embedding: int = 128) -> None:
        super().__init__()
        self.near = nn.Sequential(
            nn.Conv2d(6, width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip
        self.far = nn.Sequential(
            nn.Conv2d(2 * width, 3 * width, 3, 2, 1), nn.ReLU(), nn.Conv2d(3 * width, 3 * width, 3, 1, 1), nn.ReLU()
        )
        self.embed = nn.Sequential(
            nn.Linear(3 * width * (VIEW // 8) ** 2 + 12, 2 * embedding),
            nn.ReLU(),
            nn.Linear(2 * embedding, embedding),
            nn.ReLU(),
        )
        self.affine = nn.Linear(embedding, 12)
        self.degree = nn.Linear(embedding, 1)
        self.join = nn.Linear(embedding, 2 * width)
        self.spread = nn.Conv2d(3 * width, 2 * width, 1)
        self.local = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.ReLU(), nn.Conv2d(2 * width, 6, 3, 1, 1)
        )
        for layer in (self.affine, self.local[-1], self.degree):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        affine, grid = self.light(pooled(image, VIEW))
        return relight(image, affine, grid)

    def light(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Colour affine (N×3×4, zero: no change) and gains and offsets (N×6×12×12, zero likewise) of a view.

        Both are scaled by the picture's degree, a number in (0,2): near 0 for light that is right, 1 at first.
        """
        mean = view.mean((2, 3), keepdim=True)
        even = view - mean
        deviation = even.square().mean((2, 3), keepdim=True).sqrt() + FLAT
        near = self.near(torch.cat((even / deviation, (view - 0.45) * 4), 1))
        far = self.far(near)
        extent = [mean * 4 - 2, deviation * 8 - 2, view.amax((2, 3)) * 4 - 2, view.amin((2, 3)) * 4 - 1]
        embedding = self.embed(torch.cat([part.flatten(1) for part in (far, *extent)], 1))
        around = functional.interpolate(self.spread(far), scale_factor=2.0)
        grid = self.local(torch.relu(near + around + self.join(embedding)[:, :, None, None]))
        degree = 1 + self.degree(embedding).tanh()
        return degree[:, :, None] * self.affine(embedding).view(-1, 3, 4), degree[:, :, None, None] * grid


def relight(image: Tensor, affine: Tensor, grid: Tensor) -> Tensor:
    """image (N×3×S×S) + affine of its colours, then the grid's gains and offsets, smoothly between its points."""
    mixed = affine[:, :, :3] @ image.flatten(2) + affine[:, :, 3:]
    matrix = bilinear(image.shape[-1], GRID, image.device).to(image)
    gain, offset = (matrix @ grid @ matrix.T).chunk(2, 1)
    return (image + mixed.view(image.shape)) * (1 + gain) + offset

"""What cameras and their software do to a face, as seeded tensor operations: a degradation of second order.

Eq. 2 of the paper (`train.degrade.pipeline`) spoils a picture once, at its own size. A real face comes through a
chain: little or wrong light, a lens out of focus or a hand that moves, few pixels, a sensor's noise, the camera's
denoiser and sharpening, a codec, and often a second round of resizing and compression in a meeting program or on the
web (Wang et al., "Real-ESRGAN", ICCVW 2021, §3). The order here is that of the chain.

Pictures are spoiled in groups. A group shares what has no size of its own in a tensor (the small side, which
operations run, how it is resized); each picture in it has its own amounts. Every draw comes from (seed, group), so that
any number of processes spoils a batch alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from train.degrade import kernels
from train.degrade.h264 import h264
from train.degrade.jpeg import jpeg
from train.degrade.pipeline import REFERENCE, Range, Sampler, screen_light, side_shade

LUMA = (0.299, 0.587, 0.114)
GAMMA = 2.2
"""Power that takes a picture's values to linear light."""
VISIBLE = 6 / 255
"""Root mean square change that counts as a whole fault in a label; a smaller one counts in part."""


@dataclass(frozen=True)
class Camera:
    """Ranges of the chain. Lengths are in pixels at 336 px and scale with the crop; levels are of 255.

    Probabilities are of each round, except `light` (once) and `untouched` (of a whole group).
    """

    untouched: float = 0.08
    """A good camera in good light: nothing is spoiled."""
    light: float = 0.45
    exposure: Range = (0.08, 1.5)
    """Linear gain, drawn evenly in its logarithm; most draws are below 1, as most bad light is too little."""
    cast: float = 0.35
    """Largest logarithm of a channel's own linear gain."""
    kernel: float = 0.5
    softness: Range = (0.3, 4.0)
    """Deviation of a Gaussian kernel."""
    motion: Range = (3, 17)
    disc: Range = (1, 6)
    """Radius of a lens out of focus."""
    small: float = 0.75
    least_side: int = 24
    """Pixels of the smallest face's crop."""
    noise: float = 0.75
    levels: Range = (1, 18)
    """Deviation, drawn evenly in its logarithm."""
    denoiser: float = 0.3
    sharpening: float = 0.25
    codec: float = 0.8
    quality: Range = (15, 96)
    """Of JPEG."""
    video: float = 0.35
    """Share of H.264 among the codecs."""
    step: Range = (22, 42)
    """H.264's quantisation parameter."""
    again: float = 0.4
    """A second round, at a size and with amounts of its own."""
    group: int = 4


CAMERA = Camera()


def spoil(
    images: Tensor, settings: Camera, seed: tuple[int, ...], first: int = 0, total: int | None = None
) -> tuple[Tensor, Tensor]:
    """Spoiled images (N×3×H×W, RGB, [0,1], 8-bit steps) and labels (N×3 in [0,1]: noise, blur, relight).

    A label is the share of a visible fault (`VISIBLE`) that a kind has in the picture, at most 1.
    seed: names the batch. first, total: the images are those from place `first` of a batch of `total`.
    """
    total, last = total or len(images), first + len(images)
    spoiled, labels = [], []
    for start in range(0, total, settings.group):
        stop = min(start + settings.group, total)
        own = slice(max(first, start), min(last, stop))
        if own.start >= own.stop:
            continue
        chain = Chain(settings, (*seed, start), stop - start, slice(own.start - start, own.stop - start), images.device)
        pictures, found = chain.run(images[own.start - first : own.stop - first])
        spoiled.append(pictures)
        labels.append(found)
    return torch.cat(spoiled), torch.cat(labels)


class Chain:
    """The chain of one group. `structure` draws what the group shares, `draw` what each picture has for itself."""

    def __init__(
        self, settings: Camera, seed: tuple[int, ...], count: int, own: slice, device: torch.device | str
    ) -> None:
        self.settings = settings
        self.structure = np.random.default_rng(seed)
        generator = torch.Generator(device).manual_seed(int(self.structure.integers(2**62)))
        self.draw = Sampler(generator, count, own)

    def chance(self, probability: float) -> bool:
        return bool(self.structure.random() < probability)

    def between(self, bounds: Range) -> float:
        return float(self.structure.uniform(*bounds))

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The group's pictures through the chain, and their labels."""
        if self.chance(self.settings.untouched):
            return images.clone(), images.new_zeros(len(images), 3)
        lit = self.light(images) if self.chance(self.settings.light) else images
        x, blur, noise = lit, images.new_zeros(len(images)), images.new_zeros(len(images))
        for _ in range(1 + self.chance(self.settings.again)):
            soft, spoiled = self.round(x)
            blur, noise = torch.maximum(blur, change(x, soft)), torch.maximum(noise, change(soft, spoiled))
            x = spoiled
        relight = change(blurred(images), blurred(lit))
        return (x * 255).round().clamp(0, 255) / 255, torch.stack((noise, blur, relight), 1)

    def round(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """One round: what is soft after the lens and the resizing, and that with noise and the codec's loss."""
        height, width = size = x.shape[-2], x.shape[-1]
        if self.chance(self.settings.kernel):
            x = self.lens(x, width / REFERENCE)
        few = size
        if self.chance(self.settings.small):
            least = min(self.settings.least_side, width)
            side = round(math.exp(self.between((math.log(least), math.log(width)))))
            few = max(round(height * side / width), 1), side
        enlarge = self.resizing(("bilinear", "bicubic"))
        small = self.resizing(("area", "bilinear", "bicubic"))(x, few).clamp(0, 1)
        soft = enlarge(small, size).clamp(0, 1)
        for probability, operation in (
            (self.settings.noise, self.sensor),
            (self.settings.denoiser, self.denoiser),
            (self.settings.sharpening, self.sharpen),
            (self.settings.codec, self.codec),
        ):
            if self.chance(probability):
                small = operation(small).clamp(0, 1)
        return soft, enlarge(small, size).clamp(0, 1)

    def resizing(self, modes: tuple[str, ...]) -> Callable[[Tensor, tuple[int, int]], Tensor]:
        """One of the modes, to (height, width); averaged over what a pixel covers, or, as cheap scalers do, not."""
        mode, smooth = modes[self.structure.integers(len(modes))], self.chance(0.8)

        def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
            if size == tuple(x.shape[-2:]):
                return x
            if mode == "area":
                return functional.interpolate(x, size, mode="area")
            return functional.interpolate(x, size, mode=mode, align_corners=False, antialias=smooth)

        return resize

    def light(self, x: Tensor) -> Tensor:
        """Exposure and cast in linear light, then perhaps a screen's light or one side in the shade."""
        low, high = (math.log(bound) for bound in self.settings.exposure)
        gain = self.draw.uniform((low, high), 1, 1, 1)
        # half of the pictures are within a stop of right, where most cameras are
        gain = torch.where(self.draw.coin(0.5)[:, None, None, None], gain, 0.35 * gain).exp()
        cast = self.draw.uniform((-self.settings.cast, self.settings.cast), 3, 1, 1)
        cast = torch.where(self.draw.coin(0.6)[:, None, None, None], cast - cast.mean(1, keepdim=True), 0 * cast).exp()
        lit = (x.clamp_min(0).pow(GAMMA) * gain * cast).clamp(0, 1).pow(1 / GAMMA)
        for probability, operation in ((0.25, screen_light), (0.3, side_shade)):
            if self.chance(probability):
                lit = operation(lit, self.draw)
        if self.chance(0.15):
            # light from behind scatters in the lens
            veil = self.draw.uniform((0, 0.25), 1, 1, 1)
            lit = lit * (1 - veil) + veil * self.draw.uniform((0.3, 0.9), 1, 1, 1)
        return lit.clamp(0, 1)

    def lens(self, x: Tensor, scale: float) -> Tensor:
        """One kind of kernel: an even or uneven Gaussian, a disc out of focus, or motion along a line."""
        kind = self.structure.choice(4, p=(0.35, 0.3, 0.15, 0.2))
        softness, angle = self.draw.uniform(self.settings.softness) * scale, self.draw.uniform((0, math.pi))
        if kind == 0:
            return kernels.convolve(x, kernels.gaussian(softness, softness, angle))
        if kind == 1:
            return kernels.convolve(x, kernels.gaussian(softness, softness * self.draw.uniform((0.15, 0.7)), angle))
        if kind == 2:
            return kernels.convolve(x, kernels.disc(self.draw.uniform(self.settings.disc) * scale))
        return kernels.convolve(x, kernels.line(self.draw.uniform(self.settings.motion) * scale, angle))

    def sensor(self, x: Tensor) -> Tensor:
        """Read noise that is even and shot noise that grows with light; grey or coloured, fine or in blotches."""
        low, high = (math.log(bound) for bound in self.settings.levels)
        level = self.draw.uniform((low, high), 1, 1, 1).exp() / 255
        noise = self.draw.normal(x)
        grey = self.draw.coin(0.4)[:, None, None, None]
        noise = torch.where(grey, noise[:, :1].expand_as(noise), noise)
        if self.chance(0.4):
            smooth = kernels.convolve(noise, kernels.gaussian(*(self.draw.uniform((0.5, 1.6)),) * 2))
            noise = smooth * (spread(noise) / spread(smooth).clamp_min(1e-6))
        # gamma lifts what is dark, so that shot noise, too, is strongest there on the screen
        shot = self.draw.uniform((0, 1), 1, 1, 1)
        dark = (1.4 - x.mean(1, keepdim=True)).clamp(0.4, 1.4)
        return x + noise * level * (1 - shot + shot * dark)

    def denoiser(self, x: Tensor) -> Tensor:
        """As a camera's: what differs little from its surroundings is smeared, colour is kept coarsely."""
        weights = x.new_tensor(LUMA)[:, None, None]
        luma = (x * weights).sum(1, keepdim=True)
        width = self.draw.uniform((0.7, 2.2))
        smooth = kernels.convolve(luma, kernels.gaussian(width, width))
        tolerance = self.draw.uniform((0.02, 0.09), 1, 1, 1)
        edge = 1 - torch.exp(-((luma - smooth) / tolerance).square())
        colour = x - luma
        width = self.draw.uniform((0.8, 3.0))
        return smooth + (luma - smooth) * edge + kernels.convolve(colour, kernels.gaussian(width, width))

    def sharpen(self, x: Tensor) -> Tensor:
        """Unsharp mask, with the halo that it leaves."""
        width = self.draw.uniform((0.5, 1.6))
        smooth = kernels.convolve(x, kernels.gaussian(width, width))
        return x + self.draw.uniform((0.3, 1.5), 1, 1, 1) * (x - smooth)

    def codec(self, x: Tensor) -> Tensor:
        """JPEG or H.264 at the small size, its blocks anywhere on the face."""
        row, column = (int(v) for v in self.structure.integers(0, 8, 2))
        height, width = x.shape[-2:]
        moved = functional.pad(x, (column, 0, row, 0), mode="replicate")
        if self.chance(self.settings.video):
            coded = h264(moved, self.draw.uniform(self.settings.step))
        else:
            coded = jpeg(moved, self.draw.uniform(self.settings.quality))
        return coded[..., row : row + height, column : column + width]


def blurred(x: Tensor) -> Tensor:
    """Coarse light: averages of a 24th of the side."""
    return functional.avg_pool2d(x, max(x.shape[-1] // 24, 1))


def spread(noise: Tensor) -> Tensor:
    """Deviation of each picture (N×1×1×1)."""
    return noise.square().mean((1, 2, 3), keepdim=True).sqrt()


def change(before: Tensor, after: Tensor) -> Tensor:
    """How far a change is visible (N in [0,1])."""
    error = (after - before).square().mean((1, 2, 3)).sqrt()
    return (error / VISIBLE).clamp(0, 1)

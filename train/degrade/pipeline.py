"""The paper's degradation (002, Eq. 2 and Algorithm 1) as seeded tensor operations over a batch, on any device.

Eq. 2: LQ = JPEG_q[ (down_r(HQ) · exposure_e · jitter_j · chromatic_γ + noise_δ) ⊗ gauss_σ ]. The paper leaves open, and
is read here as: each operation is applied to a distorted picture with probability 0.48 (which gives the input figures
of the paper's kind, about 20.3 dB), at least one always; what is scaled down is scaled up again at once; chromatic is
lateral chromatic aberration, red and blue γ pixels apart from green; jitter is brightness, contrast, saturation (a
factor within 1 ± j, as ColorJitter draws it) and hue (within ± j of a turn); a quality below 1 counts as 1. Algorithm 1
puts jitter after JPEG, Eq. 2 and the text put JPEG last: so it is here.
Lengths in pixels (γ, σ) hold at 336 px and scale with the crop's side. Screen illumination in space, motion blur,
chroma noise, sharpening and faces far from the camera are beside the paper and off in `PAPER`, which evaluation uses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from train.degrade import operators
from train.degrade.jpeg import jpeg

Range = tuple[float, float]
REFERENCE = 336
BLURRED = 1.5
"""A face enlarged by this factor is called blurred."""


@dataclass(frozen=True)
class Degradation:
    """Ranges of Eq. 2 as the paper gives them (§4.1), probabilities, and what is added for webcams."""

    downscale: Range = (2, 4)
    exposure: Range = (0.4, 1.5)
    jitter: Range = (0.1, 0.2)
    chromatic: Range = (1, 1.5)
    noise: Range = (0.01, 0.11)
    blur: Range = (0.2, 5)
    quality: Range = (0, 100)
    percent_dist: float = 0.85
    probability: float = 0.48
    screen: float = 0.0
    shade: float = 0.0
    motion: float = 0.0
    chroma_noise: float = 0.0
    sharpening: float = 0.0
    """Probability of a camera's own sharpening, which its compression then follows."""
    taken: int | None = None
    """Side in pixels of the crop in the camera's picture, if it is smaller than here: all of Eq. 2 happens there, and
    the crop is what enlarging leaves of it."""


PAPER = Degradation()
DISTORTED = Degradation(percent_dist=1.0)
"""The same on every picture: what evaluation measures on."""
WEBCAM = Degradation(screen=0.15, shade=0.15, motion=0.1, chroma_noise=0.15)
"""What FRR-Net is trained on: Eq. 2, and light from a screen or a side, motion, and blotchy sensor noise."""

GENTLE = Degradation((1, 2), (0.92, 1.08), (0, 0.04), (0, 1), (0.005, 0.03), (0.2, 1.5), (40, 98), probability=0.3)
"""What a fair webcam does: faults that a heavy hand would make worse."""

FAR = Degradation(
    downscale=(1, 2),
    noise=(0.01, 0.08),
    blur=(0.2, 3),
    quality=(20, 95),
    screen=0.15,
    shade=0.15,
    motion=0.1,
    chroma_noise=0.2,
    sharpening=0.4,
)
"""A face that is small in the camera's picture: its noise and its JPEG blocks are coarse once the crop has enlarged
them, and a network that knows fine ones only takes them for detail and sharpens them. `far` draws how small."""
LEAST_SIDE = 80
"""Side in pixels of the smallest crop that a camera takes: a face of some 40."""


class Sampler:
    """Draws for `count` pictures from one generator, a function of its seed, and keeps those of `own`."""

    def __init__(self, generator: torch.Generator, count: int, own: slice = slice(None)) -> None:
        self.generator, self.count, self.own, self.device = generator, count, own, generator.device

    def uniform(self, bounds: Range, *shape: int) -> Tensor:
        low, high = bounds
        draws = torch.rand(self.count, *shape, generator=self.generator, device=self.device)
        return low + (high - low) * draws[self.own]

    def coin(self, probability: float) -> Tensor:
        return self.uniform((0, 1)) < probability

    def signed(self, bounds: Range) -> Tensor:
        """Within ± a strength that is itself drawn from `bounds`."""
        return self.uniform(bounds) * self.uniform((-1, 1))

    def normal(self, images: Tensor) -> Tensor:
        shape = (self.count, *images.shape[1:])
        return torch.randn(shape, generator=self.generator, device=self.device)[self.own]


Operation = Callable[[Tensor, Sampler], Tensor]


def degrade(
    images: Tensor, settings: Degradation, generator: torch.Generator, first: int = 0, total: int | None = None
) -> tuple[Tensor, Tensor]:
    """Degraded images (N×3×S×S, RGB, [0,1], 8-bit steps) and labels (N×3: noise, blur, relight).

    Each picture is distorted with probability `percent_dist`, else returned as it came. (Algorithm 1 counts off the
    first 85 % of a batch instead: of four pictures, that is all of them.)
    first, total: the images are those from place `first` of a batch of `total`, and degraded as they are in it.
    """
    total, last = total or len(images), first + len(images)
    draw = Sampler(generator, total)
    if settings.taken is not None and settings.taken < images.shape[-1]:
        return degrade_far(images, settings, settings.taken, generator, first, total)
    # drawn only where it decides something: held-out faces, distorted all, keep the draws that they have always had
    distorted = torch.ones(total, dtype=torch.bool, device=images.device)
    if settings.percent_dist < 1:
        distorted = draw.coin(settings.percent_dist)
    down, exposed, jittered, chromatic, noisy, blurred, compressed = choose(draw, settings.probability, distorted)
    lit, shaded, moving, blotchy = (
        draw.coin(p) & distorted for p in (settings.screen, settings.shade, settings.motion, settings.chroma_noise)
    )
    sharpened = torch.zeros_like(distorted)
    if settings.sharpening > 0:
        sharpened = draw.coin(settings.sharpening) & distorted
    scale = images.shape[-1] / REFERENCE
    operations: tuple[tuple[Tensor, Operation], ...] = (
        (down, lambda x, d: downscale(x, d.uniform(settings.downscale))),
        (lit, screen_light),
        (shaded, side_shade),
        (exposed, lambda x, d: x * d.uniform(settings.exposure, 3, 1, 1)),
        (jittered, lambda x, d: colour_jitter(x, *(d.signed(settings.jitter) for _ in range(4)))),
        (chromatic, lambda x, d: aberration(x, d.uniform(settings.chromatic) * scale, d.uniform((0, 2 * math.pi)))),
        (noisy, lambda x, d: x + d.normal(x) * d.uniform(settings.noise, 1, 1, 1)),
        (blotchy, lambda x, d: x + chroma_noise(x, d, scale)),
        (moving, lambda x, d: motion_blur(x, d, scale)),
        (blurred, lambda x, d: blur(x, d.uniform(settings.blur) * scale)),
        (sharpened, lambda x, d: sharpen(x, d.uniform((0.3, 1.5)), d.uniform((0.5, 1.2)))),
        (compressed, lambda x, d: jpeg(x, d.uniform(settings.quality))),
    )
    x = images.clone()
    # how many pictures before each place get the operation, copied from the device once
    before = functional.pad(torch.stack([chosen for chosen, _ in operations]).long().cumsum(1), (1, 0)).tolist()
    for (chosen, operation), places in zip(operations, before, strict=True):
        if places[-1]:
            # their positions, of which the host knows the number: for a mask it would wait for the device, twice
            mine = (~chosen[first:last]).byte().argsort(stable=True)[: places[last] - places[first]]
            sampler = Sampler(generator, places[-1], slice(places[first], places[last]))
            x[mine] = operation(x[mine], sampler).clamp(0, 1)
    x = torch.where(distorted[first:last, None, None, None], (x * 255).round() / 255, x)
    labels = (noisy | blotchy | compressed | chromatic, blurred | down | moving, exposed | jittered | lit | shaded)
    return x, torch.stack(labels, 1)[first:last].float()


def far(size: int, draw: float) -> Degradation:
    """`FAR` for crops of side `size`, taken at one down to `LEAST_SIDE`, evenly in its logarithm (draw: [0,1])."""
    return replace(FAR, taken=round(size * (min(LEAST_SIDE, size) / size) ** draw))


def degrade_far(
    images: Tensor, settings: Degradation, side: int, generator: torch.Generator, first: int, total: int
) -> tuple[Tensor, Tensor]:
    """As `degrade`, by a camera that takes the faces at `side` pixels; enlarged `BLURRED` times they count as such."""
    size, device = images.shape[-1], images.device
    down, up = operators.area(side, size, device), operators.bilinear(size, side, device)
    small = operators.apply(down, down, images)
    taken, labels = degrade(small, replace(settings, taken=None), generator, first, total)
    if size >= BLURRED * side:
        labels[:, 1] = 1
    return (operators.apply(up, up, taken) * 255).round() / 255, labels


def choose(draw: Sampler, probability: float, distorted: Tensor) -> tuple[Tensor, ...]:
    """Which of the seven operations each picture gets (seven of N): independent coins, at least one up if distorted."""
    chosen = torch.stack([draw.coin(probability) for _ in range(7)], 1)
    forced = functional.one_hot(draw.uniform((0, 7)).long(), 7).bool()
    return (torch.where(chosen.any(1, keepdim=True), chosen, forced) & distorted[:, None]).unbind(1)


def downscale(x: Tensor, ratio: Tensor) -> Tensor:
    """Down by `ratio` (N) and up to the old size."""
    matrix = operators.downscale(ratio, x.shape[-1])
    return operators.apply(matrix, matrix, x)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of deviation `sigma` (N, pixels)."""
    matrix = operators.gaussian(sigma, x.shape[-1])
    return operators.apply(matrix, matrix, x)


def sharpen(x: Tensor, amount: Tensor, sigma: Tensor) -> Tensor:
    """Unsharp mask: what is finer than a Gaussian of `sigma` (N, pixels) made 1 + `amount` (N) times as strong."""
    return x + amount[:, None, None, None] * (x - blur(x, sigma))


def colour_jitter(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Signed changes (N each): factors 1 + v on brightness, contrast (about mean grey), saturation; hue in turns."""
    luma = torch.tensor([0.299, 0.587, 0.114], device=x.device)[:, None, None]
    factor = [(1 + v)[:, None, None, None] for v in (brightness, contrast, saturation)]
    x = (x * factor[0]).clamp(0, 1)
    grey = (x * luma).sum((1, 2, 3), keepdim=True) / x.shape[2:].numel()
    x = (grey + (x - grey) * factor[1]).clamp(0, 1)
    grey = (x * luma).sum(1, keepdim=True)
    x = (grey + (x - grey) * factor[2]).clamp(0, 1)
    return turn_hue(x, hue)


def turn_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Hue (HSV) turned by `turns` (N, fractions of the circle)."""
    value, brightest = x.max(1)
    spread = value - x.amin(1)
    red, green, blue = (x / spread.clamp_min(1e-6)[:, None]).unbind(1)
    sector = torch.stack((green - blue, 2 + blue - red, 4 + red - green), 1).gather(1, brightest[:, None])[:, 0]
    sector = sector + 6 * turns[:, None, None]
    k = (torch.tensor([5.0, 3, 1], device=x.device)[:, None, None] + sector[:, None]) % 6
    return value[:, None] - spread[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def aberration(x: Tensor, pixels: Tensor, angle: Tensor) -> Tensor:
    """Lateral chromatic aberration: red moved by `pixels` along `angle`, blue against it (N each)."""
    sign = torch.tensor([1.0, 0, -1], device=x.device)
    along = (pixels[:, None, None] * torch.stack((angle.sin(), angle.cos()), 1)[:, :, None]) * sign
    rows, columns = (operators.shift(along[:, axis], x.shape[-1]) for axis in (0, 1))
    return operators.apply(rows, columns, x)


def motion_blur(x: Tensor, draw: Sampler, scale: float) -> Tensor:
    """Uniform motion along the rows or the columns, 3 to 17 px at 336."""
    length = draw.uniform((3, 17)) * scale
    upright = draw.coin(0.3)
    rows = operators.motion(torch.where(upright, length, 1.0).clamp_min(1), x.shape[-1])
    columns = operators.motion(torch.where(upright, 1.0, length).clamp_min(1), x.shape[-1])
    return operators.apply(rows, columns, x)


def chroma_noise(x: Tensor, draw: Sampler, scale: float) -> Tensor:
    """Noise as a cheap sensor's denoiser leaves it: coloured blotches of a few pixels, stronger in dark parts."""
    matrix = operators.gaussian(draw.uniform((0.6, 2.0)) * scale, x.shape[-1])
    energy = (matrix[:, x.shape[-1] // 2].square().sum(1))[:, None, None, None]
    noise = operators.apply(matrix, matrix, draw.normal(x)) / energy
    noise = noise + (noise.mean(1, keepdim=True) - noise) * draw.uniform((0, 0.6), 1, 1, 1)
    return noise * draw.uniform((0.01, 0.07), 1, 1, 1) * (1.3 - x.mean(1, keepdim=True))


def grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (S×1 and 1×S) in [−1, 1]."""
    line = torch.linspace(-1, 1, x.shape[-1], device=x.device)
    return line[:, None], line[None, :]


def screen_light(x: Tensor, draw: Sampler) -> Tensor:
    """A smooth coloured light, as a screen in front of and mostly below the face throws it."""
    row, column = grid(x)
    centre_row, centre_column = draw.uniform((-0.4, 1.4), 1, 1), draw.uniform((-1.2, 1.2), 1, 1)
    tall, wide = draw.uniform((0.5, 1.4), 1, 1), draw.uniform((0.5, 1.4), 1, 1)
    falloff = torch.exp(-(((row - centre_row) / tall).square() + ((column - centre_column) / wide).square()))
    colour = draw.uniform((0.1, 1), 3, 1, 1) * draw.uniform((0.15, 0.6), 1, 1, 1)
    ambient = draw.uniform((0.4, 1), 1, 1, 1)
    light = colour * falloff[:, None]
    # most of it is reflected by the skin's own colour, a little is veil
    return (x * (ambient + 1.5 * light) + 0.15 * light).clamp(0, 1)


def side_shade(x: Tensor, draw: Sampler) -> Tensor:
    """One side darker than the other: a lamp or a window beside the face."""
    row, column = grid(x)
    angle, width = draw.uniform((0, 2 * math.pi), 1, 1), draw.uniform((0.3, 1), 1, 1)
    across = row * angle.sin() + column * angle.cos() - draw.uniform((-0.5, 0.5), 1, 1)
    dark = draw.uniform((0.35, 0.85), 1, 1)
    gain = dark + (draw.uniform((1, 1.25), 1, 1) - dark) * torch.sigmoid(across / width * 3)
    return (x * gain[:, None]).clamp(0, 1)

"""The ablations as tables (Markdown) and a figure: gains over the input, with 95 % bootstrap intervals over faces."""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from train.ablate.variants import BASE, GROUPS, SEEDS, SMALL, TRADE, Group, Result
from train.common import statistics
from train.common.statistics import Figure

COLUMNS = (
    *("variant", "images", "parameters", "GMAC", "input PSNR", "PSNR", "gain, dB", "against the first"),
    *("SSIM", "against the first", "F1", ""),
)
TRADED = ("psnr", "ssim", "identity", "sharpness")
TRADE_COLUMNS = (
    *("variant", "images", "PSNR", "against the first", "SSIM", "against the first"),
    *("identity", "against the first", "sharpness", "against the first"),
)


def head(columns: tuple[str, ...]) -> str:
    """A table's first two lines."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def gain(result: Result, metric: str) -> Tensor:
    """What the network adds to its input's score, per face."""
    return torch.tensor(result[metric]) - torch.tensor(result[f"input_{metric}"])


@dataclass(frozen=True)
class Noise:
    """Difference of means below which two variants may differ by their seeds alone: 2·√2 deviations of the seeds'."""

    psnr: float
    ssim: float

    @classmethod
    def of(cls, results: dict[str, Result]) -> "Noise":
        """From the base's seeds."""
        spread = (stdev(float(gain(results[name], metric).mean()) for name in SEEDS) for metric in ("psnr", "ssim"))
        return cls(*(2 * sqrt(2) * deviation for deviation in spread))


def against(result: Result, reference: Result, metric: str) -> Figure:
    """Mean difference of the gains, face by face."""
    return statistics.known(statistics.mean(gain(result, metric) - gain(reference, metric)))


def certain(difference: Figure, noise: float) -> bool:
    """Whether neither the choice of faces nor the seed explains the difference."""
    return (difference.low > 0 or difference.high < 0) and abs(difference.value) > noise


def verdict(psnr: Figure, ssim: Figure, noise: Noise) -> str:
    """better, worse, both, or within the noise."""
    signs = {f.value > 0 for f, floor in ((psnr, noise.psnr), (ssim, noise.ssim)) if certain(f, floor)}
    if not signs:
        return "within the noise"
    return "better in one, worse in the other" if len(signs) == 2 else "better" if signs.pop() else "worse"


def row(name: str, result: Result, reference: Result, noise: Noise) -> str:
    psnr, ssim = (against(result, reference, metric) for metric in ("psnr", "ssim"))
    first = result is reference
    means = {name: fmean(result[name]) for name in ("input_psnr", "psnr", "ssim")}
    cells = (
        name,
        str(result["images"]),
        f"{result['parameters']:.2f} M",
        f"{result['gmac']:.2f}",
        f"{means['input_psnr']:.2f}",
        f"{means['psnr']:.2f}",
        f"{statistics.known(statistics.mean(gain(result, 'psnr'))):+.2f}",
        "" if first else f"{psnr:+.2f}",
        f"{means['ssim']:.3f}",
        "" if first else f"{ssim:+.3f}",
        f"{result['f1']:.2f}" if result["variant"]["weights"]["classifier"] else "",
        "" if first else verdict(psnr, ssim, noise),
    )
    return f"| {' | '.join(cells)} |"


def trade_row(name: str, result: Result, reference: Result) -> str:
    """Each figure, and its mean difference from the first variant's."""
    cells = [name, str(result["images"])]
    for metric, digits in zip(TRADED, (2, 3, 3, 2), strict=True):
        difference = f"{against(result, reference, metric):+.{digits}f}"
        cells += [f"{fmean(result[metric]):.{digits}f}", "" if result is reference else difference]
    return f"| {' | '.join(cells)} |"


def trade(results: dict[str, Result]) -> str:
    """The losses that sharpen, and what each costs."""
    reference = results[TRADE.names[0]]
    before = {metric: fmean(reference[f"input_{metric}"]) for metric in TRADED}
    begin, size = (reference["variant"][key] for key in ("begin", "size"))
    text = f"""## {TRADE.title}

Each from `train/checkpoints/{begin}`, at {size} px. Sharpness is the deviation of what is finer than
5×5 pixels over the original's (`metrics.sharpness`): 1 is as sharp, less is blurred. The degraded input has PSNR
{before["psnr"]:.2f}, SSIM {before["ssim"]:.3f}, identity {before["identity"]:.3f}, sharpness {before["sharpness"]:.2f}
(noise counts as sharp). The face network of the identity is that of the perceptual and identity losses.

![Degraded, each variant in the table's order, original](trade.png)
"""
    lines = (trade_row(name, results[name], reference) for name in TRADE.names)
    return "\n".join((text, head(TRADE_COLUMNS), *lines))


def table(group: Group, results: dict[str, Result], noise: Noise) -> str:
    if group is TRADE:
        return trade(results)
    reference = results[group.names[0]]
    lines = (row(name, results[name], reference, noise) for name in group.names)
    return "\n".join((f"## {group.title}\n", head(COLUMNS), *lines))


def page(results: dict[str, Result], command: str) -> str:
    """The whole page, in Markdown."""
    noise = Noise.of(results)
    faces, images = len(results[BASE]["psnr"]), results[BASE]["images"]
    large = results["336 px"]["images"]
    head = f"""# Ablations at small scale

`{command}`

- **Small scale**: {images:,} images at {SMALL} px each, against the paper's 4,000,000 at 336; the sizes {large} each.
  Which part helps so early is seen here, not what it is worth in the end.
- Each variant is trained from the same seed on the same faces under the same degradation. The losses one by one have
  the paper's weights, the base the short training's (`losses.Weights`). LPIPS, which the perceptual loss serves, is not
  measured. "no classifier" trains none and joins no view to the encoder's features; the light network stays. The base
  trains the light network and the detail's gates along with all else, the shipped weights had them trained alone first.
- Stem 1 is the paper's layout: it has convolutions of 64 channels that the others have not (`frrnet.LAYOUTS`), and no
  detail branch, which a stem makes necessary.
- **Measured** on {faces} held-out faces, each distorted by Eq. 2 at the variant's own size, without the gate. A gain is
  what the network adds to its input's score. In brackets: the 95 % interval of the mean gain's difference from the
  group's first variant (1,000 resamplings of the faces).
- **Noise**: the same training was run with three seeds. A difference whose interval holds zero, or that is smaller than
  2·√2 deviations of those three (PSNR {noise.psnr:.2f} dB, SSIM {noise.ssim:.3f}), is called "within the noise".
- F1 is the classifier's, over noise, blur and relight. GMAC and parameters: `python -m train architecture`.

![Gains of every variant](ablations.png)
"""
    return "\n\n".join((head, *(table(group, results, noise) for group in GROUPS))) + "\n"


def draw(results: dict[str, Result], path: Path) -> None:
    """Gains in PSNR and SSIM with their intervals, and GMAC, one line for each variant of each group."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = [(group, name) for group in GROUPS for name in group.names]
    places = [-i - 1.2 * GROUPS.index(group) for i, (group, _) in enumerate(lines)]
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.3 * len(lines) + 2), sharey=True, layout="constrained")
    for place, (group, name) in zip(places, lines, strict=True):
        colour = f"C{GROUPS.index(group)}"
        for axis, metric in zip(axes, ("psnr", "ssim"), strict=False):
            found = statistics.known(statistics.mean(gain(results[name], metric)))
            axis.plot((found.low, found.high), (place, place), color=colour)
            axis.plot(found.value, place, "o", color=colour)
        axes[2].barh(place, results[name]["gmac"], color=colour)
    for group in GROUPS:
        first = places[lines.index((group, group.names[0]))]
        axes[0].annotate(group.title, (0, first + 0.6), xycoords=("axes fraction", "data"), weight="bold", size=9)
    axes[0].set_yticks(places, [name for _, name in lines])
    axes[0].set_ylim(min(places) - 1, 2)
    axes[2].set_xscale("log")
    for axis, title in zip(axes, ("PSNR over the input, dB", "SSIM over the input", "GMAC"), strict=True):
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)

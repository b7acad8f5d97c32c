"""Does a network serve every skin tone alike? What of the difference is its own, what the pictures', what chance's.

Faces of one tone differ from those of another in more than their skin: in light, in sharpness, in hair and glasses. So
beside the PSNR of the restored face stands that of its original under one slight blur, which knows no network; what is
left between the two is the network's. And a few dozen faces never have the same mean: the same faces dealt to the tones
by lot tell how far apart those would be of a network that does not see skin (a permutation test).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray
from torch import Tensor

from train.common import metrics, statistics
from train.common.images import resize
from train.common.statistics import Contrast, Figure
from train.data import skin_tone
from train.data.faces import STILL, Faces, batch
from train.degrade.pipeline import DISTORTED, degrade
from train.evaluate.measure import REFERENCE, SEED, Restorer, blurred_psnr
from train.evaluate.timing import Progress, silent

CHUNK = 8
STATES = {"restored": "restored", "blurred": "original, blurred", "beyond": "restored less blurred"}
"""What is compared, with its heading. PSNR in dB; the last one is a difference of two."""

EXPLAINED = """\
*Original, blurred* is each face's original under one slight blur and no network: how finely textured the pictures
are. What is left between the two is the network's part. A mean's 95 % interval stands behind it. *Chance* is the
spread of the same faces dealt to the tones by lot (the median of many draws), and p the share of draws that spread
as far as the tones do."""


@dataclass(frozen=True)
class Tones:
    """One restorer's PSNR by skin tone: bins with enough faces, lightest first."""

    model: str
    size: int
    faces: dict[str, int]
    means: dict[str, dict[str, Figure]]
    """By state (see `STATES`) and tone."""
    contrast: dict[str, Contrast]
    """By state."""


def psnr(
    restorers: Sequence[tuple[Restorer, int]],
    faces: Faces,
    positions: NDArray[np.int64],
    draws: int,
    progress: Progress = silent,
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """ITA of the faces at these positions (N), and of each restorer (with its size) their PSNR by state (N each).

    Each face is degraded by Eq. 2 `draws` times, of which it gets the mean; every restorer sees the same pictures.
    Raises as `compared`, and before anything is restored.
    """
    chunks = [positions[start : start + CHUNK] for start in range(0, len(positions), CHUNK)]
    angles = torch.cat([skin_tone.angles(*still(faces, chunks[i])) for i in progress(range(len(chunks)), "tones")])
    compared(angles)
    found: list[dict[str, list[Tensor]]] = [{"restored": [], "blurred": []} for _ in restorers]
    generator = torch.Generator().manual_seed(SEED)
    for i in progress(range(len(chunks)), "restoring"):
        target, _ = still(faces, chunks[i])
        spoilt = [degrade(target, DISTORTED, generator)[0] for _ in range(draws)]
        for (restore, size), columns in zip(restorers, found, strict=True):
            small = resize(target, size).clamp(0, 1)
            after = [metrics.psnr(small, restore(resize(one, size).clamp(0, 1))[0]) for one in spoilt]
            columns["restored"].append(torch.stack(after).mean(0))
            columns["blurred"].append(blurred_psnr(small))
    return angles, [{state: torch.cat(parts) for state, parts in columns.items()} for columns in found]


def still(faces: Faces, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
    """Faces and their masks, aligned as they are."""
    return batch(faces, chosen, REFERENCE, STILL, np.random.default_rng(SEED))


def compared(angles: Tensor) -> dict[str, Tensor]:
    """Positions of the faces in each tone that has enough of them. ValueError where fewer than two tones have."""
    bins = skin_tone.comparable(skin_tone.members(angles))
    if len(bins) < 2:
        raise ValueError(
            f"of {len(angles)} faces fewer than two tones have {skin_tone.ENOUGH}: look at more of them (--faces)"
        )
    return bins


def compare(model: str, size: int, angles: Tensor, values: Mapping[str, Tensor]) -> Tones:
    """The tones' means and how far apart they are; raises as `compared`."""
    bins = compared(angles)
    states = {**values, "beyond": values["restored"] - values["blurred"]}
    return Tones(
        model,
        size,
        {name: len(rows) for name, rows in bins.items()},
        {
            state: {name: statistics.known(statistics.mean(of_faces[rows])) for name, rows in bins.items()}
            for state, of_faces in states.items()
        },
        {state: statistics.contrast([of_faces[rows] for rows in bins.values()]) for state, of_faces in states.items()},
    )


def draw(found: Sequence[Tones], path: Path) -> None:
    """The three states of each restorer, tone by tone, with their intervals; what chance does as a band."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing = Drawing(figsize=(4.2 * len(STATES), 3.2 * len(found)), layout="constrained")
    axes = drawing.subplots(len(found), len(STATES), squeeze=False)
    for row, tones in zip(axes, found, strict=True):
        for plot, (state, heading) in zip(row, STATES.items(), strict=True):
            figures, contrast = tones.means[state], tones.contrast[state]
            values = np.array([figure.value for figure in figures.values()])
            reach = np.array([(figure.value - figure.low, figure.high - figure.value) for figure in figures.values()]).T
            middle = values.mean()
            plot.axhspan(middle - contrast.chance / 2, middle + contrast.chance / 2, color="0.9", zorder=0)
            plot.errorbar(range(len(values)), values, reach, fmt="o", color="tab:blue", capsize=3)
            plot.set_xticks(range(len(values)), [f"{name}\n{tones.faces[name]}" for name in figures], fontsize=7)
            plot.set_title(
                f"{tones.model}: {heading}\nspread {contrast.spread:.2f} dB, by chance {contrast.chance:.2f}, "
                f"p {contrast.text}",
                fontsize=8,
            )
            low, high = min(figure.low for figure in figures.values()), max(figure.high for figure in figures.values())
            plot.set_ylim(low - 0.3, max(high, low + 4) + 0.3)
            plot.set_ylabel("dB")
            plot.grid(axis="y", alpha=0.3)
    drawing.savefig(path, dpi=90)


def page(found: Sequence[Tones], command: str, what: str) -> str:
    """The figures in Markdown."""
    lines = [
        "# Skin tones",
        "",
        f"`{command}`",
        f"measured {what}.",
        "",
        EXPLAINED,
    ]
    for tones in found:
        lines += ["", f"## `{tones.model}`, {tones.size} px", ""]
        lines += [f"| tone | faces | {' | '.join(STATES.values())} |", "|---|---|" + "---|" * len(STATES)]
        for name, count in tones.faces.items():
            cells = " | ".join(f"{tones.means[state][name]:.2f}" for state in STATES)
            lines.append(f"| {name} | {count} | {cells} |")
        for heading, form in (("spread, dB", "spread"), ("chance, dB", "chance")):
            cells = " | ".join(f"{getattr(tones.contrast[state], form):.2f}" for state in STATES)
            lines.append(f"| {heading} | | {cells} |")
        lines.append(f"| p | | {' | '.join(tones.contrast[state].text for state in STATES)} |")
    return "\n".join(lines) + "\n"

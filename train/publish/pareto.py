"""The (milliseconds, PSNR) plane of every version measured: which ship, which are dominated, and the paper's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from train.publish.measurements import Version

SHARES = (10, 15)
"""The paper's own time is drawn, and these parts of it."""


@dataclass(frozen=True)
class Place:
    """One version: time of a face, PSNR at 336 px (value, low, high; dB), and whether it ships."""

    name: str
    milliseconds: float
    psnr: tuple[float, float, float]
    shipped: bool
    precision: str


def places(versions: Sequence[Version], shipped: set[str], paper: float) -> list[Place]:
    """The versions that were timed. paper: milliseconds of the paper's own network; shipped: by sha256.

    A version's time is its share of the paper's in the run that measured it, in this machine's milliseconds. One of the
    same build as a file that ships takes that file's share: int8's is another on another kind of processor, and so what
    was timed elsewhere would dominate, or be dominated, by its machine. What ships was exported from its training
    more than once; the exports before are left out.
    """
    ships = {build(version): version for version in versions if version["sha256"] in shipped}
    found = []
    for version in versions:
        like = ships.get(build(version), version)
        if like is not version and like["images_seen"] == version["images_seen"]:
            continue
        psnr = version["report"]["quality"]["shown"]["whole"]["psnr"]
        if like.get("ratio") is not None and psnr is not None:
            own = (psnr["value"], psnr["low"], psnr["high"])
            time = like["ratio"] * paper
            found.append(Place(version["name"], time, own, version["sha256"] in shipped, version["precision"]))
    return found


def build(version: Version) -> tuple[object, ...]:
    """What a version's time depends on: crop and precision by its name, and how much it computes."""
    return (version["name"], *(version[part] for part in ("width", "depth", "stem_stride")), round(version["gmac"], 2))


def dominated(place: Place, others: Sequence[Place]) -> bool:
    """Whether another one is no slower and no worse, and better in one of the two."""
    return any(
        other.milliseconds <= place.milliseconds
        and other.psnr[0] >= place.psnr[0]
        and (other.milliseconds, -other.psnr[0]) != (place.milliseconds, -place.psnr[0])
        for other in others
    )


def draw(found: Sequence[Place], paper: float, path: Path) -> None:
    """Write the plane as PNG. ValueError if there is nothing to draw."""
    if not found:
        raise ValueError("nothing was measured: run python -m train export, or evaluate --record, first")
    figure = Figure(figsize=(9, 5.4), dpi=130, layout="constrained")
    axes = figure.subplots()
    for place in found:
        grey = dominated(place, found)
        colour = "0.65" if grey else "tab:blue" if place.precision == "int8" else "tab:orange"
        value, low, high = place.psnr
        axes.errorbar(
            place.milliseconds,
            value,
            [[value - low], [high - value]],
            color=colour,
            marker="*" if place.shipped else "o",
            markersize=13 if place.shipped else 6,
            elinewidth=0.8,
            capsize=2,
        )
        if place.shipped or not grey:  # of the others there are too many to read
            label = place.name.removeprefix("frrnet-")
            at = (place.milliseconds, value)
            axes.annotate(label, at, (6, 5), textcoords="offset points", fontsize=7.5, color=colour)
    for share in (1, *SHARES):
        title = "the paper's own, fp32" if share == 1 else f"1/{share} of it"
        axes.axvline(paper / share, color="tab:red", linewidth=1, linestyle="-" if share == 1 else ":")
        axes.text(
            paper / share,
            0.01,
            f" {title}",
            color="tab:red",
            fontsize=7.5,
            rotation=90,
            transform=axes.get_xaxis_transform(),
        )
    axes.set_xscale("log")
    axes.set_xlabel(
        "milliseconds for one face on two CPU threads (its share of the paper's own (12,2) at stem 1, in one run)"
    )
    axes.set_ylabel("PSNR of the face shown at 336 px, dB, 95 % interval")
    axes.set_title("Stars ship; grey is dominated; blue is int8, orange fp16 or fp32", fontsize=9)
    axes.grid(alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(str(path))

"""A restorer's figures with their intervals: from what was measured of each face to what is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from frrcam.restore import contract
from train.common import metrics, statistics
from train.common.statistics import Figure
from train.data import skin_tone
from train.evaluate.identity_pr import K
from train.evaluate.measure import Bench, Measured

METRICS = ("psnr", "ssim", "lpips", "identity", "dlib", "iprecision", "irecall", "precision", "recall")
NO_FID = (
    "not meaningful: the features' covariance (2048 numbers in Inception, 128 in MobileFaceNet) cannot be estimated "
    "from so few faces, and FID's bias at this number is larger than what it should tell apart"
)

BEYOND = "beyond blurred"
"""The spread of what a restored face has more than its original blurred."""


@dataclass(frozen=True)
class Group:
    """Some of the faces: how many, and their PSNR before and after, and of the original blurred (see `Measured`)."""

    faces: int
    input: Figure | None
    restored: Figure | None
    blurred: Figure | None = None


@dataclass(frozen=True)
class Report:
    """What `python -m train evaluate` says of one restorer.

    quality: by state (input, restored, clean, shown: see `measure.Measured`), region (whole, inside) and metric.
    dice: of the mask, on degraded and on undegraded faces. f1: macro, and of each distortion.
    kinds: faces with each distortion, and with it alone. tones: by skin tone, every face under the same degradations
    (`evaluate.Measured.alike`). tone_spread: largest less smallest PSNR of the bins with enough faces; BEYOND
    is that of what the restored has more than its original blurred, which leaves out how fine a picture is. flicker: by
    region; input, restored and their difference, in 8-bit levels. flicker_clips: that difference by clip. notes: what
    was not measured, and why.
    """

    model: str
    size: int
    faces: int
    quality: dict[str, dict[str, dict[str, Figure | None]]]
    dice: dict[str, Figure | None]
    f1: dict[str, Figure | None]
    kinds: dict[str, Group]
    tones: dict[str, Group]
    tone_spread: dict[str, Figure | None]
    flicker: dict[str, dict[str, Figure | None]] = field(default_factory=dict)
    flicker_clips: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    milliseconds: float | None = None

    def figure(self, state: str, metric: str, region: str = "whole") -> Figure | None:
        return self.quality.get(state, {}).get(region, {}).get(metric)


def group(psnr: Mapping[str, Tensor], rows: Tensor) -> Group:
    """PSNR (by state, N each) of the faces at these positions."""
    found = {state: statistics.mean(values[rows]) for state, values in psnr.items()}
    return Group(len(rows), found["input"], found["restored"], found.get("blurred"))


def kinds(labels: Tensor) -> dict[str, Tensor]:
    """Positions of the faces with each distortion, and of those with no other."""
    found = {}
    for place, name in enumerate(contract.DISTORTIONS):
        has = labels[:, place] > 0.5
        found[name] = has.nonzero()[:, 0]
        found[f"{name} alone"] = (has & (labels.sum(1) == 1)).nonzero()[:, 0]
    return found


def classifier(labels: Tensor, probabilities: Tensor) -> dict[str, Figure | None]:
    """F1 of each distortion and their mean; faces resampled."""

    def score(column: int | None) -> Figure | None:
        def of_faces(rows: statistics.Indices) -> float:
            f1 = metrics.f1(labels[rows], probabilities[rows])
            return float(f1.mean() if column is None else f1[column])

        return statistics.of(of_faces, len(labels))

    return {"macro": score(None), **{name: score(place) for place, name in enumerate(contract.DISTORTIONS)}}


def spreads(psnr: Mapping[str, Tensor], bins: Mapping[str, Tensor]) -> dict[str, Figure | None]:
    """Spread of the mean PSNR (by state, N each) over the tone bins with enough faces."""
    enough = skin_tone.comparable(bins).values()
    states = {**psnr, BEYOND: psnr["restored"] - psnr["blurred"]}
    return {state: statistics.spread([values[rows] for rows in enough]) for state, values in states.items()}


def steadiness(
    clips: Mapping[str, Mapping[str, Mapping[str, Tensor]]],
) -> tuple[dict[str, dict[str, Figure | None]], dict[str, float]]:
    """Flicker by region over all steps of all clips, and the excess inside the mask by clip."""
    regions: dict[str, dict[str, Figure | None]] = {}
    for region in ("whole", "inside") if clips else ():
        states = {state: torch.cat([clip[region][state] for clip in clips.values()]) for state in ("input", "restored")}
        states["excess"] = states["restored"] - states["input"]
        regions[region] = {state: statistics.mean(values) for state, values in states.items()}
    excess = {name: clip["inside"]["restored"] - clip["inside"]["input"] for name, clip in clips.items()}
    # where the mask was empty all along there is nothing to tell, and JSON has no NaN
    known = {name: values for name, values in excess.items() if not values.isnan().all()}
    return regions, {name: float(np.nanmean(values.numpy())) for name, values in known.items()}


def summarise(
    model: str,
    measured: Measured,
    bench: Bench,
    clips: Mapping[str, Mapping[str, Mapping[str, Tensor]]],
    notes: Mapping[str, str],
    milliseconds: float | None = None,
) -> Report:
    """All figures of one restorer. clips: `flicker.measure` of each clip, by name."""
    labels, bins = bench.held.labels, skin_tone.members(bench.tones)
    psnr = {state: measured.quality[state]["whole"]["psnr"] for state in ("input", "restored")}
    flicker, by_clip = steadiness(clips)
    why = {"fid": NO_FID, **notes}
    if bench.held.mask is None:
        why["inside"] = "no mask labels: run python -m train masks"
    if len(bench.held) <= K:
        why["iprecision"] = f"a neighbourhood of {K} needs more than {K} faces"
    if not clips:
        why.setdefault("flicker", "no clips were given")
    return Report(
        model=model,
        size=measured.size,
        faces=len(bench.held),
        quality={
            state: {
                region: {name: statistics.mean(values.get(name)) for name in METRICS}
                for region, values in quality.items()
            }
            for state, quality in measured.quality.items()
        },
        dice={name: statistics.mean(values) for name, values in (measured.dice or {}).items()},
        f1=classifier(labels, measured.probabilities),
        kinds={name: group(psnr, rows) for name, rows in kinds(labels).items()},
        tones={name: group(measured.alike, rows) for name, rows in bins.items()},
        tone_spread=spreads(measured.alike, bins),
        flicker=flicker,
        flicker_clips=by_clip,
        notes=why,
        milliseconds=milliseconds,
    )

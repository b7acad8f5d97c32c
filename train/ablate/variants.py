"""What each part of FRR-Net is worth: the ablations of supplement 000 (§2-5) and paper 002 (Table 1), at small scale.

Every variant differs from another in one thing, sees the same faces in the same order under the same degradation, and
is measured on the same held-out faces, degraded at its own size as in training. The exported network's gate is left
out, since it needs the classifier that one variant has not.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from train.common import files, metrics, progress
from train.common.images import Image, tile
from train.common.paths import CHECKPOINTS
from train.data.faces import Faces
from train.fit import checkpoint, loop, losses
from train.fit.settings import Phase, Settings
from train.fit.validation import held_out_pairs
from train.networks.cost import cost
from train.networks.frrnet import FRRNet

OURS = losses.Weights()
SHIPPED = losses.Weights(perceptual=0.04, identity=0.25, ssim=0.2)
"""What the shipped weights were trained by in the end."""
Result = dict[str, Any]
"""variant, images, f1, parameters (millions), gmac; psnr, ssim, sharpness and identity per held-out face, and each with
`input_` before it."""

BEGIN = "frrnet-16-2-4.pt"
"""Where the trainings begin that show what sharpness costs."""
STYLE = 0.4
"""It gives this loss about the perceptual one's share; the paper's 4e-5 is for the features of another network."""
SMALL = 96
"""Side in pixels where the size is not what is looked at."""
SIZES = (224, 336, 448)
SIZE_SHARE = 8
"""The three sizes see one eighth of the images: at 448 px one costs as much as twenty at 96."""


@dataclass(frozen=True)
class Variant:
    """One training. held: a part of the network that is left where it does nothing (`hold`), if any.

    begin: the checkpoint among train/checkpoints/ that it begins from, if any.
    """

    width: int = 16
    depth: int = 2
    stem_stride: int = 4
    size: int = SMALL
    batch: int = 16
    seed: int = 1
    weights: losses.Weights = OURS
    held: str = ""
    begin: str = ""

    def images(self, images: int) -> int:
        """How many it sees where the others see `images`: whole batches."""
        own = 2 * images if self.begin else images // SIZE_SHARE if self.size in SIZES else images
        return max(1, own // self.batch) * self.batch


@dataclass(frozen=True)
class Group:
    """Variants to be compared with the first of them."""

    title: str
    names: tuple[str, ...]


BASE = "base (16, 2)"
SEEDS = (BASE, f"{BASE}, seed 2", f"{BASE}, seed 3")
ONE = replace(losses.PAPER, angular=0.0, perceptual=0.0, style=0.0)
SHARP = {
    "pixel losses alone": OURS,
    "+ perceptual loss": replace(OURS, perceptual=SHIPPED.perceptual),
    "+ style loss": replace(OURS, perceptual=SHIPPED.perceptual, style=STYLE),
    "+ perceptual, identity, SSIM (shipped)": SHIPPED,
    "shipped's, + adversarial 0.05": replace(SHIPPED, adversarial=0.05),
}
"""Losses that buy sharpness with PSNR, each from a shipped network: one that has seen little is blurred anyway."""
VARIANTS = {
    **{name: Variant(seed=seed) for seed, name in enumerate(SEEDS, 1)},
    "no light network": Variant(held="light"),
    "no detail": Variant(held="detail"),
    "no classifier": Variant(weights=replace(OURS, classifier=0.0), held="view.join"),
    "no mask": Variant(weights=replace(OURS, dice=0.0, mask=0.0)),
    "reconstruction": Variant(weights=ONE),
    "+ perceptual": Variant(weights=replace(ONE, perceptual=losses.PAPER.perceptual)),
    "+ angular": Variant(weights=replace(losses.PAPER, style=0.0)),
    "+ style (the paper's)": Variant(weights=losses.PAPER),
    "base's, + perceptual, identity, SSIM": Variant(weights=SHIPPED),
    **{f"{size} px": Variant(size=size, batch=8) for size in SIZES},
    **{f"stem {stride} (8, 1)": Variant(8, 1, stride) for stride in (1, 2, 4)},
    "(12, 2)": Variant(12, 2),
    "(16, 1)": Variant(16, 1),
    "(16, 3)": Variant(16, 3),
    **{name: Variant(size=160, batch=8, weights=weights, begin=BEGIN) for name, weights in SHARP.items()},
}
TRADE = Group("What sharpness costs", tuple(SHARP))
GROUPS = (
    Group("Seeds", SEEDS),
    Group("Parts", (BASE, "no light network", "no detail")),
    Group("Classifier", (BASE, "no classifier")),
    Group("Mask", (BASE, "no mask")),
    Group(
        "Losses, one by one",
        (
            *("reconstruction", "+ perceptual", "+ angular", "+ style (the paper's)"),
            *(BASE, "base's, + perceptual, identity, SSIM"),
        ),
    ),
    TRADE,
    Group("Size", ("336 px", "224 px", "448 px")),
    Group("Stem stride", ("stem 4 (8, 1)", "stem 2 (8, 1)", "stem 1 (8, 1)")),
    Group("Width × depth", (BASE, "stem 4 (8, 1)", "(12, 2)", "(16, 1)", "(16, 3)")),
)


def hold(network: FRRNet, part: str) -> None:
    """Leave a part where it does nothing, for good: the light network and the detail begin so, a layer is emptied."""
    held = network.get_submodule(part).requires_grad_(False)
    if isinstance(held, nn.Linear):
        for parameter in held.parameters():
            nn.init.zeros_(parameter)


def settings(variant: Variant, images: int) -> Settings:
    """A short training's: warm-up over a tenth, a running mean over some hundred steps; small from a checkpoint."""
    own = variant.images(images)
    phases = (Phase(variant.size, variant.batch, own),)
    return Settings(
        phases,
        rate=3e-4 if variant.begin else Settings.rate,
        warm_up=max(1, own // 10),
        decay=0.99,
        seed=variant.seed,
        hold_light=variant.held == "light",
        weights=variant.weights,
        far=0,
        validate_every=own + 1,
    )


def measure(network: FRRNet, faces: Faces, size: int, count: int, features: nn.Module | None = None) -> Result:
    """Scores of `count` held-out faces, one by one, and the classifier's macro F1 over all of them.

    features: with it also the cosine of the faces' embeddings.
    """
    rows: dict[str, list[float]] = {"input_psnr": [], "psnr": [], "input_ssim": [], "ssim": []}
    rows |= {"input_sharpness": [], "sharpness": [], "input_identity": [], "identity": []}
    truth, found = [], []
    for target, degraded, labels in held_out_pairs(faces, size, count):
        with torch.no_grad():
            restored, _, distortion = network.logits(degraded)
            wanted = None if features is None else features(target).embedding
        for name, image in (("input_", degraded), ("", restored.clamp(0, 1))):
            rows[f"{name}psnr"] += metrics.psnr(target, image).tolist()
            rows[f"{name}ssim"] += metrics.ssim(target, image).tolist()
            rows[f"{name}sharpness"] += metrics.sharpness(target, image).tolist()
            if features is not None and wanted is not None:
                with torch.no_grad():
                    seen = features(image).embedding
                rows[f"{name}identity"] += functional.cosine_similarity(wanted, seen).tolist()
        truth.append(labels)
        found.append(distortion.sigmoid())
    return {**rows, "f1": metrics.macro_f1(torch.cat(truth), torch.cat(found))}


@dataclass(frozen=True)
class Bench:
    """Faces by cache size, the face network, how many images each variant sees and is measured on, and the variants."""

    faces: dict[int, Faces]
    features: nn.Module | None
    images: int
    held_out: int
    variants: Mapping[str, Variant] = field(default_factory=lambda: VARIANTS)

    def run(self, variant: Variant, folder: Path, advance: progress.Advance, stopped: Callable[[], bool]) -> Result:
        """Train, or go on with what `folder` holds of it, and measure; what is measured is of no use once `stopped`."""
        plan = settings(variant, self.images)
        torch.manual_seed(variant.seed)
        begun, asked = folder / "checkpoint.pt", folder / "asked.json"
        plans = {name: value for name, value in self.asked(variant).items() if name != "held_out"}
        if not asked.exists() or json.loads(asked.read_text()) != json.loads(json.dumps(plans)):
            begun.unlink(missing_ok=True)  # of another plan: its network would answer for this one
        folder.mkdir(parents=True, exist_ok=True)
        asked.write_text(json.dumps(plans))
        shape = {name: getattr(variant, name) for name in ("width", "depth", "stem_stride")}
        if begun.exists():
            state = checkpoint.load(begun, plan.rate)
        elif variant.begin:
            content = checkpoint.read(CHECKPOINTS / variant.begin)
            state = checkpoint.restored(checkpoint.restarted(content), plan.rate)
        else:
            state = checkpoint.start(checkpoint.build(shape), plan.rate)
        if variant.held:
            hold(state.network, variant.held)
            hold(state.average, variant.held)
        features = self.features if variant.weights.featured else None
        loop.fit(state, self.faces, plan, folder, features, lambda line: None, stopped=stopped, advance=advance)
        side = min((s for s in self.faces if s >= variant.size), default=max(self.faces))
        measured = measure(state.average, self.faces[side], variant.size, self.held_out, self.features)
        return {**self.asked(variant), **measured}

    def asked(self, variant: Variant) -> Result:
        """What a finished variant must carry to count as finished; of an earlier network it does not."""
        costs = cost(variant.width, variant.depth, variant.stem_stride, variant.size)
        return {
            "variant": asdict(variant),
            "images": variant.images(self.images),
            "held_out": self.held_out,
            "parameters": costs.parameters,
            "gmac": costs.gmac,
        }

    def finished(self, results: dict[str, Result]) -> dict[str, Result]:
        """Those of the results that were asked for just so."""
        return {
            name: result
            for name, result in results.items()
            if name in self.variants and self.asked(self.variants[name]).items() <= result.items()
        }


def run_all(
    bench: Bench, folder: Path, advance: progress.Advance, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Result]:
    """Every variant's result; those that folder/results.json holds are not run again, a stopped one goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    results = bench.finished(json.loads(path.read_text())) if path.exists() else {}
    work = {name: work_of(variant, bench.images) for name, variant in bench.variants.items()}
    for name, variant in bench.variants.items():
        if name in results or stopped():
            continue
        done = sum(work[other] for other in results)

        def share(part: float, text: str, name: str = name, done: float = done) -> None:
            advance((done + part * work[name]) / sum(work.values()), f"{name}: {text}")

        result = bench.run(variant, place(folder, name), share, stopped)
        if stopped():
            break
        results[name] = result
        files.replace(path, lambda part: part.write_text(json.dumps(results)))
    return results


def place(folder: Path, name: str) -> Path:
    """Where in `folder` a variant is trained."""
    return folder / name.replace(" ", "-")


def trade_sheet(folder: Path, faces: Faces, count: int = 5) -> Image:
    """Held-out faces in rows: degraded, restored by each network of `TRADE` that `folder` holds, original."""
    target, degraded, _ = next(held_out_pairs(faces, VARIANTS[TRADE.names[0]].size, count))
    networks = [checkpoint.load_network(place(folder, name) / "checkpoint.pt")[0] for name in TRADE.names]
    with torch.no_grad():
        restored = [network.logits(degraded)[0].clamp(0, 1) for network in networks]
    return tile([degraded, *restored, target], count, target.shape[-1])


def work_of(variant: Variant, images: int) -> float:
    """About what it costs, for the time that remains: the network's GMAC and the degradation's pixels."""
    gmac = cost(variant.width, variant.depth, variant.stem_stride, variant.size).gmac
    return variant.images(images) * (gmac + 0.2 * (variant.size / SMALL) ** 2)

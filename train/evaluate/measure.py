"""Quality of a restorer on held-out faces degraded by Eq. 2: what is measured of each face, and the means in short."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frrcam.compose.detail import kept
from frrcam.restore.contract import to_image
from train.common import metrics
from train.common.images import resize
from train.data import skin_tone
from train.data.faces import RECOGNITION_WINDOW, STILL, Faces, batch
from train.degrade.pipeline import DISTORTED, blur, degrade
from train.evaluate import lpips
from train.evaluate.identity_pr import K, identity_scores
from train.evaluate.restorers import Restorer as Restorer
from train.evaluate.restorers import opened_session
from train.evaluate.restorers import restorer as restorer
from train.evaluate.timing import Progress, silent
from train.evaluate.timing import milliseconds as milliseconds
from train.evaluate.timing import multiply_accumulates as multiply_accumulates

Quality = dict[str, dict[str, Tensor]]
"""Values of each face (N) by region (whole, inside the mask) and metric."""
REFERENCE = 336
SEED = 2026
DRAWS = 8
"""Degradations that every face gets alike, where groups of faces are compared."""
SLIGHT = 2.0
"""Deviation in pixels at 336 px of the blur that tells finely textured pictures from smooth ones."""
CHUNK = 4


@dataclass(frozen=True)
class HeldOut:
    """Held-out faces and their degraded selves (N×3×S×S), labels (N×3), and face regions (N×1×S×S) where labelled."""

    keys: tuple[str, ...]
    target: Tensor
    degraded: Tensor
    labels: Tensor
    mask: Tensor | None

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, size: int) -> "HeldOut":
        """The same faces at side `size`."""
        if self.target.shape[-1] == size:
            return self
        target, degraded = (resize(images, size).clamp(0, 1) for images in (self.target, self.degraded))
        mask = None if self.mask is None else resize(self.mask, size)
        return HeldOut(self.keys, target, degraded, self.labels, mask)


def held_out(faces: Faces, count: int | None = None) -> HeldOut:
    """The held-out faces (the first `count`) at 336 px, always degraded alike: every picture is distorted."""
    chosen = faces.indices(training=False)[:count]
    target, mask = batch(faces, chosen, REFERENCE, STILL, np.random.default_rng(SEED))
    parts = [
        degrade(target[start : start + 8], DISTORTED, torch.Generator().manual_seed(SEED + start))
        for start in range(0, len(target), 8)
    ]
    degraded, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return HeldOut(tuple(faces.keys[i] for i in chosen), target, degraded, labels, mask)


def held_out_pairs(faces: Faces, count: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Original and degraded crops (N×3×336×336) and labels of `held_out`."""
    held = held_out(faces, count)
    return held.target, held.degraded, held.labels


class Identity:
    """Cosine between two pictures' face embeddings (MobileFaceNet, 112 px RGB, (x − 127.5) / 128)."""

    def __init__(self, model: Path, threads: int = 1) -> None:
        """FileNotFoundError if there is no such file, ValueError if it is no network."""
        if not model.is_file():
            raise FileNotFoundError(f"{model}: no such file: set --data to the folder that holds models/")
        self.session = opened_session(model, threads)
        self.input = self.session.get_inputs()[0].name

    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings (N×128). The picture is the middle of our crop."""
        inner = images[
            :, :, *(slice(round(images.shape[-1] * a), round(images.shape[-1] * b)) for a, b in RECOGNITION_WINDOW)
        ]
        small = (resize(inner, 112) * 255 - 127.5) / 128
        rows = [np.asarray(self.session.run(None, {self.input: image[None].numpy()})[0]) for image in small]
        return functional.normalize(torch.from_numpy(np.concatenate(rows)), dim=1)

    def cosine(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.embed(a) * self.embed(b)).sum(1)


@dataclass(frozen=True)
class Measured:
    """What was measured of each held-out face.

    size: the restorer's. quality: of the degraded input, of the restored face, of an undegraded face restored
    ("clean"), and of the restored face as frrcam shows it at 336 px ("shown": `as_shown`).
    probabilities: N×3. dice: of the mask against the label (N), on degraded and on undegraded faces; None where
    there is no label. alike: PSNR before and after ("input", "restored"; N each), mean over degradations that are the
    same for every face; and, of what a picture itself makes easy or hard, that of the original under one slight blur
    (`SLIGHT`; "blurred"). So groups of faces can be compared.
    """

    size: int
    quality: dict[str, Quality]
    probabilities: Tensor
    dice: dict[str, Tensor] | None
    alike: dict[str, Tensor]


class Bench:
    """Held-out faces, and what is measured of them before any restorer, shared by all restorers of one run."""

    def __init__(
        self,
        held: HeldOut,
        identity: Identity | None,
        distances: Mapping[str, lpips.Distance] | None = None,
        draws: int = DRAWS,
    ) -> None:
        """distances: between the original and a picture, by name, beside the identity cosine (lpips, dlib).

        draws: see `Measured.alike`.
        """
        self.held, self.identity, self.distances = held, identity, distances or {}
        self.draws = draws
        self.tones = skin_tone.angles(held.target, held.mask)
        self._alike: dict[int, Tensor] = {}
        self._sizes: dict[int, HeldOut] = {}
        self._real: dict[int, Tensor] = {}
        self._input: dict[int, Quality] = {}

    def at(self, size: int) -> HeldOut:
        """The faces at side `size`; resized once."""
        if size not in self._sizes:
            self._sizes[size] = self.held.at(size)
        return self._sizes[size]

    def alike(self, draw: int) -> HeldOut:
        """The faces, each under the same degradation: that of the seed `draw`. Degraded once, kept in 8 bits."""
        if draw not in self._alike:
            faces = torch.split(self.held.target, 1)
            spoilt = [degrade(face, DISTORTED, torch.Generator().manual_seed(draw))[0] for face in faces]
            self._alike[draw] = (torch.cat(spoilt) * 255).round().byte()
        return replace(self.held, degraded=self._alike[draw] / 255)

    def compare(self, target: Tensor, found: Tensor, mask: Tensor | None, real: Tensor | None) -> Quality:
        """Pixel and network metrics of some faces; `real` are the targets' embeddings, None leaves networks out.

        Inside the mask, a network sees the found face inside and the target outside. Embeddings stay in the result,
        for iPrecision, which needs all faces.
        """
        similarity = metrics.ssim_map(target, found)
        regions: dict[str, tuple[Tensor, Tensor | None]] = {"whole": (found, None)}
        if mask is not None:
            regions["inside"] = (target + (found - target) * mask, mask)
        result: Quality = {}
        for region, (picture, weight) in regions.items():
            values = {"psnr": metrics.psnr(target, found, weight), "ssim": metrics.mean_ssim(similarity, weight)}
            if real is not None:
                values |= {name: distance(target, picture) for name, distance in self.distances.items()}
            if real is not None and self.identity:
                values["embedding"] = self.identity.embed(picture)
                values["identity"] = (values["embedding"] * real).sum(1)
            result[region] = values
        return result

    def real(self, held: HeldOut) -> Tensor:
        """The targets' embeddings at this size (N×128; N×0 without a face network)."""
        size = held.target.shape[-1]
        if size not in self._real:
            self._real[size] = self.identity.embed(held.target) if self.identity else torch.zeros(len(held), 0)
        return self._real[size]

    def input(self, held: HeldOut, progress: Progress = silent) -> Quality:
        """Quality of the degraded faces at this size; measured once."""
        size = held.target.shape[-1]
        if size not in self._input:
            parts = [
                self.compare(held.target[rows], held.degraded[rows], part_of(held.mask, rows), self.real(held)[rows])
                for rows in chunks(len(held), progress, f"input at {size} px")
            ]
            self._input[size] = with_identity_sets(joined(parts), self.real(held))
        return self._input[size]


def chunks(count: int, progress: Progress, what: str) -> Iterator[slice]:
    """Slices of CHUNK faces, drawn as a bar."""
    return (slice(start, start + CHUNK) for start in progress(range(0, count, CHUNK), what))


def part_of(tensor: Tensor | None, rows: slice) -> Tensor | None:
    return None if tensor is None else tensor[rows]


def joined(parts: list[Quality]) -> Quality:
    """The parts' faces one after another."""
    return {
        region: {name: torch.cat([part[region][name] for part in parts]) for name in values}
        for region, values in parts[0].items()
    }


def with_identity_sets(quality: Quality, real: Tensor) -> Quality:
    """The embeddings replaced by what they give: iPrecision and iRecall; left out for K faces or fewer."""
    result: Quality = {}
    for region, values in quality.items():
        others = {name: value for name, value in values.items() if name != "embedding"}
        if "embedding" in values and len(real) > K:
            others |= identity_scores(values["embedding"], real)
        result[region] = others
    return result


def measure(restore: Restorer, size: int, bench: Bench, progress: Progress = silent) -> Measured:
    """Every face through the restorer at its own size; pictures are degraded at 336 px and then resized to it."""
    full, held = bench.held, bench.at(size)
    real = bench.real(held)
    restored_parts, clean_parts, shown_parts, rows_found = [], [], [], []
    dice: dict[str, list[Tensor]] = {"degraded": [], "clean": []}
    for rows in chunks(len(held), progress, f"restoring at {size} px"):
        target, mask = held.target[rows], part_of(held.mask, rows)
        restored, found_mask, probabilities = restore(held.degraded[rows])
        clean, clean_mask, _ = restore(target)
        restored_parts.append(bench.compare(target, restored, mask, real[rows]))
        clean_parts.append(bench.compare(target, clean, mask, None))
        if size != REFERENCE:
            shown = as_shown(full.degraded[rows], held.degraded[rows], restored)
            shown_parts.append(bench.compare(full.target[rows], shown, part_of(full.mask, rows), None))
        rows_found.append(probabilities)
        if mask is not None:
            dice["degraded"].append(metrics.dice(mask, found_mask))
            dice["clean"].append(metrics.dice(mask, clean_mask))
    quality = {
        "input": bench.input(held, progress),
        "restored": with_identity_sets(joined(restored_parts), real),
        "clean": joined(clean_parts),
    }
    quality["shown"] = joined(shown_parts) if shown_parts else quality["restored"]
    masks = {name: torch.cat(parts) for name, parts in dice.items()} if held.mask is not None else None
    return Measured(size, quality, torch.cat(rows_found), masks, alike_psnr(restore, size, bench, progress))


def as_shown(picture: Tensor, crop: Tensor, restored: Tensor) -> Tensor:
    """Restored faces (N×3×S×S) in the pictures (N×3×R×R) that their crops were made from, as `compose.blend` puts them.

    The change is enlarged, and covers the picture's finer detail where that is noise.
    """
    factors = []
    for before, after in zip(crop, restored, strict=True):
        levels = to_image(before.numpy())
        factors.append(torch.from_numpy(kept(np.rint(levels).astype(np.uint8), to_image(after.numpy()) - levels)))
    side = picture.shape[-1]
    factor = resize(torch.stack(factors)[:, None], side)
    finer = picture - resize(crop, side)
    return (picture + resize(restored - crop, side) - (1 - factor) * finer).clamp(0, 1)


def shown_by(restore: Restorer, size: int, images: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (N×3×S×S) as frrcam shows them restored at `size`, and the mask that it blends them by (N×1×S×S)."""
    crops = resize(images, size).clamp(0, 1)
    restored, mask, _ = restore(crops)
    return as_shown(images, crops, restored), resize(mask, images.shape[-1])


def alike_psnr(restore: Restorer, size: int, bench: Bench, progress: Progress) -> dict[str, Tensor]:
    """See `Measured.alike`."""
    rows = []
    for draw in progress(range(bench.draws), f"same degradations at {size} px"):
        held = bench.alike(draw).at(size)
        rows.append((metrics.psnr(held.target, held.degraded), restored_psnr(restore, held)))
    before, after = (torch.stack(column).mean(0) for column in zip(*rows, strict=True))
    return {"input": before, "restored": after, "blurred": blurred_psnr(bench.at(size).target)}


def blurred_psnr(target: Tensor) -> Tensor:
    """PSNR of each picture (N) under one slight blur (`SLIGHT`), as strong at every size."""
    size = target.shape[-1]
    return metrics.psnr(target, blur(target, torch.full((len(target),), SLIGHT * size / REFERENCE)))


def restored_psnr(restore: Restorer, held: HeldOut, progress: Progress = silent) -> Tensor:
    """PSNR of each restored face (N) alone."""
    size = held.target.shape[-1]
    return torch.cat(
        [
            metrics.psnr(held.target[rows], restore(held.degraded[rows])[0])
            for rows in chunks(len(held), progress, f"fp32 at {size} px")
        ]
    )

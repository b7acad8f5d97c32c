"""Quality of a restorer file on held-out faces degraded by Eq. 2: PSNR, SSIM, identity, classifier, and clean faces."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional

from frrcam.restore import contract
from train import metrics
from train.data import STILL, Faces, batch
from train.degrade import PAPER, degrade
from train.export import session

WINDOW = ((0.123, 0.873), (0.125, 0.875))
"""Rows and columns of our crop that best fit the 112 px template of face recognition (least squares, five points)."""

Restorer = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
REFERENCE = 336
SEED = 2026


@dataclass(frozen=True)
class Scores:
    """Means over the held-out faces; `low` and `high` bound the PSNR's 95 % bootstrap interval."""

    faces: int
    input_psnr: float
    input_ssim: float
    psnr: float
    low: float
    high: float
    ssim: float
    clean_psnr: float
    f1: float
    input_identity: float | None
    identity: float | None


def held_out_pairs(faces: Faces, count: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Original and degraded crops (N×3×336×336) and labels, always the same ones: every picture is distorted."""
    chosen = faces.indices(training=False)[:count]
    target, _ = batch(faces, chosen, REFERENCE, STILL, np.random.default_rng(SEED))
    settings = type(PAPER)(percent_dist=1.0)
    parts = [
        degrade(target[start : start + 8], settings, torch.Generator().manual_seed(SEED + start))
        for start in range(0, len(target), 8)
    ]
    return target, torch.cat([image for image, _ in parts]), torch.cat([labels for _, labels in parts])


def resize(images: Tensor, size: int) -> Tensor:
    """To side `size`, averaged where it shrinks."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def restorer(file: Path, threads: int = 2) -> tuple[Restorer, int]:
    """A weights file as a function of tensors, and its crop size."""
    opened = session(file, threads)
    size = int(opened.get_inputs()[0].shape[-1])

    def restore(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = [opened.run(list(contract.OUTPUTS), {contract.INPUT: image[None].numpy()}) for image in images]
        restored, mask, distortion = (torch.from_numpy(np.concatenate(column)) for column in zip(*rows, strict=True))
        return restored, mask, distortion

    return restore, size


class Identity:
    """Cosine between two pictures' face embeddings (MobileFaceNet, 112 px RGB, (x − 127.5) / 128)."""

    def __init__(self, model: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings (N×128). The picture is the middle of our crop."""
        inner = images[:, :, *(slice(round(images.shape[-1] * a), round(images.shape[-1] * b)) for a, b in WINDOW)]
        small = (resize(inner, 112) * 255 - 127.5) / 128
        rows = [np.asarray(self.session.run(None, {self.input: image[None].numpy()})[0]) for image in small]
        return functional.normalize(torch.from_numpy(np.concatenate(rows)), dim=1)

    def cosine(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.embed(a) * self.embed(b)).sum(1)


def bootstrap(values: Tensor, rounds: int = 1000) -> tuple[float, float]:
    """95 % interval of the mean, by resampling."""
    draws = np.random.default_rng(0).integers(0, len(values), (rounds, len(values)))
    low, high = np.percentile(values.numpy()[draws].mean(1), (2.5, 97.5))
    return float(low), float(high)


def evaluate(restore: Restorer, size: int, faces: Faces, identity: Identity | None, count: int | None = None) -> Scores:
    """Scores at the restorer's own size; pictures are degraded at 336 px and then resized to it."""
    target, degraded, labels = held_out_pairs(faces, count)
    target, degraded = resize(target, size).clamp(0, 1), resize(degraded, size).clamp(0, 1)
    restored, _, distortion = restore(degraded)
    clean, _, _ = restore(target)
    psnr = metrics.psnr(target, restored)
    low, high = bootstrap(psnr)
    return Scores(
        faces=len(target),
        input_psnr=float(metrics.psnr(target, degraded).mean()),
        input_ssim=float(metrics.ssim(target, degraded).mean()),
        psnr=float(psnr.mean()),
        low=low,
        high=high,
        ssim=float(metrics.ssim(target, restored).mean()),
        clean_psnr=float(metrics.psnr(target, clean).mean()),
        f1=metrics.macro_f1(labels, distortion),
        input_identity=float(identity.cosine(target, degraded).mean()) if identity else None,
        identity=float(identity.cosine(target, restored).mean()) if identity else None,
    )


def milliseconds(file: Path, threads: int = 2, runs: int = 100) -> float:
    """Time of one face on the CPU provider after ten runs to warm up: the first decile, as other programs only add."""
    opened = session(file, threads)
    size = int(opened.get_inputs()[0].shape[-1])
    image = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    times = []
    for _ in range(runs + 10):
        began = perf_counter()
        opened.run(list(contract.OUTPUTS), {contract.INPUT: image})
        times.append(perf_counter() - began)
    return float(np.percentile(times[10:], 10) * 1e3)


def multiply_accumulates(file: Path) -> float:
    """GMAC of one face through an exported file, counted on its convolutions and matrix products."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(file)))
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {value.name: [d.dim_value or 1 for d in value.type.tensor_type.shape.dim] for value in values}
    weights = {w.name: list(w.dims) for w in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            out, kernel = shapes[node.output[0]], weights[node.input[1]]
            total += int(np.prod(out[1:])) * int(np.prod(kernel[1:]))
        elif node.op_type == "Gemm":
            total += int(np.prod(weights[node.input[1]]))
    return total / 1e9

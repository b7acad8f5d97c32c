"""Quick figures of a network in training, on held-out faces degraded by Eq. 2 alone, the same each time."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from train.common import metrics, mixed_precision
from train.data.faces import STILL, Faces, batch
from train.degrade.pipeline import DISTORTED, degrade
from train.networks.frrnet import FRRNet

Pair = tuple[Tensor, Tensor, Tensor]


def held_out_pairs(faces: Faces, size: int, count: int = 64) -> Iterator[Pair]:
    """Original and degraded crops (up to 16×3×S×S) and labels, in parts; every picture is distorted.

    They are drawn on the CPU, so that they are the same on every device.
    """
    chosen = faces.indices(training=False)[:count]
    for start in range(0, len(chosen), 16):
        target, _ = batch(faces, chosen[start : start + 16], size, STILL, np.random.default_rng(0))
        degraded, labels = degrade(target, DISTORTED, torch.Generator().manual_seed(start))
        yield target, degraded, labels


def validate(network: FRRNet, pairs: Iterable[Pair], *, bf16: bool = True) -> dict[str, float]:
    """PSNR, SSIM and F1 on held-out faces degraded by Eq. 2 (`held_out_pairs`), and the PSNR of undegraded ones.

    bf16: convolve in bfloat16, as `Settings.bf16`.
    """
    device = next(network.parameters()).device
    rows: dict[str, list[Tensor]] = {}
    truth, said = [], []
    for target, degraded, labels in pairs:
        with torch.no_grad(), mixed_precision.convolutions(device.type, bf16=bf16):
            restored, _, distortion = (output.float().cpu() for output in network(degraded.to(device)))
            clean = network(target.to(device))[0].float().cpu()
        found = {
            "input_psnr": metrics.psnr(target, degraded),
            "psnr": metrics.psnr(target, restored),
            "ssim": metrics.ssim(target, restored),
            "clean_psnr": metrics.psnr(target, clean),
        }
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
        truth.append(labels)
        said.append(distortion)
    means = {name: float(torch.cat(parts).mean()) for name, parts in rows.items()}
    return {**means, "f1": metrics.macro_f1(torch.cat(truth), torch.cat(said))}

"""From a checkpoint to weights/: export, quantise, measure, and write the manifest's entries."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from onnxruntime.quantization import CalibrationMethod

from train import checkpoint, evaluate, manifest
from train.data import Faces, Jitter, batch
from train.degrade import PAPER, degrade
from train.export import export, replace
from train.quantise import quantise

LICENCE = (
    "GPL-2.0-or-later; colours and detail from synthetic faces, masks from CelebAMask-HQ (non-commercial research)"
)
TRAINED_ON = (
    "6,002 synthetic face photographs (faces-train: StyleGAN and diffusion sets, SFHQ and SFHQ-T2I among them), "
    "degraded by Eq. 2 of FRR-Net; mask head from the labels of a teacher trained on CelebAMask-HQ (photographs of "
    "real people, non-commercial research: the mask only)"
)


@dataclass(frozen=True)
class Rung:
    """One file: crop side and precision (int8, fp16 or fp32)."""

    size: int
    precision: str

    @property
    def name(self) -> str:
        return f"frrnet-{self.size}-{self.precision}"


def calibration(faces: Faces, size: int, count: int = 96, seed: int = 7) -> np.ndarray:
    """Training faces degraded by Eq. 2, 85 % of them, at the file's size (N×3×S×S)."""
    random = np.random.default_rng(seed)
    chosen = random.choice(faces.indices(training=True), count, replace=False)
    images, _ = batch(faces, chosen, evaluate.REFERENCE, Jitter(), random)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    degraded, _ = degrade(images[order], PAPER, torch.Generator().manual_seed(seed))
    return evaluate.resize(degraded, size).clamp(0, 1).numpy()


def publish(
    source: Path,
    weights: Path,
    rungs: list[Rung],
    faces: Faces,
    identity: evaluate.Identity | None,
    default: str,
    count: int | None = None,
    method: CalibrationMethod = CalibrationMethod.MinMax,
    report: Callable[[str], None] = print,
) -> None:
    """Write every rung's file to `weights` and measure it; `count` bounds the held-out faces that are looked at."""
    network, images_seen = checkpoint.load_network(source)
    weights.mkdir(parents=True, exist_ok=True)
    for rung in rungs:
        path = weights / f"{rung.name}.onnx"
        with TemporaryDirectory() as folder:
            single = Path(folder) / "single.onnx"
            difference = export(network, rung.size, single, half=rung.precision == "fp16")
            gmac = evaluate.multiply_accumulates(single)
            if rung.precision == "int8":
                quantise(single, path, calibration(faces, rung.size), method)
            else:
                replace(path, partial(shutil.copyfile, single))
        restore, size = evaluate.restorer(path)
        scores = evaluate.evaluate(restore, size, faces, identity, count)
        entry: manifest.Entry = {
            **manifest.file_facts(path),
            "kind": "restorer",
            "licence": LICENCE,
            "trained_on": TRAINED_ON,
            "width": network.width,
            "depth": network.depth,
            "stem_stride": network.stem_stride,
            "size": rung.size,
            "precision": rung.precision,
            "parameters": checkpoint.parameter_count(network),
            "gmac": round(gmac, 2),
            "images_seen": images_seen,
            **figures(scores),
            "milliseconds": round(evaluate.milliseconds(path), 1),
            "command": f"python -m train evaluate weights/{path.name}",
        }
        manifest.record(weights / "manifest.toml", rung.name, entry, "restorer" if rung.name == default else None)
        report(f"{rung.name}: differs from PyTorch by {difference:.1e} before {rung.precision}; {scores}")


def figures(scores: evaluate.Scores) -> manifest.Entry:
    """The manifest's quality figures, with what the input scored beside them."""
    return {
        "psnr": round(scores.psnr, 2),
        "ssim": round(scores.ssim, 3),
        "lpips": "not measured",
        "identity": round(scores.identity, 3) if scores.identity is not None else "not measured",
        "clean_psnr": round(scores.clean_psnr, 1),
        "classifier_f1": round(scores.f1, 2),
        "input_psnr": round(scores.input_psnr, 2),
        "input_ssim": round(scores.input_ssim, 3),
        "held_out_faces": scores.faces,
    }

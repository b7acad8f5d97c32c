"""From a checkpoint to weights/: export, quantise, measure; then the manifest, the record and the model card."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from onnxruntime.quantization import CalibrationMethod

from train.common import statistics
from train.common.files import replace
from train.common.images import resize
from train.common.statistics import Figure
from train.data.faces import Faces, Jitter, batch
from train.degrade.pipeline import PAPER, degrade
from train.evaluate import flicker, measure, timing
from train.evaluate.report import Report, summarise
from train.evaluate.timing import Progress, silent
from train.export.onnx import check_size, export
from train.export.quantise import quantise
from train.fit import checkpoint
from train.networks.frrnet import FRRNet
from train.publish import manifest, measurements, model_card

FACTS = (
    "file",
    "sha256",
    "bytes",
    "width",
    "depth",
    "stem_stride",
    "size",
    "precision",
    "parameters",
    "gmac",
    "images_seen",
)
"""What the record keeps of a manifest's entry."""
PRECISIONS = ("int8", "fp16", "fp32")


@dataclass(frozen=True)
class Rung:
    """One file: crop side and precision (int8, fp16 or fp32)."""

    size: int
    precision: str

    @property
    def name(self) -> str:
        return f"frrnet-{self.size}-{self.precision}"

    @classmethod
    def parse(cls, text: str) -> "Rung":
        """'336-int8'; ValueError for anything else."""
        size, _, precision = text.partition("-")
        if not size.isdigit() or precision not in PRECISIONS:
            raise ValueError(f"{text!r} is no rung: give SIZE-PRECISION with {', '.join(PRECISIONS)}, as in 336-int8")
        return cls(int(size), precision)


@dataclass(frozen=True)
class Written:
    """A file as it was made: where, its largest difference from PyTorch before quantisation, GMAC, its fp32 twin."""

    rung: Rung
    path: Path
    difference: float
    gmac: float
    single: Path


@dataclass(frozen=True)
class Tools:
    """What files are measured with.

    notes: what cannot be measured, and why. reference: makes the file that times are compared with, or finds it
    (`timing.paper_file`).
    """

    bench: measure.Bench
    clips: Sequence[flicker.Clip]
    notes: Mapping[str, str]
    reference: Callable[[], Path]
    progress: Progress = silent


def calibration(faces: Faces, size: int, count: int = 96, seed: int = 7) -> np.ndarray:
    """Training faces degraded by Eq. 2, 85 % of them, at the file's size (N×3×S×S)."""
    random = np.random.default_rng(seed)
    chosen = random.choice(faces.indices(training=True), count, replace=False)
    images, _ = batch(faces, chosen, measure.REFERENCE, Jitter(), random)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    degraded, _ = degrade(images[order], PAPER, torch.Generator().manual_seed(seed))
    return resize(degraded, size).clamp(0, 1).numpy()


def write(network: FRRNet, rung: Rung, work: Path, faces: Faces, method: CalibrationMethod) -> Written:
    """The rung's file, and what it is made from, in `work`."""
    path = work / f"{rung.name}.onnx"
    quantised = rung.precision == "int8"
    single = work / f"{rung.size}.onnx" if quantised else path
    difference = export(network, rung.size, single, half=rung.precision == "fp16")
    if quantised:
        quantise(single, path, calibration(faces, rung.size), method)
    return Written(rung, path, difference, timing.multiply_accumulates(single), single)


def assess(
    name: str, restore: measure.Restorer, size: int, tools: Tools, *, clips: bool = True
) -> tuple[Report, measure.Measured]:
    """All figures of a restorer, and what was measured of each face; without clips, no flicker."""
    measured = measure.measure(restore, size, tools.bench, tools.progress)
    chosen = tools.clips if clips else ()
    steps = {clip.name: flicker.measure(restore, size, clip, tools.progress) for clip in chosen}
    return summarise(name, measured, tools.bench, steps, tools.notes), measured


def check(source: Path, rungs: Sequence[Rung], weights: Path, record: Path) -> None:
    """Whether these files can be made of the checkpoint, before anything is measured: raises as `publish`."""
    check_kept(weights, record)
    network, _ = checkpoint.load_network(source)
    for rung in rungs:
        check_size(network, rung.size)


def check_kept(weights: Path, record: Path) -> None:
    """Whether manifest, record and model card can take figures: ValueError if one is broken, as by a merge."""
    manifest.read(weights / manifest.NAME)
    measurements.read(record)
    model_card.around(weights / model_card.NAME)


def loss_of_int8(written: Written, measured: measure.Measured, tools: Tools) -> Figure | None:
    """PSNR of the file less that of its fp32 twin, face by face."""
    restore, size = measure.restorer(written.single)
    single = measure.restored_psnr(restore, tools.bench.at(size), tools.progress)
    return statistics.mean(measured.quality["restored"]["whole"]["psnr"] - single)


def publish(
    source: Path,
    weights: Path,
    rungs: Sequence[Rung],
    faces: Faces,
    tools: Tools,
    default: str,
    record: Path,
    method: CalibrationMethod = CalibrationMethod.MinMax,
    report: Callable[[str], None] = print,
) -> None:
    """Make every rung's file, measure it, and put it into `weights`, the manifest, the record and the model card.

    Flicker is measured of the default alone. Files with the name of a rung are replaced, each once it is measured, so
    that the manifest knows what lies there wherever this is interrupted.
    Raises FileNotFoundError or ValueError if there is no such checkpoint, ValueError for a size that does not fit it,
    and as `check_kept`.
    """
    network, images_seen = checkpoint.load_network(source)
    weights.mkdir(parents=True, exist_ok=True)
    shape = {name: getattr(network, name) for name in ("width", "depth", "stem_stride")}
    versions = []
    with TemporaryDirectory() as folder:
        files = [write(network, rung, Path(folder), faces, method) for rung in rungs]
        report(f"{len(files)} files made; measuring them on {len(tools.bench.held)} held-out faces")
        taken = timing.interleaved([tools.reference(), *(file.path for file in files)], progress=tools.progress)
        for file, time in zip(files, taken[1:], strict=True):
            restore, size = measure.restorer(file.path)
            found, measured = assess(file.path.name, restore, size, tools, clips=file.rung.name == default)
            loss = loss_of_int8(file, measured, tools) if file.rung.precision == "int8" else None
            facts: manifest.Entry = {
                **manifest.file_facts(file.path),
                "kind": "restorer",
                "licence": model_card.LICENCE,
                "trained_on": model_card.TRAINED_ON,
                **shape,
                "size": file.rung.size,
                "precision": file.rung.precision,
                "parameters": checkpoint.parameter_count(network),
                "gmac": float(f"{file.gmac:.3g}"),
                "images_seen": images_seen,
            }
            entry = facts | figures(found) | cost(file, time, loss)
            replace(weights / file.path.name, partial(shutil.copyfile, file.path))
            manifest.record(
                weights / manifest.NAME, file.rung.name, entry, "restorer" if file.rung.name == default else None
            )
            versions.append(version(file.rung.name, facts, found, time, file.difference, loss))
            report(summary(file, found, time, loss))
    measurements.record(record, versions)
    renew(weights, record)


def version(
    name: str, facts: manifest.Entry, found: Report, time: timing.Timing, difference: float | None, loss: Figure | None
) -> measurements.Version:
    """What the record keeps of a file."""
    return {
        "name": name,
        **{key: facts[key] for key in FACTS if key in facts},
        "milliseconds": round(time.milliseconds, 2),
        "ratio": round(time.ratio, 5),
        "differs_from_pytorch": difference,
        "int8_minus_fp32": asdict(loss) if loss else None,
        "report": measurements.packed(found),
    }


def known(files: Sequence[Path], weights: Path, record: Path) -> list[tuple[str, manifest.Entry, measurements.Version]]:
    """Each file's name, facts and older entry in the record, which may be empty.

    Facts come from the manifest in `weights`, or from the older entry. ValueError if neither has the file, and as
    `check_kept`.
    """
    check_kept(weights, record)
    old = {str(own["sha256"]): own for own in measurements.read(record)}
    listed = {str(entry["sha256"]): (name, entry) for name, entry in manifest.restorers(weights).items()}
    found = []
    for file in files:
        digest = str(manifest.file_facts(file)["sha256"])
        before = old.get(digest, {})
        if digest not in listed and not before:
            raise ValueError(
                f"{file} is not in {weights / manifest.NAME}: python -m train export records what it makes"
            )
        name, facts = listed.get(digest, (before.get("name", file.stem), before))
        found.append((name, {key: facts[key] for key in FACTS if key in facts}, before))
    return found


def record_again(files: Sequence[Path], reports: Sequence[Report], tools: Tools, weights: Path, record: Path) -> None:
    """Put files that are already there into the record, with their times, and renew the model card; raises as `known`.

    What is measured takes long: ask `known` before.
    """
    entries = known(files, weights, record)
    taken = timing.interleaved([tools.reference(), *files], progress=tools.progress)
    fresh = []
    for (name, facts, before), found, time in zip(entries, reports, taken[1:], strict=True):
        own = version(name, facts, found, time, before.get("differs_from_pytorch"), None)
        fresh.append(own | {"int8_minus_fp32": before.get("int8_minus_fp32")})
    measurements.record(record, fresh)
    renew(weights, record)


def renew(weights: Path, record: Path) -> None:
    """Rewrite the manifest's times and the model card's figures, so that they and the record say the same."""
    path, versions = weights / manifest.NAME, measurements.read(record)
    recorded = {str(version["sha256"]): version for version in versions}
    for name, entry in manifest.restorers(weights).items():
        version = recorded.get(str(entry["sha256"]), {})
        if version.get("ratio"):
            manifest.record(path, name, entry | times(version["milliseconds"], version["ratio"]))
    default = manifest.read(path)["default"].get("restorer")
    model_card.write(
        weights / model_card.NAME, manifest.restorers(weights), versions, str(default) if default else None
    )


def figures(found: Report) -> manifest.Entry:
    """The manifest's quality figures, with what the input scored beside them; those that were not measured say so."""

    def plain(figure: Figure | None, digits: int) -> str | float:
        return "not measured" if figure is None else round(figure.value, digits)

    psnr = statistics.known(found.figure("restored", "psnr"))
    return {
        "psnr": round(psnr.value, 2),
        "psnr_interval": f"{psnr.low:.2f} to {psnr.high:.2f}",
        "psnr_shown_at_336": plain(found.figure("shown", "psnr"), 2),
        "psnr_inside_mask": plain(found.figure("restored", "psnr", "inside"), 2),
        "ssim": plain(found.figure("restored", "ssim"), 3),
        "lpips": plain(found.figure("restored", "lpips"), 3),
        "identity": plain(found.figure("restored", "identity"), 3),
        "iprecision": plain(found.figure("restored", "iprecision"), 3),
        "irecall": plain(found.figure("restored", "irecall"), 3),
        "clean_psnr": plain(found.figure("clean", "psnr"), 1),
        "classifier_f1": plain(found.f1["macro"], 2),
        "mask_dice": plain(found.dice.get("degraded"), 3),
        "tone_spread": plain(found.tone_spread.get("restored"), 2),
        "input_psnr": plain(found.figure("input", "psnr"), 2),
        "input_ssim": plain(found.figure("input", "ssim"), 3),
        "held_out_faces": found.faces,
    }


def cost(file: Written, time: timing.Timing, loss: Figure | None) -> manifest.Entry:
    """The manifest's figures of time and exactness, and the command that measures all of them again."""
    return {
        **times(time.milliseconds, time.ratio),
        "differs_from_pytorch": float(f"{file.difference:.1e}"),
        **({"int8_minus_fp32": round(loss.value, 3)} if loss else {}),
        "command": f"python -m train evaluate weights/{file.path.name}",
    }


def times(milliseconds: float, ratio: float) -> manifest.Entry:
    """The manifest's figures of time."""
    return {"milliseconds": round(milliseconds, 1), "share_of_papers_time": round(ratio, 4)}


def summary(file: Written, found: Report, time: timing.Timing, loss: Figure | None) -> str:
    """One line for the terminal."""
    psnr, before = (statistics.known(found.figure(state, "psnr")) for state in ("restored", "input"))
    lost = f", int8 − fp32 {loss:+.3f} dB" if loss else ""
    return (
        f"{file.rung.name}: {before.value:.2f} → {psnr:.2f} dB, {time.milliseconds:.1f} ms, 1/{1 / time.ratio:.1f} of "
        f"the paper's own{lost}, differs from PyTorch by {file.difference:.1e} before {file.rung.precision}"
    )

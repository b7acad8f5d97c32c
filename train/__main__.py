"""python -m train: fit, masks, evaluate, export, sheet and pack for FRR-Net; `python -m train.detector` has its own."""

import json
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from onnxruntime.quantization import CalibrationMethod

from train import checkpoint, evaluate, fit, losses, masks, publish, sheet
from train.data import load_faces
from train.features import FaceFeatures

ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

Data = Annotated[Path, typer.Option(help="Folder with faces-*.tar, wild/ and models/.", envvar="FRRCAM_DATA")]
Runs = Annotated[Path, typer.Option(help="Folder for decoded faces, checkpoints and logs; several GB.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads that PyTorch uses.")]
DATA, RUNS = ROOT.parent / "shared" / "data", ROOT.parent / "runs" / "frr"
YUNET, MOBILEFACENET = "models/face_detection_yunet_2023mar.onnx", "models/mobilefacenet.onnx"


def say(text: str) -> None:
    print(text, flush=True)


@app.command("fit")
def fit_command(
    data: Data = DATA,
    runs: Runs = RUNS,
    out: Annotated[Path | None, typer.Option(help="Folder of this training; RUNS/default if not given.")] = None,
    phases: Annotated[str, typer.Option(help="SIZE:BATCH:IMAGES,... in order.")] = "96:16:64000,176:8:32000,336:4:8000",
    width: Annotated[int, typer.Option(help="Channels of the first dense block per unit of stem stride.")] = 16,
    depth: Annotated[int, typer.Option(help="Layers in each dense block.")] = 2,
    stem_stride: Annotated[int, typer.Option(help="Space-to-depth before the first convolution: 1, 2 or 4.")] = 4,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    decay: Annotated[float, typer.Option(help="Of the running mean (EMA), per step.")] = 0.999,
    seed: Annotated[int, typer.Option(help="Of weights, data order, jitter and degradation.")] = 1,
    perceptual: Annotated[
        float, typer.Option(help="Weight of the perceptual loss; above 0 it runs a face network.")
    ] = 0.0,
    style: Annotated[float, typer.Option(help="Weight of the style loss, likewise.")] = 0.0,
    paper: Annotated[bool, typer.Option(help="The paper's loss weights instead of the short training's.")] = False,
    bf16: Annotated[
        bool, typer.Option(help="bfloat16 convolutions: twice as fast where AVX512-BF16 or AMX is.")
    ] = True,
    begin: Annotated[Path | None, typer.Option(help="Checkpoint to start from if OUT has none.")] = None,
    threads: Threads = 1,
) -> None:
    """Train, or go on training: OUT/checkpoint.pt is taken up where it stopped, to the same result. Ctrl-C saves it."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out = out or runs / "default"
    weights = losses.PAPER if paper else losses.Weights(perceptual=perceptual, style=style)
    settings = fit.Settings(
        tuple(fit.Phase.parse(part) for part in phases.split(",")),
        rate=rate,
        decay=decay,
        seed=seed,
        bf16=bf16,
        weights=weights,
    )
    resumed = out / "checkpoint.pt"
    if resumed.exists() or begin is not None:
        state = checkpoint.load(resumed if resumed.exists() or begin is None else begin, rate)
    else:
        shape = {"width": width, "depth": depth, "stem_stride": stem_stride, "blocks": (1, 2, 2)}
        state = checkpoint.start(checkpoint.build(shape), rate)
    features = FaceFeatures(data / MOBILEFACENET) if weights.perceptual or weights.style else None
    sizes = {192 if phase.size <= 192 else 336 for phase in settings.phases}
    faces = {size: load_faces(data, runs / "cache", size) for size in sizes}
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    fit.fit(state, faces, settings, out, features, say, stopped=stop.is_set)


@app.command("masks")
def masks_command(
    data: Data = DATA,
    runs: Runs = RUNS,
    images: Annotated[int, typer.Option(help="Pictures the mask teacher is shown.")] = masks.Settings.images,
    threads: Threads = 1,
) -> None:
    """Train the mask teacher on faces-seg, print its dice on held-out faces, and label faces-train with it."""
    torch.set_num_threads(threads)
    segmented = masks.read_segmented(data, data / YUNET)
    teacher = masks.fit_teacher(segmented, masks.Settings(images=images), say)
    say(f"dice on {len(segmented.indices(training=False))} held-out faces: {masks.dice_score(teacher, segmented):.4f}")
    masks.label(teacher, load_faces(data, runs / "cache", 192), runs / "cache" / "masks.npy")


@app.command("evaluate")
def evaluate_command(
    model: Annotated[Path, typer.Argument(help="A restorer's .onnx file.")],
    data: Data = DATA,
    runs: Runs = RUNS,
    count: Annotated[int | None, typer.Option(help="Look at so many held-out faces only.")] = None,
) -> None:
    """Measure a weights file on held-out faces degraded by Eq. 2, and its time; JSON."""
    restore, size = evaluate.restorer(model)
    identity = evaluate.Identity(data / MOBILEFACENET)
    scores = evaluate.evaluate(restore, size, load_faces(data, runs / "cache", evaluate.REFERENCE), identity, count)
    say(json.dumps({**asdict(scores), "milliseconds": evaluate.milliseconds(model)}, indent=1))


@app.command("export")
def export_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    data: Data = DATA,
    runs: Runs = RUNS,
    weights: Annotated[Path, typer.Option(help="Folder of the files and their manifest.toml.")] = ROOT / "weights",
    rungs: Annotated[str, typer.Option(help="SIZE-PRECISION,... ; int8, fp16 or fp32.")] = "336-int8,224-int8,336-fp16",
    default: Annotated[str, typer.Option(help="The file that the manifest names as default.")] = "frrnet-336-int8",
    calibrate: Annotated[str, typer.Option(help="How int8 ranges are read: MinMax, Percentile or Entropy.")] = "MinMax",
    count: Annotated[int | None, typer.Option(help="Measure on so many held-out faces only.")] = None,
) -> None:
    """Write ONNX files by the contract, quantise and measure them, and record them in the manifest."""
    wanted = [publish.Rung(int(size), kind) for size, _, kind in (rung.partition("-") for rung in rungs.split(","))]
    faces = load_faces(data, runs / "cache", evaluate.REFERENCE)
    identity = evaluate.Identity(data / MOBILEFACENET)
    publish.publish(source, weights, wanted, faces, identity, default, count, CalibrationMethod[calibrate], say)


@app.command("pack")
def pack_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    out: Annotated[Path, typer.Argument(help="Where the small one goes.")],
) -> None:
    """Shrink a checkpoint to what the repository can carry: 16-bit, still with its optimiser, for `fit --begin`."""
    checkpoint.save(out, checkpoint.load(source, fit.Settings.rate), compact=True)


@app.command("sheet")
def sheet_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    model: Annotated[Path, typer.Option(help="A restorer's .onnx file.")] = ROOT / "weights" / "frrnet-336-int8.onnx",
    data: Data = DATA,
    runs: Runs = RUNS,
    wild: Annotated[bool, typer.Option(help="The faces in DATA/wild instead of degraded held-out ones.")] = False,
    count: Annotated[int, typer.Option(help="How many held-out faces.")] = 24,
) -> None:
    """Draw degraded | restored | original faces, to look at."""
    restore, size = evaluate.restorer(model)
    if wild:
        image = sheet.wild_sheet(restore, size, data / "wild", masks.Landmarks(data / YUNET))
    else:
        image = sheet.faces_sheet(restore, size, load_faces(data, runs / "cache", evaluate.REFERENCE), count)
    sheet.write(out, image)


if __name__ == "__main__":
    app()

"""The commands that measure networks and draw them: evaluate, classifier, export, tones, times, plane and sheet."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from onnxruntime.quantization import CalibrationMethod
from rich.console import Console
from rich.markdown import Markdown

from frrcam.faces.detector import InsightFaceDetector
from frrcam.faces.tracker import Tracker
from train import (
    classifier,
    evaluate,
    flicker,
    manifest,
    masks,
    measurements,
    page,
    perceptual,
    plane,
    publish,
    restorers,
    second_opinion,
    sheet,
    tables,
    timing,
    tones,
)
from train.data import load_faces
from train.features import feature_network
from train.folders import DATA, MOBILEFACENET, RECORD, ROOT, RUNS, WEIGHTS, YUNET, Data, Runs, Threads
from train.progress import stepped

DETECTOR = WEIGHTS / "frrcam-face-320.onnx"

app = typer.Typer()
Count = Annotated[int | None, typer.Option(min=1, help="Look at so many held-out faces only.")]
Record = Annotated[Path, typer.Option(help="JSON file that keeps what was measured of every version.")]
Weights = Annotated[Path, typer.Option(help="Folder of the files and their manifest.toml.")]


def tools(data: Path, runs: Path, count: int | None, *, clips: bool) -> publish.Tools:
    """Held-out faces, clips and networks to measure with; what is missing among clips, LPIPS and dlib is noted."""
    notes: dict[str, str] = {}
    distances = {}
    for name, load in (("lpips", perceptual.load), ("dlib", second_opinion.load)):
        distance, why = load()
        if why:
            notes[name] = why
        if distance:
            distances[name] = distance
    held = evaluate.held_out(load_faces(data, runs / "cache", evaluate.REFERENCE), count)
    bench = evaluate.Bench(held, evaluate.Identity(data / MOBILEFACENET), distances)
    found: list[flicker.Clip] = []
    files = sorted((data / "clips").glob("*.mp4"))
    if not clips:
        notes["flicker"] = "left out by --no-clips"
    elif not files:
        notes["flicker"] = f"no .mp4 in {data / 'clips'}"
    else:
        detector = InsightFaceDetector(DETECTOR)
        prepared = [
            flicker.prepare(files[i], detector, Tracker()) for i in stepped(range(len(files)), "following faces")
        ]
        found = [clip for clip in prepared if clip is not None]
    return publish.Tools(bench, found, notes, partial(timing.paper_file, runs), stepped)


@app.command("evaluate")
def evaluate_command(
    models: Annotated[list[Path], typer.Argument(help="Restorers' .onnx files, or checkpoints (.pt).")],
    data: Data = DATA,
    runs: Runs = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    page_folder: Annotated[
        Path | None, typer.Option("--page", help="Folder for an HTML page of pictures.", file_okay=False)
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the figures in docs/measurements.json, renew the model card's.")
    ] = False,
    clips: Annotated[bool, typer.Option(help="Flicker on DATA/clips.")] = True,
    count: Count = None,
    size: Annotated[int, typer.Option(min=1, help="Crop side at which checkpoints are looked at.")] = 336,
    threads: Threads = 1,
) -> None:
    """Measure restorers on held-out faces degraded by Eq. 2, and their time: tables, JSON, a page of pictures."""
    torch.set_num_threads(threads)
    restorers = [evaluate.restorer(file, size=size) for file in models]
    if record and any(file.suffix == ".pt" for file in models):
        raise ValueError("--record keeps .onnx files alone: export the checkpoint first")
    if record:
        publish.known(models, WEIGHTS, RECORD)  # before twenty minutes of measuring
    measured_with = tools(data, runs, count, clips=clips)
    shown = []
    for file, (restore, side) in zip(models, restorers, strict=True):
        found, rows = publish.assess(file.name, restore, side, measured_with)
        if file.suffix != ".pt":
            found = replace(found, milliseconds=timing.milliseconds(file))
        shown.append(page.Shown(found, rows, restore))
        if not as_json:
            Console().print(tables.show(found))
    if as_json:
        print(json.dumps([asdict(one.report) for one in shown], indent=1, ensure_ascii=False))
    if page_folder:
        written = page.write(page_folder, shown, measured_with.bench)
        Console(stderr=True).print(f"pictures: {written}", markup=False)
    if record:
        publish.record_again(models, [one.report for one in shown], measured_with, WEIGHTS, RECORD)


@app.command("classifier")
def classifier_command(
    model: Annotated[Path, typer.Argument(help="A restorer's .onnx file.")] = WEIGHTS / "frrnet-336-int8.onnx",
    data: Data = DATA,
    runs: Runs = RUNS,
    images: Annotated[int, typer.Option(min=64, help="Degraded faces that the head learns from.")] = 4000,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    threads: Threads = 1,
) -> None:
    """What the network's own classifier is worth beside one on a face network's features, as in the paper."""
    torch.set_num_threads(threads)
    restore, size = evaluate.restorer(model)
    features = feature_network("mobilefacenet", data / MOBILEFACENET)
    times = timing.milliseconds(data / MOBILEFACENET), timing.milliseconds(model)
    faces = load_faces(data, runs / "cache", evaluate.REFERENCE)
    found = classifier.compare(features, restore, size, faces, images, times, stepped)
    if as_json:
        print(json.dumps(asdict(found), indent=1))
    else:
        Console().print(tables.classifiers(found))


@app.command("export")
def export_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    data: Data = DATA,
    runs: Runs = RUNS,
    weights: Weights = WEIGHTS,
    record: Record = RECORD,
    rungs: Annotated[str, typer.Option(help="SIZE-PRECISION,... ; int8, fp16 or fp32.")] = "336-int8,224-int8,336-fp16",
    default: Annotated[str, typer.Option(help="The file that the manifest names as default.")] = "frrnet-336-int8",
    calibrate: Annotated[str, typer.Option(help="How int8 ranges are read: MinMax, Percentile or Entropy.")] = "MinMax",
    clips: Annotated[bool, typer.Option(help="Flicker of the default on DATA/clips.")] = True,
    count: Count = None,
    threads: Threads = 1,
) -> None:
    """Write ONNX files by the contract, quantise and measure them; then manifest, record and model card."""
    torch.set_num_threads(threads)
    wanted = [publish.Rung.parse(rung) for rung in rungs.split(",")]
    publish.check(source, wanted, weights, record)
    if calibrate not in CalibrationMethod.__members__:
        raise ValueError(f"--calibrate {calibrate}: give MinMax, Percentile or Entropy")
    faces = load_faces(data, runs / "cache", evaluate.REFERENCE)
    measured_with = tools(data, runs, count, clips=clips)
    method = CalibrationMethod[calibrate]
    publish.publish(source, weights, wanted, faces, measured_with, default, record, method)


def shipped_in(weights: Path) -> dict[str, manifest.Entry]:
    """The manifest's restorers; ValueError if it has none."""
    found = manifest.restorers(weights)
    if not found:
        raise ValueError(f"no restorer in {weights / manifest.NAME}: make some with python -m train export")
    return found


def int8_files() -> list[Path]:
    """The shipped restorers in int8."""
    return sorted(WEIGHTS.glob("frrnet-*-int8.onnx"))


@app.command("tones")
def tones_command(
    models: Annotated[
        list[Path] | None, typer.Argument(help="Restorers' .onnx files, or checkpoints; all int8 files if none.")
    ] = None,
    data: Data = DATA,
    runs: Runs = RUNS,
    count: Annotated[int, typer.Option("--faces", min=1, help="How many of the faces, drawn by lot.")] = 2000,
    draws: Annotated[int, typer.Option(min=1, help="Degradations of each face.")] = 2,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The held-out faces, too few to tell a decibel, not those trained on.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Page (.md) to write, with its picture (.png) beside it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    threads: Threads = 1,
) -> None:
    """Whether a network serves every skin tone alike: its own part of the difference, the pictures', and chance's."""
    torch.set_num_threads(threads)
    if out and out.suffix != ".md":
        raise ValueError(f"--out {out}: give the name of a page, .md; its picture is put beside it")
    files = models or int8_files()
    opened = [evaluate.restorer(file) for file in files]
    faces = load_faces(data, runs / "cache", evaluate.REFERENCE)
    chosen = np.random.default_rng(evaluate.SEED).permutation(faces.indices(training=not held_out))[:count]
    angles, measured = tones.psnr(opened, faces, chosen, draws, stepped)
    found = [
        tones.compare(file.name, size, angles, values)
        for file, (_, size), values in zip(files, opened, measured, strict=True)
    ]
    split = "held-out faces" if held_out else "faces that the networks were trained on"
    what = f"{len(chosen)} {split}, each under {draws} degradation{'s' * (draws != 1)} by Eq. 2"
    command = f"python -m train tones --faces {count} --draws {draws}{' --held-out' * held_out}"
    written = tones.page(found, command, what)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        Console().print(Markdown(written))
    if out:
        tones.draw(found, out.with_suffix(".png"))
        out.write_text(f"{written}\n![PSNR by skin tone]({out.with_suffix('.png').name})\n")


@app.command("times")
def times_command(
    models: Annotated[
        list[Path] | None, typer.Argument(help="Restorers' .onnx files; all in weights/ if none.")
    ] = None,
    runs: Runs = RUNS,
    weights: Weights = WEIGHTS,
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn.")] = 8,
) -> None:
    """Time restorers in turns with the paper's own network, (12,2) at stem 1 in fp32, and print the ratios."""
    files = models or [weights / str(entry["file"]) for entry in shipped_in(weights).values()]
    for file in files:
        restorers.contract_session(restorers.existing(file), 1)
    found = timing.interleaved([timing.paper_file(runs), *files], rounds=rounds, progress=stepped)
    Console().print(tables.times(["the paper's own, fp32", *(file.name for file in files)], found))


@app.command("plane")
def plane_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")] = ROOT / "docs" / "family.png",
    runs: Runs = RUNS,
    weights: Weights = WEIGHTS,
    record: Record = RECORD,
    rounds: Annotated[int, typer.Option(min=1, help="How often each shipped file has its turn.")] = 8,
) -> None:
    """Time what ships beside the paper's own network, and draw every version measured: milliseconds against PSNR."""
    publish.check_kept(weights, record)
    shipped = shipped_in(weights)
    files = [weights / str(entry["file"]) for entry in shipped.values()]
    paper, *times = timing.interleaved([timing.paper_file(runs), *files], rounds=rounds, progress=stepped)
    digests = [str(entry["sha256"]) for entry in shipped.values()]
    measurements.retime(record, dict(zip(digests, times, strict=True)))
    publish.renew(weights, record)
    found = plane.places(measurements.read(record), set(digests), paper.milliseconds)
    plane.draw(found, paper.milliseconds, out)
    for place in sorted(found, key=lambda place: place.milliseconds):
        said = "ships" if place.shipped else "does not ship"
        worse = ", dominated" if plane.dominated(place, found) else ""
        print(f"{place.name}: {place.milliseconds:.1f} ms, {place.psnr[0]:.2f} dB, {said}{worse}")


@app.command("sheet")
def sheet_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    model: Annotated[
        list[Path] | None, typer.Option(help="A restorer's .onnx file or a checkpoint, a row for each; all int8 files.")
    ] = None,
    data: Data = DATA,
    runs: Runs = RUNS,
    wild: Annotated[bool, typer.Option(help="The faces in DATA/wild instead of degraded held-out ones.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many held-out faces.")] = 24,
) -> None:
    """Draw degraded | restored by each model | original faces, to look at."""
    files = model or int8_files()
    rungs = sorted(map(evaluate.restorer, files), key=lambda rung: -rung[1])
    if wild:
        image = sheet.wild_sheet(rungs, data / "wild", masks.Landmarks(data / YUNET))
    else:
        image = sheet.faces_sheet(rungs, load_faces(data, runs / "cache", evaluate.REFERENCE), count)
    sheet.write(out, image)

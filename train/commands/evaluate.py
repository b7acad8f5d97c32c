"""The commands that measure networks: evaluate, classifier, tones, times."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from frrcam.compose import exposure
from train.commands.tools import Count, Weights, int8_files, shipped_in, tools
from train.common.paths import DATA, MOBILEFACENET, RECORD, RUNS, WEIGHTS, Data, Runs, Threads
from train.common.progress import stepped
from train.data.faces import load_faces
from train.evaluate import classifier, exposure_meter, measure, page, restorers, skin_tone_gap, tables, timing
from train.networks.face_features import feature_network
from train.publish import publish

app = typer.Typer()


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
    restorers = [measure.restorer(file, size=size) for file in models]
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
    restore, size = measure.restorer(model)
    features = feature_network("mobilefacenet", data / MOBILEFACENET)
    times = timing.milliseconds(data / MOBILEFACENET), timing.milliseconds(model)
    faces = load_faces(data, runs / "cache", measure.REFERENCE)
    found = classifier.compare(features, restore, size, faces, images, times, stepped)
    if as_json:
        print(json.dumps(asdict(found), indent=1))
    else:
        Console().print(tables.classifiers(found))


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
    opened = [measure.restorer(file) for file in files]
    faces = load_faces(data, runs / "cache", measure.REFERENCE)
    chosen = np.random.default_rng(measure.SEED).permutation(faces.indices(training=not held_out))[:count]
    angles, measured = skin_tone_gap.psnr(opened, faces, chosen, draws, stepped)
    found = [
        skin_tone_gap.compare(file.name, size, angles, values)
        for file, (_, size), values in zip(files, opened, measured, strict=True)
    ]
    split = "held-out faces" if held_out else "faces that the networks were trained on"
    what = f"{len(chosen)} {split}, each under {draws} degradation{'s' * (draws != 1)} by Eq. 2"
    command = f"python -m train tones --faces {count} --draws {draws}{' --held-out' * held_out}"
    written = skin_tone_gap.page(found, command, what)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        Console().print(Markdown(written))
    if out:
        skin_tone_gap.draw(found, out.with_suffix(".png"))
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


@app.command("exposure")
def exposure_command(
    data: Data = DATA,
    count: Annotated[int | None, typer.Option(min=8, help="People to read; all if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Fit the light meter to darkened photographs of people; print its constants and errors by skin tone."""
    readings = exposure_meter.read(data, count)
    meter, training = exposure.Meter(), ~readings.held_out
    lacking = -np.log2(readings.gains)
    fitted = {
        "face": exposure_meter.fit(readings.face, lacking.sum(axis=1), training, meter.softness),
        "scene": exposure_meter.fit(readings.scene, lacking[:, 0], training, meter.softness),
    }
    rows = exposure_meter.errors(readings, meter)
    if as_json:
        print(json.dumps({"fitted": fitted, "shipped": {"face": meter.face, "scene": meter.scene}, "held out": rows}))
        return
    table = Table("darkened", "lacking, stops", "dark skin", "brown", "tan", "light", "very light")
    for name, wanted, medians in rows:
        table.add_row(name, f"{wanted:.2f}", *(f"{value:.2f}" for value in medians))
    Console().print(f"fitted: face {fitted['face']}, scene {fitted['scene']}; shipped: {meter.face}, {meter.scene}")
    Console().print(table)

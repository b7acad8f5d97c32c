"""The commands that draw, or count what a network costs: sheet, architecture, ablate."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from train.ablate import report as ablation_report
from train.ablate import variants
from train.commands.tools import int8_files
from train.common import progress
from train.common.images import write_image
from train.common.paths import DATA, MOBILEFACENET, ROOT, RUNS, YUNET, Data, Runs, Threads
from train.data.faces import load_faces
from train.evaluate import measure, sheets
from train.fit import launch, mask_teacher
from train.networks.cost import SHOWN, cost, table
from train.networks.face_features import feature_network

app = typer.Typer()


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
    rungs = sorted(map(measure.restorer, files), key=lambda rung: -rung[1])
    if wild:
        image = sheets.wild_sheet(rungs, data / "wild", mask_teacher.Landmarks(data / YUNET))
    else:
        image = sheets.faces_sheet(rungs, load_faces(data, runs / "cache", measure.REFERENCE), count)
    write_image(out, image)


@app.command("architecture")
def architecture_command(
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """What the network costs at each width, depth, stem stride and size, beside the paper's figures."""
    costs = [cost(*shown) for shown in SHOWN]
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs], indent=1))
    else:
        Console(highlight=False).print(table(costs))


@app.command("ablate")
def ablate_command(
    data: Data = DATA,
    runs: Runs = RUNS,
    out: Annotated[Path, typer.Option(help="Folder of ablations.md and ablations.png.")] = ROOT / "docs",
    images: Annotated[int, typer.Option(min=128, help="Images each variant sees; the three sizes, one eighth.")] = 2000,
    held_out: Annotated[int, typer.Option(min=2, help="Held-out faces to measure on.")] = 64,
    threads: Threads = 1,
) -> None:
    """Train small variants of the network, its losses and sizes, and write what each is worth.

    What RUNS/ablations holds of the same variants is not run again; Ctrl-C stops after a step, the same line goes on.
    """
    torch.set_num_threads(threads)
    faces = {size: load_faces(data, runs / "cache", size) for size in (192, 336)}
    bench = variants.Bench(faces, feature_network("mobilefacenet", data / MOBILEFACENET), images, held_out)
    with launch.asked_to_stop() as stopped, progress.shown() as (_, advance):
        results = variants.run_all(bench, runs / "ablations", advance, stopped)
    if len(results) < len(variants.VARIANTS):
        sys.exit(f"stopped after {len(results)} of {len(variants.VARIANTS)} variants; the same command goes on")
    out.mkdir(parents=True, exist_ok=True)
    command = f"python -m train ablate --images {images} --held-out {held_out} --threads {threads}"
    (out / "ablations.md").write_text(ablation_report.page(results, command))
    ablation_report.draw(results, out / "ablations.png")
    write_image(out / "trade.png", variants.trade_sheet(runs / "ablations", faces[192]))
    print(f"wrote {out / 'ablations.md'}, ablations.png and trade.png")

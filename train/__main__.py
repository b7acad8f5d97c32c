"""python -m train: FRR-Net from photographs to the files in weights/; `python -m train.detector` has its own."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from train import (
    ablate,
    ablation_report,
    architecture,
    checkpoint,
    collect,
    degradations,
    detail_fit,
    fit,
    launch,
    light_fit,
    losses,
    masks,
    measuring,
    part,
    progress,
    sheet,
    tone,
)
from train.arguments import Given, chosen, options, run
from train.data import LABELS, load_bare, load_faces
from train.features import feature_network
from train.folders import DATA, MOBILEFACENET, ROOT, RUNS, YUNET, Data, Runs, Threads, primary
from train.launch import Machine, Places
from train.settings import Phase, Settings

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


def say(text: str) -> None:
    print(text, flush=True)


@app.command("fit")
@options(Settings, Machine, losses.Weights)
def fit_command(
    given: Given,
    data: Annotated[
        str, typer.Option(help="Folder of shards, or their webdataset address; A::B joins two.", envvar="FRRCAM_DATA")
    ] = str(DATA),
    models: Annotated[Path | None, typer.Option(help="Folder of mobilefacenet.onnx; DATA/models if not given.")] = None,
    runs: Runs = RUNS,
    out: Annotated[Path | None, typer.Option(help="Folder of this training; RUNS/default if not given.")] = None,
    begin: Annotated[Path | None, typer.Option(help="Checkpoint to begin from if OUT has none.")] = None,
    light: Annotated[Path | None, typer.Option(help="What `light` left, for a network that begins.")] = None,
    detail: Annotated[Path | None, typer.Option(help="What `detail` left, likewise.")] = None,
    phases: Annotated[
        str, typer.Option(help="SIZE:BATCH:IMAGES,... in order; a batch is that of all processes together.")
    ] = "96:16:64000,176:8:32000,336:4:8000",
    width: Annotated[
        int | None, typer.Option(help="Channels of the first dense block per unit of stem stride.", show_default="16")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Layers in each dense block.", show_default="2")] = None,
    stem_stride: Annotated[
        int | None, typer.Option(help="Space-to-depth before the first convolution: 1, 2 or 4.", show_default="4")
    ] = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's loss weights, where none is given.")] = False,
) -> None:
    """Train, or go on training: OUT/checkpoint.pt is taken up where it stopped, to the same result. Ctrl-C saves it.

    A training that begins from another's checkpoint (--begin) goes through all its phases, as a new one does.

    On many GPUs or machines: torchrun --nproc-per-node=gpu -m train fit ...
    """
    weights = replace(losses.PAPER if paper else losses.Weights(), **chosen(losses.Weights, given))
    planned = tuple(Phase.parse(part) for part in phases.split(","))
    settings = Settings(planned, weights=weights, **chosen(Settings, given))
    asked = {"width": width, "depth": depth, "stem_stride": stem_stride}
    shape = {name: value for name, value in asked.items() if value is not None}
    folder = primary(data)
    mobilefacenet = models / "mobilefacenet.onnx" if models else folder / MOBILEFACENET
    places = Places(data, runs / "cache", out or runs / "default", mobilefacenet, begin, light, detail, folder)
    launch.train(shape, settings, Machine(**chosen(Machine, given)), places)


def trains(course: part.Course) -> Callable[..., None]:
    """The command that trains a part alone, or goes on where OUT stopped."""

    def command(
        out: Annotated[Path, typer.Argument(help="File of this training: taken up if it is there.")],
        data: Data = DATA,
        runs: Runs = RUNS,
        images: Annotated[int, typer.Option(min=1, help="Faces to see.")] = course.settings.images,
        begin: Annotated[
            Path | None, typer.Option(help="FRR-Net's checkpoint to take the part from, if OUT is new.")
        ] = None,
        rate: Annotated[float, typer.Option(help="Highest learning rate (AdamW).")] = course.settings.rate,
        threads: Threads = 1,
    ) -> None:
        torch.set_num_threads(threads)
        phase = replace(course.settings.phases[0], images=images)
        settings = replace(course.settings, phases=(phase,), rate=rate)
        torch.manual_seed(settings.seed)
        training = part.PartTraining(course)
        if out.exists():
            training.take(part.read(out, course))
        elif begin is not None:
            training.begin(checkpoint.load_network(begin)[0])
        faces = load_faces(data, runs / "cache", 192 if phase.size <= 192 else 336)
        faces = replace(faces, lesson=tone.even_lesson(faces))
        with progress.shown() as (report, advance), launch.asked_to_stop() as stopped:
            part.fit_part(training, faces, settings, out, report, advance=advance, stopped=stopped)

    return command


for course in (light_fit.COURSE, detail_fit.COURSE):
    app.command(course.name, help=course.purpose)(trains(course))


@app.command("masks")
@options(masks.Settings)
def masks_command(
    given: Given,
    data: Data = DATA,
    runs: Runs = RUNS,
    again: Annotated[bool, typer.Option("--again", help="Train the teacher anew if RUNS/cache has one.")] = False,
    figures: Annotated[
        Path | None, typer.Option(help="JSON file to keep the teacher's figures in, as docs/masks.json does.")
    ] = None,
    threads: Threads = 1,
) -> None:
    """Train the mask teacher on faces-seg, measure its dice on held-out faces, and label faces-train with it."""
    torch.set_num_threads(threads)
    saved, labels = runs / "cache" / "teacher.pt", runs / "cache" / LABELS
    again = again or not saved.exists()
    settings = masks.Settings(**given)
    if given and not again:
        raise ValueError(f"{saved} is trained: --{', --'.join(given)} would change nothing without --again")
    # first of all, as the teacher takes its time; without labels, as a new teacher does not care for the old one's
    faces = load_bare(data, runs / "cache", 192) if again or not labels.exists() else None
    segmented = masks.read_segmented(primary(data), primary(data) / YUNET)
    if again:
        with progress.shown() as (report, advance):
            teacher = masks.fit_teacher(segmented, settings, report, advance=advance)
        masks.save_teacher(saved, teacher, settings)
    teacher, images = checkpoint.load_network(saved)
    scores = masks.dice_scores(teacher, segmented)
    say(f"dice on {scores.faces} held-out faces: {scores.dice:.4f} ({scores.low:.4f} to {scores.high:.4f})")
    if figures is not None:
        figures.parent.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps({"images": images, **asdict(scores)}, indent=1) + "\n")
    if faces is not None:
        masks.label(teacher, faces, labels)


@app.command("collect")
def collect_command(
    place: Annotated[Path, typer.Argument(help="Folder of pictures, or a bare git repository with --source.")],
    out: Annotated[Path, typer.Option(help="Folder of the shards, for `fit --data DATA::OUT`.")] = RUNS / "collected",
    source: Annotated[
        str | None, typer.Option(help=f"Which known set the repository is: {', '.join(collect.SOURCES)}.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the set; SOURCE or the folder's if not given.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of a folder's pictures, as its source states it.")] = "unknown",
    least: Annotated[int, typer.Option(min=64, help="Smallest aligned face to take, in pixels of the picture.")] = 240,
    data: Data = DATA,
) -> None:
    """Turn photographs into a shard of training faces: one sharp face each, and none that is kept for measuring."""
    if source is not None and source not in collect.SOURCES:
        raise ValueError(f"--source {source} is not known; known are {', '.join(collect.SOURCES)}")
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder")
    known = collect.SOURCES[source] if source else None
    pictures = collect.from_repository(place, known) if known else collect.from_folder(place)
    finder = collect.Finder(data / YUNET)
    kept = collect.Known(collect.embedding(data / MOBILEFACENET), collect.kept_faces(data, finder))
    collector = collect.Collector(finder, kept, least)
    title, terms = name or source or place.name, known.licence if known else licence
    taken = (
        collector.take(title, path, content, terms)
        for path, content in progress.counted(pictures, f"looking at the pictures of {title}")
    )
    shard = out / f"faces-train-{title}-000.tar"
    collect.write((sample for sample in taken if sample is not None), shard)
    say(f"{shard}: " + ", ".join(f"{count} {reason}" for reason, count in collector.counts.most_common()))


@app.command("degradations")
def degradations_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    data: Data = DATA,
) -> None:
    """Draw what each operation of the degradation does, and random mixtures of them, on held-out SFHQ faces."""
    degradations.write(out, degradations.sheet(data))


@app.command("pack")
def pack_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    out: Annotated[Path, typer.Argument(help="Where the small one goes.")],
) -> None:
    """Shrink a checkpoint to what the repository can carry: 16-bit, still with its optimiser, for `fit --begin`."""
    checkpoint.save(out, checkpoint.load(source, fit.Settings.rate), compact=True)


@app.command("architecture")
def architecture_command(
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """What the network costs at each width, depth, stem stride and size, beside the paper's figures."""
    costs = [architecture.cost(*shown) for shown in architecture.SHOWN]
    if as_json:
        say(json.dumps([asdict(cost) for cost in costs], indent=1))
    else:
        Console(highlight=False).print(architecture.table(costs))


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
    bench = ablate.Bench(faces, feature_network("mobilefacenet", data / MOBILEFACENET), images, held_out)
    with launch.asked_to_stop() as stopped, progress.shown() as (_, advance):
        results = ablate.run_all(bench, runs / "ablations", advance, stopped)
    if len(results) < len(ablate.VARIANTS):
        sys.exit(f"stopped after {len(results)} of {len(ablate.VARIANTS)} variants; the same command goes on")
    out.mkdir(parents=True, exist_ok=True)
    command = f"python -m train ablate --images {images} --held-out {held_out} --threads {threads}"
    (out / "ablations.md").write_text(ablation_report.page(results, command))
    ablation_report.draw(results, out / "ablations.png")
    sheet.write(out / "trade.png", ablate.trade_sheet(runs / "ablations", faces[192]))
    say(f"wrote {out / 'ablations.md'}, ablations.png and trade.png")


app.add_typer(measuring.app)


def main() -> None:
    """Run a command."""
    run(app)


if __name__ == "__main__":
    main()

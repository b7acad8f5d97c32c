"""The commands that train: fit, light, detail, masks, pack."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from train.common import progress
from train.common.options import Given, chosen, options
from train.common.paths import DATA, MOBILEFACENET, RUNS, YUNET, Data, Runs, Threads, primary
from train.data import skin_tone
from train.data.faces import LABELS, load_bare, load_faces
from train.fit import checkpoint, launch, loop, losses, mask_teacher, pretrain, pretrain_detail, pretrain_light
from train.fit.launch import Machine, Places
from train.fit.settings import Phase, Settings

app = typer.Typer()


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


def trains(course: pretrain.Course) -> Callable[..., None]:
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
        training = pretrain.PartTraining(course)
        if out.exists():
            training.take(pretrain.read(out, course))
        elif begin is not None:
            training.begin(checkpoint.load_network(begin)[0])
        faces = load_faces(data, runs / "cache", 192 if phase.size <= 192 else 336)
        faces = replace(faces, lesson=skin_tone.even_lesson(faces))
        with progress.shown() as (report, advance), launch.asked_to_stop() as stopped:
            pretrain.fit_part(training, faces, settings, out, report, advance=advance, stopped=stopped)

    return command


for course in (pretrain_light.COURSE, pretrain_detail.COURSE):
    app.command(course.name, help=course.purpose)(trains(course))


@app.command("masks")
@options(mask_teacher.Settings)
def masks_command(
    given: Given,
    data: Data = DATA,
    runs: Runs = RUNS,
    again: Annotated[bool, typer.Option("--again", help="Train the teacher again if RUNS/cache has one.")] = False,
    figures: Annotated[
        Path | None, typer.Option(help="JSON file to keep the teacher's figures in, as docs/masks.json does.")
    ] = None,
    threads: Threads = 1,
) -> None:
    """Train the mask teacher on faces-seg, measure its dice on held-out faces, and label faces-train with it."""
    torch.set_num_threads(threads)
    saved, labels = runs / "cache" / "teacher.pt", runs / "cache" / LABELS
    again = again or not saved.exists()
    settings = mask_teacher.Settings(**given)
    if given and not again:
        raise ValueError(f"{saved} is trained: --{', --'.join(given)} would change nothing without --again")
    # first of all, as the teacher takes its time; without labels, as a new teacher does not care for the old one's
    faces = load_bare(data, runs / "cache", 192) if again or not labels.exists() else None
    segmented = mask_teacher.read_segmented(primary(data), primary(data) / YUNET)
    if again:
        with progress.shown() as (report, advance):
            teacher = mask_teacher.fit_teacher(segmented, settings, report, advance=advance)
        mask_teacher.save_teacher(saved, teacher, settings)
    teacher, images = checkpoint.load_network(saved)
    scores = mask_teacher.dice_scores(teacher, segmented)
    print(
        f"dice on {scores.faces} held-out faces: {scores.dice:.4f} ({scores.low:.4f} to {scores.high:.4f})", flush=True
    )
    if figures is not None:
        figures.parent.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps({"images": images, **asdict(scores)}, indent=1) + "\n")
    if faces is not None:
        mask_teacher.label(teacher, faces, labels)


@app.command("pack")
def pack_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    out: Annotated[Path, typer.Argument(help="Where the small one goes.")],
) -> None:
    """Shrink a checkpoint to what the repository can carry: 16-bit, still with its optimiser, for `fit --begin`."""
    checkpoint.save(out, checkpoint.load(source, loop.Settings.rate), compact=True)

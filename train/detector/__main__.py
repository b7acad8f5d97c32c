"""`python -m train.detector`: label, mine, fit, calibrate, export, judge and show the face detector."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from frrcam.faces.second_look import SECOND_LOOK
from train.common import progress
from train.common.images import write_image
from train.common.options import run
from train.common.paths import DATA, RUNS, Data
from train.detector import evaluate as evaluation
from train.detector import fit as fitting
from train.detector import publish as publishing
from train.detector import sheet
from train.detector.data import faces, mixture, real
from train.detector.data import mine as mining
from train.detector.judging import calibrate as calibrating
from train.detector.judging import exam
from train.detector.judging import report as exam_report
from train.detector.network import Architecture

CACHE = RUNS.parent / "det"

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Cache = Annotated[Path, typer.Option(help="Where decoded faces and backgrounds are kept between runs.")]
Size = Annotated[str, typer.Option(help="Input size WIDTHxHEIGHT, both divisible by 32.")]
Threshold = Annotated[float, typer.Option(help="Score from which a face counts.")]


def parse_size(text: str) -> tuple[int, int]:
    """'320x192' as (width, height); typer.BadParameter unless both are positive multiples of 32."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 and int(side) % 32 == 0 for side in sides):
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT with both divisible by 32, as in 320x192")
    return int(sides[0]), int(sides[1])


@app.command()
def labels(data: Data = DATA, cache: Cache = CACHE) -> None:
    """Label every training face once (known points, YuNet's box) and keep the decoded pictures."""
    bank = faces.load_or_label(data, cache)
    typer.echo(f"{len(bank.keys)} faces, {len(bank.indices(training=False))} of them held out, in {cache}")


@app.command()
def fit(
    out: Annotated[Path, typer.Option(help="Folder for last.pt and log.jsonl.")] = CACHE / "run",
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    restart: Annotated[bool, typer.Option(help="Take only the weights of --resume; restart the schedule.")] = False,
    images: Annotated[int, typer.Option(min=1, help="Frames to see in all.")] = fitting.FitSettings.images,
    batch: Annotated[int, typer.Option(min=1, help="Frames per step.")] = fitting.FitSettings.batch,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = fitting.FitSettings.rate,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and frames.")] = 0,
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Train on real and composed frames until --images are seen; a checkpoint every 6,000."""
    if resume is None and (out / fitting.LAST).exists():
        raise ValueError(f"{out / fitting.LAST} holds a training: go on with it by --resume, or give another --out")
    settings = fitting.FitSettings(images=images, batch=batch, rate=rate, seed=seed)
    state = fitting.load(resume, settings, restart=restart) if resume else fitting.new_state(Architecture(), settings)
    source = mixture.open_mixture(data, cache, seed=seed)
    with progress.shown() as (report, advance):
        fitting.fit(state, source, settings, out, report, advance=advance)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to take the averaged weights from.")],
    out: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    int8: Annotated[bool, typer.Option(help="Quantise, ranges read off training frames.")] = True,
    record: Annotated[bool, typer.Option(help="Measure it; make it the manifest's default.")] = False,
    calibration: Annotated[int, typer.Option(min=1, help="Training frames to quantise with.")] = 160,
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Write the ONNX file that insightface loads."""
    if record and not int8:
        raise typer.BadParameter("--record publishes the int8 file: leave --no-int8 out")
    source = mixture.open_mixture(data, cache) if int8 else None
    if record and source is not None:
        publishing.publish(checkpoint, out, source, calibration, publishing.Benchmark(data, cache))
    else:
        publishing.write(checkpoint, out, source, calibration)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


@app.command()
def mine(
    model: Annotated[Path, typer.Argument(help="ONNX file whose ghosts become training frames.")],
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Find ghosts in training rooms and misses among training people; the next `fit` shows these more often."""
    rooms = real.load(data, real.SCENES, real.Part.TRAINING)
    detector = exam.open_detector(model, mining.SCORE, None)
    found = mining.mine(detector, progress.counted(rooms, "mining"))
    people = real.load(data, real.PEOPLE, real.Part.TRAINING)
    missed = mining.misses(detector, progress.counted(people, "mining"))
    mining.save(cache / mixture.HARD, found, missed)
    typer.echo(f"{len(found)} ghosts in {len(rooms)} rooms, {len(missed)} faces missed, in {cache / mixture.HARD}")


@app.command()
def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint whose scores are to mean something.")],
    out: Annotated[Path, typer.Argument(help="Checkpoint to write: its averaged weights, calibrated.")],
    views: Annotated[int, typer.Option(min=1, help="Frames to look at, of the calibration part.")] = 2400,
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Fit scale and shift of the scores: 0.7 is right 95 % of the time, 0.5 80 %. `export` folds them in."""
    network, _ = fitting.load_averaged(checkpoint)
    samples = calibrating.collect(network, progress.counted(calibrating.views(data, views), "looking"))
    slope, offsets = calibrating.platt(samples)
    found = calibrating.calibration(slope, offsets)
    fitting.keep_calibrated(checkpoint, out, found)
    typer.echo(f"{len(samples)} detections: slope {slope:.3f}, offsets {np.round(offsets, 3)}; {found}")


@app.command()
def judge(
    model: Annotated[Path, typer.Argument(help="ONNX file to judge.")],
    threshold: Threshold = 0.5,
    pan: Annotated[int, typer.Option(min=0, help="Held-out rooms to move a camera over, tracks counted.")] = 0,
    figures: Annotated[Path | None, typer.Option(help="Folder for sheets of misses and ghosts.")] = None,
    look: Annotated[bool, typer.Option(help="Look at doubtful detections again, as the daemon does.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Recall, ghosts, calibration, points and skin tones on held-out people, rooms, clips and composites."""
    questions = exam.open_exam(data, cache)
    second_look = SECOND_LOOK if look else None
    result = exam.take(model, questions, second_look)
    found = result.as_dict(threshold)
    if pan:
        detector = exam.open_detector(model, threshold, second_look)
        tracks, frames = exam.ghost_tracks(detector, questions.rooms[:pan])
        found["ghost_tracks"] = {"rooms": min(pan, len(questions.rooms)), "frames": frames, "tracks": tracks}
    if figures:
        for name, image in exam.sheets(questions, result, threshold).items():
            write_image(figures / f"{name}.png", image)
    if json_:
        typer.echo(json.dumps(found, indent=2))
    else:
        for table in exam_report.tables(model.name, found):
            Console().print(table)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="ONNX file to judge.")],
    size: Size = "320x320",
    reference_size: Annotated[str, typer.Option(help="Input size of the reference.")] = "640x640",
    threshold: Threshold = 0.5,
    composites: Annotated[int, typer.Option(help="Judge on that many composites of held-out faces instead.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    data: Data = DATA,
    cache: Cache = CACHE,
) -> None:
    """Compare with scrfd_2.5g_bnkps on every frame of every clip."""
    if composites:
        composer = fitting.open_composer(data, cache, fitting.FitSettings(), training=False)
        figures = publishing.compare_composites(model, composer, composites, threshold)
        title = f"{model.name} on {composites} composites of held-out faces"
    else:
        benchmark = publishing.Benchmark(data, cache, parse_size(size), parse_size(reference_size), threshold)
        figures = publishing.compare(model, benchmark)
        title = f"{model.name} at {size} against {publishing.REFERENCE} at {reference_size}"
    if json_:
        typer.echo(json.dumps([figure.as_dict() for figure in figures], indent=2))
    else:
        Console().print(as_table(figures, title))


def as_table(figures: list[evaluation.Figures], title: str) -> Table:
    """The figures as a table, a clip a row."""
    table = Table(title=title)
    for column in ("clip", "frames", "faces", "found", "false / 300", "points, % of eyes", "less bias"):
        table.add_column(column, justify="left" if column == "clip" else "right")
    for f in figures:
        table.add_row(
            f.clip, str(f.frames), str(f.wanted), f"{100 * f.recall:.2f} %", f"{f.false_per_300:.2f}",
            f"{100 * f.points_error:.2f}", f"{100 * f.steady_error:.2f}",
        )  # fmt: skip
    return table


@app.command("sheet")
def draw_sheet(
    model: Annotated[Path, typer.Argument(help="ONNX file to show.")],
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    pictures: Annotated[list[Path] | None, typer.Option(help="Pictures or clips; else --data's.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 4,
    size: Size = "320x320",
    threshold: Threshold = 0.5,
    data: Data = DATA,
) -> None:
    """Draw boxes, scores and points on frames of clips."""
    images: list[sheet.Image] = []
    for path in pictures or sorted((data / "clips").glob("*.mp4")):
        images += sheet.pick_frames(path, frames if path.suffix == ".mp4" else 1)
    detector = evaluation.InsightFaceDetector(model, parse_size(size), threshold)
    if not images:
        raise FileNotFoundError(f"no clip in {data / 'clips'}: set --data to the folder that holds clips/")
    write_image(out, sheet.sheet(images, detector))
    typer.echo(str(out))


def main() -> None:
    """Run a command on one thread."""
    torch.set_num_threads(1)
    run(app)


if __name__ == "__main__":
    main()

"""python -m benchmarks.scene: see the docstring of `main`."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.scene import report, sheets
from benchmarks.scene.clips import Clip, find_faces, own_clip, read_clip
from benchmarks.scene.publish import BEST, Networks, Publisher, open_networks
from benchmarks.scene.score import Sample, Score, Timed, score
from benchmarks.scene.spoil import KINDS
from frrcam.config import Settings, load_settings
from frrcam.errors import FrrcamError, UsageError
from frrcam.frame import Frame

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NOT_CLEAN = ("car_glasses_yawn", "dim_water", "low_quality")
"""Beginnings of the names of clips in DATA that are no truth: unless a kind is asked for, they are published as is."""
SETTLE_S = 0.8
"""Seconds for which the first picture is shown before it is scored: a call's first second is another matter."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    clips: Annotated[list[Path] | None, typer.Argument(metavar="[CLIP]...", help="Clean clips; see --clips.")] = None,
    folder: Annotated[Path | None, typer.Option("--clips", help="Folder of clips; default: DATA/clips.")] = None,
    own: Annotated[int, typer.Option(min=0, help="As many clips of its own making, and no others unless given.")] = 0,
    kind: Annotated[list[str] | None, typer.Option(help=f"One or more of: {', '.join(KINDS)}.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each clip that are published, from its start.")] = 40,
    every: Annotated[int, typer.Option(min=1, help="Score every N-th of them.")] = 4,
    level: Annotated[str, typer.Option(help="Level of work, as `frrcam bench` names it.")] = BEST,
    given: Annotated[list[str] | None, typer.Option("--set", help="A setting: restore.strength=0.5.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network.")] = 1,
    seed: Annotated[int, typer.Option(help="Of noise and own clips.")] = 0,
    data: Annotated[Path, typer.Option(envvar="FRRCAM_DATA", help="Folder with clips/ and shards.")] = DATA,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a sheet for each kind into this folder.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Compare with what --json wrote earlier.")] = None,
    read: Annotated[Path | None, typer.Option(help="Show what --json wrote; run nothing.")] = None,
    legend: Annotated[bool, typer.Option("--legend", help="Say what each figure is, and end.")] = False,
) -> None:
    """Spoil clean clips, publish them through frrcam's own pipeline, compare with the clean clip.

    A minute a clip on one thread; fewer frames or kinds take less.

        python -m benchmarks.scene --json before.json --out sheets
        python -m benchmarks.scene one_face.mp4 --kind dim --kind still --baseline before.json
        python -m benchmarks.scene --own 3 --set restore.strength=0.7
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    if legend:
        for name, figure in report.FIGURES.items():
            console.print(f"[bold]{name}[/] {figure.about}", highlight=False)
        return
    cv2.setNumThreads(1)
    old = report.read(baseline) if baseline else None
    if read:
        found = report.read(read)
    else:
        unknown = sorted(set(kind or ()) - KINDS.keys())
        if unknown:
            raise UsageError(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
        paths = clips or ([] if own and folder is None else sorted((folder or data / "clips").glob("*.mp4")))
        loaders: list[Callable[[], Clip]] = [partial(read_clip, path, frames) for path in paths]
        loaders += [partial(own_clip, data, number, seed, frames) for number in range(own)]
        if not loaders:
            raise UsageError(f"there is no .mp4 in {folder or data / 'clips'}: name clips, or --own N")
        settings = load_settings(_flags(given or [], threads))
        made: dict[str, Any] = {"level": level, "frames": frames, "every": every, "seed": seed, "set": given or []}
        made |= {"threads": threads, "made": datetime.now(UTC).isoformat(timespec="seconds")}
        found = report.Report(made, [])
        samples: dict[str, list[Sample]] = {}
        with open_networks(settings, level) as networks, Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("clips", total=len(loaders))
            for load in loaders:
                say = lambda text: progress.update(task, description=text)  # noqa: E731
                for one, sample in _clip_scores(load, kind, networks, settings, every, seed, say):
                    found.scores.append(one)
                    samples.setdefault(one.kind, []).append(sample)
                    if json:
                        found.write(json)  # after each: a run that is cut short is not lost
                progress.advance(task)
        for name, rows in samples.items() if out else ():
            sheets.write(Path(str(out)) / f"{name}.webp", sheets.sheet(rows))
    for line in report.differing_settings(found, old) if old else ():
        console.print(f"[yellow]not alike: {line}")
    console.print(*report.tables(found, old), sep="\n")


def _clip_scores(
    load: Callable[[], Clip],
    kinds: list[str] | None,
    networks: Networks,
    settings: Settings,
    every: int,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[tuple[Score, Sample]]:
    """The scores of one clip, kind by kind."""
    clip = find_faces(load(), networks.detector)
    usual = ["as_is"] if clip.name.startswith(NOT_CLEAN) else [name for name in KINDS if name != "as_is"]
    for kind in kinds or usual:
        say(f"{clip.name}: {kind}")
        publisher = Publisher(networks, clip.fps, settings)

        def publish(frame: Frame, publisher: Publisher = publisher) -> Timed:
            done = publisher.publish(frame)
            return Timed(done.image, 1e3 * done.wall_s, 1e3 * done.cpu_s)

        yield score(clip, kind, publish, seed=seed, every=every, settle=round(SETTLE_S * clip.fps))


def _flags(given: list[str], threads: int) -> dict[str, dict[str, Any]]:
    """Sections of settings from texts like "restore.strength=0.5". Raises UsageError for what is none."""
    flags: dict[str, dict[str, Any]] = {"restore": {"threads": threads}}
    for text in given:
        key, equals, value = text.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot):
            raise UsageError(f"--set {text!r}: a setting is given as SECTION.KEY=VALUE")
        flags.setdefault(section, {})[name] = value
    return flags


if __name__ == "__main__":
    try:
        app()
    except FrrcamError as error:
        sys.exit(f"error: {error}")

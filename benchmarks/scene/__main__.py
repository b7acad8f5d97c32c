"""python -m benchmarks.scene: see `main`, or --help."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.scene.clips import Clip, own_clip, read_clip
from benchmarks.scene.publish import BEST, open_networks
from benchmarks.scene.report import FIGURES, Report, differing_settings, read, tables
from benchmarks.scene.run import AS_IS_FRAMES, FRAMES, Options, run, usual_frames
from benchmarks.scene.spoil import KINDS
from frrcam.config import load_settings
from frrcam.errors import FrrcamError, UsageError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PLAIN_WIDTH = 160
"""Columns where standard output is no terminal."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def main(
    clips: Annotated[list[Path] | None, typer.Argument(metavar="[CLIP]...", help="Clean clips; see --clips.")] = None,
    folder: Annotated[Path | None, typer.Option("--clips", help="Folder of clips; default: DATA/clips.")] = None,
    own: Annotated[int, typer.Option(min=0, help="Number of clips to make; without --clips, no others.")] = 0,
    kind: Annotated[list[str] | None, typer.Option(help=f"One or more of: {', '.join(KINDS)}.")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help=f"Frames of each clip, from its start: {FRAMES}; {AS_IS_FRAMES} as_is.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Score every N-th of them.")] = 4,
    level: Annotated[str, typer.Option(help="Level of work, as `frrcam bench` names it.")] = BEST,
    given: Annotated[list[str] | None, typer.Option("--set", help="A setting: restore.strength=0.5.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network.")] = 1,
    seed: Annotated[int, typer.Option(help="Of noise and of the clips that are made.")] = 0,
    data: Annotated[Path, typer.Option(envvar="FRRCAM_DATA", help="Folder with clips/ and shards.")] = DATA,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a sheet for each kind into this folder.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Compare with what --json wrote earlier.")] = None,
    shown: Annotated[Path | None, typer.Option("--read", help="Show what --json wrote; run nothing.")] = None,
    legend: Annotated[bool, typer.Option("--legend", help="Say what each figure is, and end.")] = False,
) -> None:
    """Spoil clean clips, publish them through frrcam's own pipeline, and compare with the clean clip.

    A minute a clip on one thread; fewer frames or kinds take less.

        python -m benchmarks.scene --json before.json --out sheets
        python -m benchmarks.scene one_face.mp4 --kind dim --kind still --baseline before.json
        python -m benchmarks.scene --own 3 --set restore.strength=0.7
    """
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    if legend:
        for name, figure in FIGURES.items():
            console.print(f"[bold]{name}[/] {figure.about}")
        return
    old = read(baseline) if baseline else Report({}, [])
    if shown:
        found = read(shown)
    else:
        paths = clips or ([] if own and folder is None else sorted((folder or data / "clips").glob("*.mp4")))
        loaders: list[Callable[[], Clip]] = [
            partial(read_clip, path, frames or usual_frames(path.stem, kind or [])) for path in paths
        ]
        loaders += [partial(own_clip, data, number, seed, frames or FRAMES) for number in range(own)]
        if not loaders:
            raise UsageError(f"there is no .mp4 in {folder or data / 'clips'}: name clips, or --own N")
        flags = _flags(given or [], threads)
        made = {"level": level, "frames": frames, "every": every, "seed": seed, "set": given or [], "threads": threads}
        found = Report(made | {"made": datetime.now(UTC).isoformat(timespec="seconds")}, [])
        _run(loaders, flags, level, Options(_known(kind or []), every, seed, json, out), found, old)
    for line in differing_settings(found, old) if baseline else ():
        console.print(f"[yellow]not alike: {line}")
    console.print(*tables(found, old), sep="\n")


def _run(
    loaders: list[Callable[[], Clip]],
    flags: dict[str, dict[str, Any]],
    level: str,
    options: Options,
    found: Report,
    old: Report,
) -> None:
    """Runs everything with a progress line on stderr. OpenCV gets one thread, as the networks have their own."""
    cv2.setNumThreads(1)
    settings = load_settings(flags)
    with open_networks(settings, level) as networks, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("clips", total=len(loaders))
        run(
            progress.track(loaders, task_id=task),
            networks,
            settings,
            options,
            found,
            old.faces,
            lambda text: progress.update(task, description=text),
        )


def _known(kinds: list[str]) -> list[str]:
    """The kinds. Raises UsageError for one that there is not."""
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    return kinds


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

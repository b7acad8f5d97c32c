"""What needs no camera: bench and enhance."""

from pathlib import Path
from typing import Annotated

import typer

from frrcam.commands.console import fail, print_json, say, show
from frrcam.commands.options import (
    Colour,
    Json,
    Light,
    MaxFaces,
    MaxFacesOffline,
    Model,
    Noise,
    PresetOption,
    Provider,
    ReachOption,
    Sharpness,
    Size,
    SourceOption,
    Strength,
    WhereOption,
    light_flags,
    settings_of,
)
from frrcam.errors import FrrcamError, UsageError


def bench(
    source: SourceOption = "demo",
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long to measure.")] = 10,
    size: Size = None,
    model: Model = None,
    provider: Provider = None,
    max_faces: MaxFaces = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the frame times against the budget: FILE.png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the live pipeline on this machine: milliseconds per stage and per frame, rate, load.

    Without arguments: ten seconds of the demo.

        frrcam bench
        frrcam bench --source clip.mp4 --seconds 20 --plot frames.png
        frrcam bench --json | jq .frame_ms.p95

    Nothing is published.
    """
    import time

    from frrcam.app import bench as benchmark
    from frrcam.commands.tables import bench_tables
    from frrcam.concurrency.notices import Notices
    from frrcam.pipeline.engine import check_models, load_engine
    from frrcam.sources import open_source

    try:
        settings = settings_of(
            camera={"source": source, "size": size},
            restore={"model": model, "provider": provider, "max_faces": max_faces},
        )
        if plot:
            benchmark.check_plot(plot)
        check_models(settings)
        notices = Notices(time.time, say)
        camera = settings.camera
        report, daemon = benchmark.run_bench(
            lambda: open_source(None, camera.source, camera.size, camera.fps, loop=True),
            lambda period: load_engine(settings, period, notices),
            seconds,
            settings,
        )
        if as_json:
            print_json(report.as_json())
        else:
            show(*bench_tables(report))
        if plot:  # after the figures, which a full disk is not to cost
            benchmark.plot(report, daemon, plot)
            say(f"frame times drawn in {plot}")
    except FrrcamError as error:
        fail(error)


def enhance(
    sources: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures, clips, or folders of them.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The file to write, or a folder (then end it with /).")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Take in the subfolders of a folder.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Write before | after side by side.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there already.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out what has its output already: go on where it stopped.")
    ] = False,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep the beginning of a clip that breaks off.")
    ] = False,
    rotate: Annotated[
        int, typer.Option("--rotate", help="Turn by 90, 180 or 270 degrees clockwise; it comes out turned.")
    ] = 0,
    strength: Strength = None,
    preset: PresetOption = None,
    light: Light = None,
    colour: Colour = None,
    noise: Noise = None,
    sharpness: Sharpness = None,
    reach: ReachOption = None,
    where: WhereOption = None,
    model: Model = None,
    provider: Provider = None,
    max_faces: MaxFacesOffline = None,
    as_json: Json = False,
) -> None:
    """Enhance pictures and clips offline, every face of every frame with the best network.

    A clip keeps its frame count, size, rate and sound; a turned one comes out upright.

        frrcam enhance me.jpg better.jpg
        frrcam enhance call.mp4 better.mp4 --compare
        frrcam enhance holiday/ better/ -r --skip-existing
        frrcam enhance *.jpg better/

    Nothing appears under OUT before it is complete, and nothing there is replaced without --overwrite.
    What holds no face is copied.
    """
    from frrcam.enhance import EnhanceOptions
    from frrcam.enhance import enhance as run

    try:
        settings = settings_of(
            restore={"strength": strength, "model": model, "provider": provider, "max_faces": max_faces},
            light=light_flags(preset, light, colour, noise, sharpness, reach, where),
        )
        if overwrite and skip_existing:
            raise UsageError("--overwrite and --skip-existing: name one of them")
        if rotate not in (0, 90, 180, 270):
            raise UsageError(f"--rotate {rotate} cannot be meant; choose 90, 180 or 270")
        options = EnhanceOptions(
            compare,
            recursive,
            "overwrite" if overwrite else "skip" if skip_existing else "refuse",
            keep_partial,
            rotate // 90,
        )
        report = run(sources, target, settings, options, say)
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(report.as_json())
    raise typer.Exit(1 if report.failed else 0)

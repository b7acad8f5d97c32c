"""The commands: parse, call, print. Everything else is elsewhere."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args

import typer
from rich.console import Console

from frrcam.errors import FrrcamError

app = typer.Typer(
    name="frrcam",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A virtual camera that restores and relights faces, live, on this machine alone.

    **First:** `frrcam start`, then choose **FRR Camera** as the camera in the meeting.

    `frrcam doctor` tells what is missing on this machine, and the command that mends it.""",
)
models_app = typer.Typer(no_args_is_help=False, invoke_without_command=True)
app.add_typer(models_app, name="models", help="The networks in weights/, with figures and licences.")

service_app = typer.Typer(no_args_is_help=False, invoke_without_command=True)
app.add_typer(service_app, name="service", help="frrcam as a service of your own systemd: there after every login.")

out, err = Console(), Console(stderr=True, highlight=False, soft_wrap=True)

Device = Annotated[
    str | None, typer.Option("--device", "-d", help="Camera: 0, /dev/video0, a by-id link, or part of its name.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", "-s", help="A clip or picture FILE, or *demo*, instead of a camera.")
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="/dev/videoN, FILE.mp4 or *preview*; default: the FRR Camera."),
]
Size = Annotated[str | None, typer.Option("--size", help="WIDTHxHEIGHT, e.g. 1280x720; default: the nearest it has.")]
Fps = Annotated[
    float | None, typer.Option("--fps", min=1, max=240, help="Pictures a second; default: 30 or the file's.")
]
Strength = Annotated[
    float | None, typer.Option("--strength", min=0, max=1, help="How much of the change is applied, 0 to 1.")
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="*auto*, a name that `frrcam models` lists, or FILE.onnx.")
]
Provider = Annotated[
    str | None,
    typer.Option("--provider", "-p", help="auto, cpu, openvino, cuda, tensorrt, directml, coreml or qnn."),
]
MaxFaces = Annotated[int | None, typer.Option("--max-faces", min=1, max=16, help="Faces enhanced, largest first.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]


def say(text: str) -> None:
    """One line to the person, beside whatever goes to standard output."""
    err.print(f"frrcam: {text}", markup=False)


def say_error(text: str) -> None:
    """What is wrong, on one line."""
    say(f"error: {' '.join(text.split())}")


def fail(error: FrrcamError) -> NoReturn:
    """The one way in which a command fails: one line, and the error's exit code."""
    say_error(str(error))
    raise typer.Exit(error.exit_code)


def print_json(value: object) -> None:
    """To standard output, as it is."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _settings(**flags: dict[str, Any]) -> Any:
    from frrcam.config import Provider as Providers
    from frrcam.config import load_settings, parse_size
    from frrcam.errors import UsageError

    size = flags.get("camera", {}).get("size")
    if size is not None:
        parse_size(size)
    provider = flags.get("restore", {}).get("provider")
    if provider is not None and provider not in get_args(Providers):
        raise UsageError(f'provider "{provider}" is none of: {", ".join(get_args(Providers))}')
    return load_settings(flags)


@app.command()
def start(
    device: Device = None,
    source: SourceOption = None,
    output: Output = None,
    size: Size = None,
    fps: Fps = None,
    strength: Strength = None,
    model: Model = None,
    provider: Provider = None,
    max_faces: MaxFaces = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after so many pictures.")] = None,
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", help="Flip left and right. Meetings mirror your own view already."),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Of the page; 0: any free one.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", help="When it stops, write the last before | after here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Enhance a camera live and publish it as **FRR Camera**.

    Without arguments: the first camera to the virtual camera called "FRR Camera". Where either is missing, a line
    says so and the embedded default serves: the demo picture, the preview page.

        frrcam start                                  the first camera
        frrcam start --device 0                       the camera /dev/video0
        frrcam start --device logi --size 1920x1080   by part of its name
        frrcam start --source clip.mp4 -o preview     a clip, on the page
        frrcam start --source demo -o out.mp4 --frames 300

    Ctrl-C stops.
    """
    from frrcam.start import StartOptions
    from frrcam.start import start as run

    try:
        settings = _settings(
            camera={"device": device, "source": source, "size": size, "fps": fps, "mirror": mirror},
            output={"output": output},
            restore={"strength": strength, "model": model, "provider": provider, "max_faces": max_faces},
            control={"port": port},
        )
        published = run(settings, StartOptions(frames, snapshot, as_json), say)
    except FrrcamError as error:
        fail(error)
    say(f"stopped after {published} pictures")


@app.command()
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

    frrcam bench
    frrcam bench --source clip.mp4 --seconds 20 --plot frames.png
    frrcam bench --json | jq .frame_ms.p95
    """
    import time

    from frrcam import bench as benchmark
    from frrcam.runtime.engine import check_models, load_engine
    from frrcam.runtime.notices import Notices
    from frrcam.sources import open_source

    try:
        settings = _settings(
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
        )
        if plot:
            benchmark.plot(report, daemon, plot)
            say(f"frame times drawn in {plot}")
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(report.as_json())
    else:
        for table in benchmark.as_tables(report):
            out.print(table)


@app.command()
def enhance(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a clip, or a folder of them.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The file to write, or a folder (then end it with /).")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Take in the subfolders of a folder.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Write before | after side by side.")] = False,
    strength: Strength = None,
    model: Model = None,
    provider: Provider = None,
    max_faces: MaxFaces = None,
    as_json: Json = False,
) -> None:
    """Enhance pictures and clips offline, every face of every frame with the best network.

        frrcam enhance me.jpg better.jpg
        frrcam enhance call.mp4 better.mp4 --compare
        frrcam enhance holiday/ better/

    A clip keeps its frame count, size, rate, rotation and sound. Nothing appears under OUT before it is complete.
    """
    from frrcam.enhance import EnhanceOptions
    from frrcam.enhance import enhance as run

    try:
        settings = _settings(
            restore={"strength": strength, "model": model, "provider": provider, "max_faces": max_faces or 16}
        )
        report = run(source, target, settings, EnhanceOptions(compare, recursive), say)
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(report.as_json())
    raise typer.Exit(1 if report.failed else 0)


@app.command()
def devices(as_json: Json = False) -> None:
    """List cameras (formats, sizes, rates, who uses them) and virtual cameras (label, node, state)."""
    from frrcam import devices as found

    try:
        cameras, virtual = found.list_cameras(), found.list_virtual_cameras()
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(found.as_json(cameras, virtual))
    else:
        for table in found.as_tables(cameras, virtual):
            out.print(table)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell what is right and wrong on this machine, and the command that mends it. Exit code 1 if anything is wrong."""
    from frrcam import doctor as ward

    findings = ward.examine()
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        out.print(ward.as_table(findings))
    raise typer.Exit(1 if any(finding.status == "bad" for finding in findings) else 0)


@app.command()
def status(as_json: Json = False) -> None:
    """Ask the running daemon how it is: state, rung and why, milliseconds per frame, what it has said."""
    from frrcam.control.discovery import ask_status
    from frrcam.start import summary

    try:
        answer = ask_status()
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        out.print(summary(answer), markup=False)
        for notice in answer.notices:
            out.print(f"  {notice.text}", markup=False)


@app.command()
def setup(
    remove: Annotated[bool, typer.Option("--remove", help="Undo all of it.")] = False,
    label: Annotated[
        str | None, typer.Option("--label", help='What meeting programs list; default "FRR Camera".')
    ] = None,
    video_nr: Annotated[int | None, typer.Option("--video-nr", help="N of /dev/videoN; default: free from 40.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    shown: Annotated[bool, typer.Option("--shown", hidden=True)] = False,
) -> None:
    """Make the virtual camera on Linux, now and for every boot: three files under /etc, and the kernel module.

    Shows each change first and asks for root only for that; `--remove` undoes all of it.
    """
    from frrcam.setup import SetupOptions
    from frrcam.setup import setup as run

    try:
        run(SetupOptions(label, video_nr, remove, dry_run, shown), say)
    except FrrcamError as error:
        fail(error)


@service_app.callback()
def service(context: typer.Context) -> None:
    """The service; by itself, how it is."""
    if not context.invoked_subcommand:
        service_status()


@service_app.command("install")
def service_install() -> None:
    """Start frrcam now and after every login. It reads config.toml."""
    from frrcam.service import install

    try:
        install(say)
    except FrrcamError as error:
        fail(error)


@service_app.command("remove")
def service_remove() -> None:
    """Stop it, and take the unit away."""
    from frrcam.service import remove

    try:
        remove(say)
    except FrrcamError as error:
        fail(error)


@service_app.command("status")
def service_status(as_json: Json = False) -> None:
    """What systemd says of it, and the daemon of itself. Exit code 1 unless it runs."""
    from frrcam.service import status
    from frrcam.start import summary

    try:
        answer = status()
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(answer.as_json())
    else:
        out.print(str(answer), markup=False)
        if answer.daemon:
            out.print(summary(answer.daemon), markup=False)
    raise typer.Exit(0 if answer.active else 1)


@service_app.command("logs")
def service_logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many, to begin with.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """What it has said."""
    from frrcam.service import logs

    try:
        logs(lines, follow)
    except FrrcamError as error:
        fail(error)


@models_app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """The networks in weights/, with figures and licences; `frrcam models fetch NAME` gets another detector."""
    if context.invoked_subcommand:
        return
    from frrcam.restore import models as known

    try:
        entries = [*known.load_manifest().models.values(), *known.fetched()]
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(known.as_json(entries))
    else:
        out.print(known.table(entries))


@models_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="buffalo_s (122 MB) or buffalo_sc (14 MB): the same detector.")],
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence (non-commercial research only).")] = False,
    archive: Annotated[Path | None, typer.Option("--from", help="The pack's zip, brought by other means.")] = None,
) -> None:
    """Get InsightFace's detector, after showing its licence. frrcam does not need it.

    frrcam models fetch buffalo_sc
    FRRCAM_FACES__DETECTOR=buffalo_sc frrcam start
    """
    from frrcam.restore import download

    def consent(text: str) -> bool:
        say(text)
        return yes or typer.confirm("Accept?", err=True)

    try:
        with download.progress_bar(name, err) as report:
            path = download.fetch(download.find_pack(name), consent, archive=archive, report=report)
    except FrrcamError as error:
        fail(error)
    say(f"{name}: {path}")


def main() -> None:
    """The console script: whatever is wrong is one line."""
    try:
        code = app(standalone_mode=False)
    except FrrcamError as error:
        say_error(str(error))
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Exception as error:
        code = _misuse(error)
    status = code if isinstance(code, int) else 0
    if any(thread.name in ("frrcam-capture", "frrcam-load") for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(status)  # a thread that hangs in a driver would abort the process when the interpreter is taken down
    sys.exit(status)


def _misuse(error: Exception) -> int:
    """Says what is wrong with the command line in one line; anything but that is a fault of ours and goes on up."""
    message, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
    if message is None or code is None:  # typer carries a click of its own, whose error classes it does not export
        raise error
    context = getattr(error, "ctx", None)
    if len(sys.argv) > 1:
        command = context.command_path if context else "frrcam"
        say_error(f"{message()} See: {command} --help")
    else:
        err.print(message(), markup=False)
    return int(code)

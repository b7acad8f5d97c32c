"""What a person runs it for: start, and how that one is."""

from pathlib import Path
from typing import Annotated

import typer

from frrcam.commands.console import fail, print_json, say, show
from frrcam.commands.options import (
    Colour,
    Device,
    Fps,
    Json,
    Light,
    MaxFaces,
    Model,
    Noise,
    Output,
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
from frrcam.errors import FrrcamError


def start(
    device: Device = None,
    source: SourceOption = None,
    output: Output = None,
    size: Size = None,
    fps: Fps = None,
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
    max_faces: MaxFaces = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after this number of pictures.")] = None,
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
    from frrcam.app.start import StartOptions
    from frrcam.app.start import start as run

    try:
        settings = settings_of(
            camera={"device": device, "source": source, "size": size, "fps": fps, "mirror": mirror},
            output={"output": output},
            restore={"strength": strength, "model": model, "provider": provider, "max_faces": max_faces},
            light=light_flags(preset, light, colour, noise, sharpness, reach, where),
            control={"port": port},
        )
        published = run(settings, StartOptions(frames, snapshot, as_json), say)
    except FrrcamError as error:
        fail(error)
    say(f"stopped after {published} pictures")


def status(as_json: Json = False) -> None:
    """Ask the running daemon how it is: state, rung and why, milliseconds per frame, its page, what it has said.

    Of several, the one that was started first.
    """
    from frrcam.control.discovery import ask, find_daemon
    from frrcam.control.status_line import summary

    try:
        daemon = find_daemon()
        answer = ask(daemon)
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        show(summary(answer), f"live picture, before and after: {daemon.url}")
        show(*(f"  {notice.text}" for notice in answer.notices))

"""The options that several commands share, and the settings that come of them."""

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from frrcam.limits import LEAST_FPS, MOST_FPS

if TYPE_CHECKING:
    from frrcam.config import Settings

Device = Annotated[
    str | None, typer.Option("--device", "-d", help="Camera: 0, /dev/video0, a by-id link, or part of its name.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", "-s", help="A clip or picture FILE, or *demo*, instead of a camera.")
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="/dev/videoN, *pipewire*, FILE.mp4 or *preview*; default: the FRR Camera."),
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="WIDTHxHEIGHT; default: 1280x720 or the nearest a camera has; a file has its own."),
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps",
        min=LEAST_FPS,
        max=MOST_FPS,
        help="Pictures a second, asked of a camera; default: 30. A clip has its own.",
    ),
]
Strength = Annotated[
    float | None, typer.Option("--strength", min=0, max=1, help="How much of the change is applied, 0 to 1.")
]
PresetOption = Annotated[
    str | None,
    typer.Option("--preset", help="*natural* (default), *bright*, or *repair*: detail only, light stays."),
]
Light = Annotated[
    float | None,
    typer.Option("--light", min=0, max=1, help="Missing light that is given; 0.7 is natural, 1 lights everything."),
]
Colour = Annotated[float | None, typer.Option("--colour", min=0, max=1, help="Colour cast that is taken off.")]
Noise = Annotated[float | None, typer.Option("--noise", min=0, max=1, help="Noise reduction of what is lit.")]
Sharpness = Annotated[float | None, typer.Option("--sharpness", min=0, max=1, help="Detail that is restored on faces.")]
ReachOption = Annotated[
    str | None, typer.Option("--reach", help="How far the light goes: *face*, *person* (default) or *picture*.")
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", help="*scene* (default), or *face*: outside the faces every pixel stays the camera's."),
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="*auto*, a name that `frrcam models` lists, or FILE.onnx.")
]
Provider = Annotated[
    str | None,
    typer.Option("--provider", "-p", help="auto, cpu, openvino, cuda, tensorrt, directml, coreml or qnn."),
]
MaxFaces = Annotated[
    int | None, typer.Option("--max-faces", min=1, max=16, help="Faces enhanced, largest first; default: 4.")
]
MaxFacesOffline = Annotated[
    int | None, typer.Option("--max-faces", min=1, max=16, help="Faces enhanced, largest first; default: all.")
]
"""Where nothing waits for a picture, there is time for all."""
Json = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]


def light_flags(
    preset: str | None,
    light: float | None,
    colour: float | None,
    noise: float | None,
    sharpness: float | None,
    reach: str | None,
    where: str | None,
) -> dict[str, Any]:
    """The section [light], of the options that commands share."""
    amounts = {"light": light, "colour": colour, "noise": noise, "sharpness": sharpness}
    return {"preset": preset, **amounts, "reach": reach, "where": where}


def settings_of(**flags: dict[str, Any]) -> "Settings":
    """The settings with these flags, by section, on top. Raises UsageError for one that makes no sense."""
    from frrcam.amounts import Preset, Reach, Where
    from frrcam.config import Provider as Providers
    from frrcam.config import load_settings, parse_size
    from frrcam.errors import UsageError

    size = flags.get("camera", {}).get("size")
    if size is not None:
        parse_size(size)
    for name, kinds in (("preset", Preset), ("reach", Reach), ("where", Where)):
        chosen = flags.get("light", {}).get(name)
        if chosen is not None and chosen not in get_args(kinds):
            raise UsageError(f'--{name} "{chosen}" is none of: {", ".join(get_args(kinds))}')
    provider = flags.get("restore", {}).get("provider")
    if provider is not None and provider not in get_args(Providers):
        raise UsageError(f'provider "{provider}" is none of: {", ".join(get_args(Providers))}')
    return load_settings(flags)

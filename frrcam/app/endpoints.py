"""The source and the sink that a run is asked for, or what stands in where there is no device."""

from collections.abc import Callable
from pathlib import Path

from frrcam.config import Settings
from frrcam.errors import SinkError, SourceError
from frrcam.say import Say
from frrcam.sinks.base import Sink, SinkFactory
from frrcam.sinks.preview import PreviewSink
from frrcam.sources.base import Source, SourceFactory

SourceOpener = Callable[..., Source]
"""`frrcam.sources.open_source`, or a test's."""
SinkOpener = Callable[..., Sink]
"""`frrcam.sinks.open_sink`, likewise."""


def choose_source(
    settings: Settings, say: Say, open_source: SourceOpener, *, stand_in: bool = True
) -> tuple[Source, SourceFactory]:
    """The source that is asked for, or the first camera, or the demo; and how to open the same one again."""
    camera = settings.camera
    output = settings.output.output or ""
    loop = output.startswith("/dev/") or not Path(output).suffix  # a file ends with its clip

    def reopen(device: str | None) -> SourceFactory:
        return lambda: open_source(device, camera.source, camera.size, camera.fps, loop=loop)

    if camera.source or camera.device:
        source = open_source(camera.device, camera.source, camera.size, camera.fps, loop=loop)
    else:
        try:
            source = open_source(None, None, camera.size, camera.fps)
        except SourceError as error:
            if not stand_in:
                raise
            say(f"no camera ({error}); showing the demo")
            factory: SourceFactory = lambda: open_source(None, "demo", camera.size, camera.fps)  # noqa: E731
            return factory(), factory
    # a camera that comes back after a replug has another number
    return source, reopen(source.info.reopen_as or camera.device)


def choose_sink(
    settings: Settings,
    size: tuple[int, int],
    fps: float,
    preview: PreviewSink,
    say: Say,
    open_sink: SinkOpener,
    *,
    stand_in: bool = True,
) -> tuple[Sink, SinkFactory]:
    """The output that is asked for, or the virtual camera, or the preview page alone; and how to open it again."""
    output, label = settings.output.output, settings.output.label

    def factory(width: int, height: int, fps: float) -> Sink:
        return open_sink(output, width, height, fps, label=label)

    if output == "preview":
        return preview, lambda *_: preview
    try:
        return factory(*size, fps), factory
    except SinkError as error:
        if output is not None or not stand_in:
            raise
        say(f"no virtual camera ({error}); showing the preview page instead")
        return preview, lambda *_: preview

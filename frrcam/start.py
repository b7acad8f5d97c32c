"""`frrcam start`: from settings to a running daemon, with the embedded default wherever a device is missing."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from frrcam.compose.overlay import side_by_side
from frrcam.config import Settings
from frrcam.control.discovery import control_path
from frrcam.control.server import ControlServer
from frrcam.control.settings import LiveSettings, LiveValue
from frrcam.control.status_line import Say, StatusLine
from frrcam.errors import SinkError, SinkUnusable, SourceError, UsageError
from frrcam.runtime.consumers import open_consumers
from frrcam.runtime.daemon import Daemon, EngineLoader
from frrcam.runtime.engine import check_models, load_engine, loaded
from frrcam.runtime.enhancer import Engine
from frrcam.runtime.notices import Notices
from frrcam.runtime.notify import open_notifier
from frrcam.sinks import open_sink
from frrcam.sinks.base import Sink, SinkFactory
from frrcam.sinks.files import check_target
from frrcam.sinks.picture import write_picture
from frrcam.sinks.preview import PreviewSink
from frrcam.sources import open_source
from frrcam.sources.base import Source, SourceFactory

DEFAULT_FPS = 30.0
PATIENT_S = 10.0
"""Seconds that a run of so many pictures waits for each, on a slow machine too: they are all to be enhanced."""


@dataclass(frozen=True, slots=True)
class Openers:
    """How the outside world is opened; tests hand in fakes."""

    source: Callable[..., Source] = open_source
    sink: Callable[..., Sink] = open_sink
    engine: Callable[[Settings, float, Notices], Engine] = load_engine
    check: Callable[[Settings], None] = check_models


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What only one run is asked for; everything lasting stands in Settings."""

    frames: int | None = None
    """Stop after so many published pictures."""
    snapshot: Path | None = None
    """Write the last before | after here when it stops."""
    as_json: bool = False
    """A status line of JSON on stdout every second."""
    service: bool = "NOTIFY_SOCKET" in os.environ
    """systemd runs it: nobody reads along, so no stand-in serves for a missing device (systemd tries again), and the
    page's address with its secret stays out of the journal, which others may read."""


def start(settings: Settings, options: StartOptions, say: Say, openers: Openers = Openers()) -> int:
    """Runs until stopped by a signal, the end of a file or `options.frames`; the number of pictures published.

    Raises FrrcamError for what is wrong before the first picture; after that only for a file that cannot be written or
    played to its end. Anything else it says, and goes on.
    """
    for target in (settings.output.output, options.snapshot):
        spare_source(settings.camera.source, target)
    openers.check(settings)
    if options.snapshot:
        check_snapshot(options.snapshot)
    line = StatusLine(lambda: daemon.status(), options.as_json, say)
    say = line.say
    notices = Notices(time.time, say)
    with ExitStack() as stack:
        source, reopen_source = choose_source(settings, say, openers, stand_in=not options.service)
        stack.callback(source.close)
        size = settings.camera.size or (source.info.width, source.info.height)
        asked = settings.camera.fps
        fps = source.info.fps or asked or DEFAULT_FPS
        preview = stack.enter_context(PreviewSink())
        sink, reopen_sink = choose_sink(settings, size, fps, preview, say, openers, stand_in=not options.service)
        stack.callback(sink.close)
        restore = settings.restore
        live = LiveSettings(
            LiveValue(strength=restore.strength, mirror=settings.camera.mirror, max_faces=restore.max_faces)
        )
        load: EngineLoader = lambda period: openers.engine(settings, period, notices)  # noqa: E731
        if settings.names_network:
            load = loaded(load(1 / fps), load)
        notifier = open_notifier()
        stack.callback(notifier.close)
        daemon = Daemon(
            source,
            reopen_source,
            sink,
            reopen_sink,
            load,
            size=size,
            fps=fps,
            settings=live,
            preview=None if sink is preview else preview,
            notices=notices,
            watch=None if options.frames is not None else open_consumers,
            viewers=lambda: server.watchers > 0,
            notifier=notifier,
            patience_s=PATIENT_S if options.frames is not None else None,
        )
        server = stack.enter_context(
            ControlServer(preview, daemon.status, live, port=settings.control.port, announce_at=control_path())
        )
        say(f"{source.info.name} {size[0]}x{size[1]} at {fps:g} fps → {sink.info.name} ({sink.info.where})")
        if asked and abs(fps - asked) > 0.01 * asked:
            say(f"{source.info.name} gives {fps:g} pictures a second, not the {asked:g} asked for")
        if not options.service:
            say(f"live picture, before and after: {server.url}")
        stack.enter_context(line)
        with Signals(daemon.stop):
            # a bounded run is a demonstration or a test: every picture of it is to be an enhanced one
            published = daemon.run(options.frames, wait_for_engine=options.frames is not None)
        last = preview.latest()
        if options.snapshot and last:
            write_picture(options.snapshot, side_by_side(last.before, last.after))
            say(f"before | after of the last picture: {options.snapshot}")
        return published


def choose_source(
    settings: Settings, say: Say, openers: Openers, *, stand_in: bool = True
) -> tuple[Source, SourceFactory]:
    """The source that is asked for, or the first camera, or the demo; and how to open the same one again."""
    camera = settings.camera
    output = settings.output.output or ""
    loop = output.startswith("/dev/") or not Path(output).suffix  # a file ends with its clip

    def reopen(device: str | None) -> SourceFactory:
        return lambda: openers.source(device, camera.source, camera.size, camera.fps, loop=loop)

    if camera.source or camera.device:
        source = openers.source(camera.device, camera.source, camera.size, camera.fps, loop=loop)
    else:
        try:
            source = openers.source(None, None, camera.size, camera.fps)
        except SourceError as error:
            if not stand_in:
                raise
            say(f"no camera ({error}); showing the demo")
            factory: SourceFactory = lambda: openers.source(None, "demo", camera.size, camera.fps)  # noqa: E731
            return factory(), factory
    # a camera that comes back after a replug has another number
    return source, reopen(source.info.reopen_as or camera.device)


def choose_sink(
    settings: Settings,
    size: tuple[int, int],
    fps: float,
    preview: PreviewSink,
    say: Say,
    openers: Openers,
    *,
    stand_in: bool = True,
) -> tuple[Sink, SinkFactory]:
    """The output that is asked for, or the virtual camera, or the preview page alone; and how to open it again."""
    output, label = settings.output.output, settings.output.label

    def factory(width: int, height: int, fps: float) -> Sink:
        return openers.sink(output, width, height, fps, label=label)

    if output == "preview":
        return preview, lambda *_: preview
    try:
        return factory(*size, fps), factory
    except SinkError as error:
        if output is not None or not stand_in:
            raise
        say(f"no virtual camera ({error}); showing the preview page instead")
        return preview, lambda *_: preview


def spare_source(source: str | None, target: str | Path | None) -> None:
    """Raises UsageError if to write `target` would overwrite the very file that is to be played, by whatever name."""
    if source is None or target is None:
        return
    played, written = (os.path.expanduser(path) for path in (source, target))
    if os.path.isfile(played) and os.path.isfile(written) and os.path.samefile(played, written):
        raise UsageError(f"{written} is the input itself; name another file, the original is never overwritten")


def check_snapshot(path: Path) -> None:
    """Raises SinkError unless a picture can be written there."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise SinkUnusable(f"{path}: a snapshot is a .png, .jpg or .webp file")
    check_target(path)


class Signals:
    """SIGINT, SIGTERM and, where the system has it, SIGHUP call `stop` while inside: whatever is written is completed.

    A SIGHUP that is ignored already (nohup) stays so: it was to outlive its terminal.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        numbers = [signal.SIGINT, signal.SIGTERM]
        hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            numbers.append(hangup)
        self._before = {number: signal.signal(number, lambda *_: self._stop()) for number in numbers}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

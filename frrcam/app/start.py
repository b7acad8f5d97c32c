"""`frrcam start`: from settings to a running daemon, with the embedded default wherever a device is missing."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frrcam.app.endpoints import SinkOpener, SourceOpener, choose_sink, choose_source
from frrcam.compose.overlay import side_by_side
from frrcam.concurrency.deadline import HangableExecutor
from frrcam.concurrency.notices import Notices
from frrcam.concurrency.signals import Signals
from frrcam.config import Settings
from frrcam.control.discovery import control_path
from frrcam.control.remembered import at_start, remember, state_path
from frrcam.control.server import ControlServer
from frrcam.control.status_line import StatusLine
from frrcam.daemon.daemon import Daemon, EngineLoader
from frrcam.daemon.readers import open_consumers
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import Status
from frrcam.errors import SinkUnusable, UsageError
from frrcam.linux.sd_notify import open_notifier
from frrcam.pipeline.engine import Engine, check_models, load_engine, loaded
from frrcam.say import Say
from frrcam.sinks import open_sink
from frrcam.sinks.files import check_target
from frrcam.sinks.picture import write_picture
from frrcam.sinks.preview import Pair, PreviewSink
from frrcam.sources import open_source

DEFAULT_FPS = 30.0
TELL_S = 0.5
"""Seconds that the end waits for the last notices to be shown."""
PATIENT_S = 10.0
"""Seconds that a run of a given number of pictures (`--frames`) waits for each: all of them must be enhanced."""


@dataclass(frozen=True, slots=True)
class Openers:
    """How the outside world is opened; tests hand in fakes."""

    source: SourceOpener = open_source
    sink: SinkOpener = open_sink
    engine: Callable[[Settings, float, Notices], Engine] = load_engine
    check: Callable[[Settings], None] = check_models


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What only one run is asked for; everything lasting stands in Settings."""

    frames: int | None = None
    """Stop after this number of published pictures."""
    snapshot: Path | None = None
    """Write the last before | after here when it stops."""
    as_json: bool = False
    """A status line of JSON on stdout every second."""
    service: bool = "NOTIFY_SOCKET" in os.environ
    """systemd runs it: no user reads along, so no stand-in serves for a missing device (systemd tries again), and the
    page's address with its secret stays out of the journal, which others may read."""


def start(settings: Settings, options: StartOptions, say: Say, openers: Openers = Openers()) -> int:
    """Runs until stopped by a signal, the end of a file or `options.frames`; the number of pictures published.

    Raises FrrcamError for what is wrong before the first picture; after that only for a file that cannot be written or
    played to its end. Anything else it says, and goes on.
    """
    check(settings, options, openers)
    bounded = options.frames is not None  # a demonstration or a test: every picture of it must be enhanced
    line = StatusLine(lambda: daemon.status(), options.as_json, say)
    say = line.say
    telling = HangableExecutor("frrcam-tell")  # a terminal that is held must hold no picture
    notices = Notices(time.time, say, executor=telling)
    with ExitStack() as stack:
        stack.callback(telling.end, TELL_S)
        source, reopen_source = choose_source(settings, say, openers.source, stand_in=not options.service)
        stack.callback(source.close)
        size = settings.camera.size or (source.info.width, source.info.height)
        fps = source.info.fps or settings.camera.fps or DEFAULT_FPS
        preview = stack.enter_context(PreviewSink())
        sink, reopen_sink = choose_sink(settings, size, fps, preview, say, openers.sink, stand_in=not options.service)
        stack.callback(sink.close)
        kept = state_path()
        live = LiveSettings(at_start(settings, kept), lambda value: remember(kept, value))
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
            watch=None if bounded else open_consumers,
            viewers=lambda: server.watchers > 0,
            notifier=notifier,
            patience_s=PATIENT_S if bounded else None,
        )
        server = stack.enter_context(
            ControlServer(preview, daemon.status, live, port=settings.control.port, announce_at=control_path())
        )
        say(f"{source.info.name} {size[0]}x{size[1]} at {fps:g} fps → {sink.info.name} ({sink.info.where})")
        asked = settings.camera.fps
        if asked and abs(fps - asked) > 0.01 * asked:
            say(f"{source.info.name} gives {fps:g} pictures a second, not the {asked:g} asked for")
        if not options.service:
            say(f"live picture, before and after: {server.url}")
        stack.enter_context(line)
        with Signals(daemon.stop):
            published = daemon.run(options.frames, wait_for_engine=bounded)
        if options.snapshot and (last := preview.latest()):
            write_picture(options.snapshot, side_by_side(last.before, last.after))
            say(f"before | after of the last picture: {options.snapshot}{why_alike(last, daemon.status())}")
        return published


def why_alike(pair: Pair, status: Status) -> str:
    """What to add about a pair that shows no effect, as on a machine too busy for it; else nothing."""
    if not np.array_equal(pair.before, pair.after):
        return ""
    faces = f"{status.faces} face{'s' * (status.faces != 1)}"
    return f"; they are alike: {faces}, rung {status.rung} ({status.rung_reason})"


def check(settings: Settings, options: StartOptions, openers: Openers) -> None:
    """Raises FrrcamError for what can be known to be wrong before any device is opened."""
    for target in (settings.output.output, options.snapshot):
        spare_source(settings.camera.source, target)
    openers.check(settings)
    if options.snapshot:
        check_snapshot(options.snapshot)


def spare_source(source: str | None, target: str | Path | None) -> None:
    """Raises UsageError if writing `target` would overwrite the file that is played, under whatever name."""
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

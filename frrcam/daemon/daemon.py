"""Threads, states and lifetimes: one thread captures, one loads, one enhances, one sends; the caller's waits for them.

The caller's waits for none of them for long, so that whatever hangs, the pictures go on without it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor

from frrcam.concurrency.deadline import HangableExecutor, MayHang
from frrcam.concurrency.mailbox import Mailbox
from frrcam.concurrency.notices import Notices
from frrcam.daemon.capture import Capture
from frrcam.daemon.publisher import Live
from frrcam.daemon.readers import AlwaysWatched, Consumers, OnDemand, SinkReaders
from frrcam.daemon.report import enhancement
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import NoticeLine, Status
from frrcam.errors import FrrcamError, SinkLost, one_line
from frrcam.frame import Frame
from frrcam.linux.sd_notify import Notifier, NullNotifier, Watchdog
from frrcam.linux.suspend import SuspendWatch
from frrcam.pipeline import metrics as measure
from frrcam.pipeline.engine import Engine
from frrcam.sinks.base import Sink, SinkFactory
from frrcam.sources.base import Source, SourceFactory

JOIN_S = 0.5
"""Seconds that stopping waits for a driver to come back from read(), before it is closed under its feet."""
LAST_JOIN_S = 0.2
"""Seconds that it waits after that; then the thread, a daemon, is left to its driver."""
WAKE_S = 0.1
"""Seconds between looks at whether to stop."""
LOAD_AGAIN_S = 30.0
IDLE_S = 0.25
"""Seconds between looks at whether to stop while no program watches; a new reader is noticed at once."""

EngineLoader = Callable[[float], Engine]
"""Loads and warms everything for frames of the given period in seconds. Raises FrrcamError."""


class Daemon:
    """A source, an engine and a sink, run together until stopped.

    Source and sink come open, so that what is wrong with them is known before any thread runs; the factories
    open them again when they are lost.
    """

    def __init__(
        self,
        source: Source,
        reopen_source: SourceFactory,
        sink: Sink,
        reopen_sink: SinkFactory,
        load: EngineLoader,
        *,
        size: tuple[int, int],
        fps: float,
        settings: LiveSettings | None = None,
        preview: Sink | None = None,
        notices: Notices | None = None,
        keep: int | None = 300,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[str], Consumers] | None = None,
        viewers: Callable[[], bool] = lambda: False,
        notifier: Notifier | None = None,
        patience_s: float | None = None,
        suspend: SuspendWatch | None = None,
    ) -> None:
        """`size` and `fps` are the published ones; `keep` is how many frame records the metrics hold (None: all).

        `watch` tells, from the sink's node, who reads it: the source runs only then, or while `viewers` says that
        a browser reads the page. None: it always runs.
        `patience_s`: seconds for which a frame's result, or the sink, is waited for; None: what fits the rate.
        """
        self.settings = settings or LiveSettings()
        self.notices = notices or Notices(time.time)
        self.metrics = measure.Metrics(keep)
        self.started = time.time()
        self.first_enhanced: float | None = None
        """Seconds since the epoch when the first enhanced picture went out."""
        self.cpu_at_capture: float | None = None
        """Processor seconds that the process had used when capturing began."""
        self._clock, self._load = clock, load
        self._stopping = False
        self._stop = threading.Event()
        self._loaded, self._lacking = threading.Event(), threading.Event()
        self._executors: list[HangableExecutor] = []
        self._mailbox = Mailbox()
        self._watch, self._viewers, self._notifier = watch, viewers, notifier or NullNotifier()
        self._consumers: Consumers | None = None
        self._demand, self._watchdog = OnDemand(clock), Watchdog(self._notifier.watchdog_s, clock)
        self._suspend = suspend or SuspendWatch()
        self._ready = False
        self._source_name, self._size, self._fps = source.info.name, size, fps
        self._capture = Capture(source, reopen_source, self._mailbox, self.notices, clock, self._stop.wait)
        self.live = Live(
            sink,
            reopen_sink,
            size,
            fps,
            self.settings,
            self.notices,
            clock,
            preview=preview,
            metrics=self.metrics,
            make_executor=self._make_executor,
            patience_s=patience_s,
        )

    def run(self, frames: int | None = None, seconds: float | None = None, *, wait_for_engine: bool = False) -> int:
        """Publishes until stop(), the end of the source, `frames` pictures or `seconds`; the number published.

        With `wait_for_engine` nothing is captured before the networks are loaded. Leaves no thread and no device
        behind, and raises nothing for a camera, a virtual camera or a network that fails: a SinkError when a file
        cannot be written to its end, a SourceError when one that is played once breaks off.
        """
        loader = MayHang("frrcam-load", self._load_engines)
        capture = MayHang("frrcam-capture", self._capture.run)
        try:
            loader.start()
            while wait_for_engine and not self._stopping and not self._loaded.wait(WAKE_S):
                pass
            self.cpu_at_capture = time.process_time()
            if not self._stopping:
                capture.start()
                self.live.wake()
                self._publish(frames, seconds)
        finally:
            self._notifier.stopping()
            self._end(capture, loader)
            if self._consumers is not None:
                self._consumers.close()
        if failed := self.live.failed or self._capture.failed:
            raise failed
        return self.metrics.published

    def stop(self) -> None:
        """Ends run() within a second. Safe from signal handlers and other threads; idempotent.

        Only a flag is set: a signal handler that took a lock could wait for the very thread that it interrupted.
        """
        self._stopping = True

    def _make_executor(self, name: str) -> Executor:
        executor = HangableExecutor(f"frrcam-{name}")
        self._executors.append(executor)
        return executor

    def _end(self, capture: threading.Thread, loader: threading.Thread) -> None:
        """Leaves no device open and no thread behind; an interrupt on the way leaves threads that end by themselves.

        The loader holds no device, and in the middle of a network it cannot stop: it is not waited for as the others.
        """
        self._stopping = True
        self._stop.set()
        self._lacking.set()
        self._capture.wake()
        self._mailbox.close()
        try:
            self.live.close()
        finally:
            holding = [capture, *(executor.thread for executor in self._executors)]
            try:
                _join(holding, JOIN_S)
            finally:
                self._capture.close()
            _join([*holding, loader], LAST_JOIN_S)

    def _publish(self, frames: int | None, seconds: float | None) -> None:
        until = None if seconds is None else self._clock() + seconds
        while not self._stopping and self.live.failed is None:
            if not self._wanted():
                self._mailbox.take(0)  # a picture that came too late to be seen is not to begin the next call
                self.live.idle()
                self._tell()
                continue
            # asked first: the last frame, or the next one, may come between waiting and asking
            ended, pausing = self._mailbox.closed, self._capture.pausing
            frame = self._mailbox.take(min(1 / self._fps, WAKE_S))
            if frame is None and ended:
                return
            if frame is not None or not pausing:
                self._turn(frame)
            self._tell()
            if frames is not None and self.metrics.published >= frames:
                return
            if until is not None and self._clock() >= until:
                return

    def _wanted(self) -> bool:
        """True while the source is to run. While it is not, this is where the daemon waits."""
        if self._watch is None or not self._capture.live:
            return True
        if self.live.sink_lost and self._consumers is not None:
            self._consumers.close()  # a descriptor of ours must not keep a device from going
            self._consumers = None
        watching = False
        try:
            if self._consumers is None and not self.live.sink_lost:
                self._consumers = self._find_consumers(self._watch)
            if self._consumers is None:
                self._stop.wait(0 if self._demand.on else IDLE_S)  # the page gets no slower pictures
            else:
                watching = self._consumers.watching(0 if self._demand.on else IDLE_S)
        except SinkLost:  # publishing finds it too, and says so
            self._stop.wait(0 if self._demand.on else WAKE_S)
        if self._demand.update(watching or self._viewers()):
            if self._capture.wake():
                self.live.wake()
        else:
            self._capture.rest()
        return self._demand.on

    def _find_consumers(self, watch: Callable[[str], Consumers]) -> Consumers:
        if sink := self.live.watched_sink:
            return SinkReaders(sink)
        where = self.live.sink_info.where
        return watch(where) if where.startswith("/dev/") else AlwaysWatched()

    def _tell(self) -> None:
        """Notifies systemd after each turn, and reopens the source after a suspend, which it may not survive."""
        if self._suspend.slept() and self._demand.on:
            self._capture.rest()  # _wanted() wakes it
        if self.live.sink_lost or self._idle or self._capture.pausing:
            self._watchdog.idle()
        if self.live.published_since_asked():
            self._watchdog.published()
            if not self._ready:
                self._ready = True
                self._notifier.ready()
        if self._watchdog.due():
            self._notifier.alive()
            self._notifier.status(self._state())

    def _turn(self, frame: Frame | None) -> None:
        try:
            if frame is None:
                self.live.hold()
                return
            self.live.serve(frame, 0.0 if self._capture.live else self._capture.read_s)
            self.metrics.dropped = self._mailbox.dropped
            if self.live.lacks_engine:
                self._lacking.set()
            if self.first_enhanced is None and self.live.fresh:
                self.first_enhanced = time.time()
            self.notices.clear("picture", "pictures are published again")
        except Exception as error:  # a picture that cannot even be scaled is skipped; the next one may be fine
            self.notices.raise_("picture", f"a picture was skipped: {type(error).__name__}: {one_line(error)}")

    def _load_engines(self) -> None:
        """Loads an engine, and another one whenever the engine in use hangs."""
        while not self._stop.is_set():
            if self.live.lacks_engine and not self._load_engine():
                self._stop.wait(LOAD_AGAIN_S)
                continue
            self.notices.clear("engine", "the networks are loaded; faces are enhanced")
            self._lacking.wait()
            self._lacking.clear()

    def _load_engine(self) -> bool:
        try:
            self.live.engine = self._load(1 / self._fps)
            return True
        except Exception as error:  # whatever is wrong with a network, the plain picture goes on
            text = one_line(error) if isinstance(error, FrrcamError) else f"{type(error).__name__}: {one_line(error)}"
            self.notices.raise_("engine", f"no enhancement, showing the plain camera picture: {text}")
            return False
        finally:
            self._loaded.set()

    def status(self) -> Status:
        """What a person or a monitor wants to know now. Safe from other threads."""
        output = self.live.sink_info
        return Status(
            state=self._state(),
            camera=self._source_name,
            output=f"{output.name} ({output.where})",
            size=self._size,
            period_ms=round(1000 / self._fps, 2),
            notices=[NoticeLine(time=notice.time, text=notice.text) for notice in self.notices.history()],
            started=self.started,
            **enhancement(self.live),
        )

    @property
    def _idle(self) -> bool:
        """True while the source rests because no program watches."""
        return self._watch is not None and self._capture.live and not self._demand.on

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        active = self.notices.active
        for key, state in (("camera", "no camera"), ("sink", "no output")):
            if key in active:
                return state
        if self._idle:  # whatever was wrong with the networks shows with the next frame, not before
            return "idle"
        if active & {"engine", "enhancement"}:
            return "plain"
        return "running" if self.live.engine else "starting"


def _join(threads: list[threading.Thread], seconds: float) -> None:
    """Waits for all of them that have been started, together."""
    until = time.monotonic() + seconds
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, until - time.monotonic()))

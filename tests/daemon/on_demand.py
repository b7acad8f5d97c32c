"""A daemon on a fake clock, with a camera that sleeps and a reader that comes and goes."""

import itertools
import threading
from collections.abc import Callable

import numpy as np

from frrcam.daemon.daemon import Daemon
from frrcam.daemon.publisher import WAITING_GREY
from frrcam.daemon.readers import Consumers, FakeConsumers
from frrcam.errors import SinkNotFound, SourceLost
from frrcam.frame import Frame, Image, Payload
from frrcam.linux.sd_notify import FakeNotifier
from frrcam.linux.suspend import SuspendWatch
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer
from frrcam.sinks.base import FakeSink, Sink, SinkInfo
from frrcam.sources.base import Source
from tests.fakes import FakeClock, FakeDetector, FakeTracker, Said, ScriptedSource, always, picture

SIZE = (320, 240)
OLD, NEW = picture(*SIZE, seed=1), picture(*SIZE, seed=2)
NODE, OTHER_NODE = "/dev/video10", "/dev/video11"
STEP_S = 0.5
"""Seconds of a test's clock per published picture, where time is to pass."""
LONG = 20.0
"""Seconds that no test waits for, unless it fails."""


def same(payload: Payload, image: Image) -> bool:
    return np.array_equal(payload, image)


def is_placeholder(payload: Payload) -> bool:
    return int(np.median(payload)) == WAITING_GREY and not same(payload, np.full_like(payload, WAITING_GREY))


class Camera(ScriptedSource):
    """Gives one picture; then read() hangs, as that of a sleeping camera does, until it is closed."""

    def __init__(self, image: Image = OLD) -> None:
        super().__init__([image, self._hang])
        self.hangs, self.gone = threading.Event(), threading.Event()

    def _hang(self) -> object:
        self.hangs.set()
        self.gone.wait(LONG)
        return SourceLost("scripted: closed while reading")

    def close(self) -> None:
        super().close()
        self.gone.set()


class VirtualCamera(FakeSink):
    """A sink with a node, which calls a function with each picture that it has taken."""

    def __init__(self, then: Callable[[Payload], None], node: str = NODE, lost_after: int | None = None) -> None:
        super().__init__(lost_after)
        self.info = SinkInfo("FRR Camera", node)
        self._then = then

    def send(self, payload: Payload, original: Frame) -> None:
        super().send(payload, original)
        self._then(payload)


class KnowingCamera(VirtualCamera):
    """Knows by itself who reads it, as PipeWire does."""

    how = "fake"

    def __init__(self, then: Callable[[Payload], None], watching: Callable[[float], bool]) -> None:
        super().__init__(then, "PipeWire node 36")
        self._watching = watching

    def watching(self, timeout: float) -> bool:
        return self._watching(timeout)


class Page(FakeSink):
    """A preview that calls a function with each picture."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then = then

    def send(self, payload: Payload, original: Frame) -> None:
        super().send(payload, original)
        self._then()


class Rig:
    """A daemon on a fake clock, run in the test's thread.

    `on_idle(n)` is called in the n-th wait for a watcher, where time passes; `on_picture(n)` after the n-th picture
    that is no placeholder; `on_shown()` before each on the page. They may change what the daemon meets, or stop it.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        watched: bool = False,
        on_demand: bool = True,
        viewers: Callable[[], bool] = lambda: False,
        watchdog_s: float | None = None,
        lost_after: int | None = None,
        reopened_sink: bool = True,
        suspend: SuspendWatch | None = None,
        knows: bool = False,
    ) -> None:
        """`knows`: the sink knows by itself who reads it; no node is asked."""
        self.clock, self.said, self.notifier = FakeClock(), Said(), FakeNotifier(watchdog_s)
        self.opened: list[ScriptedSource] = []
        self.reopened: list[object] = []
        """What a source that is opened again does first; then it gives the new picture for ever."""
        self.consumers = FakeConsumers(watched, self._wait)
        self.nodes: list[str] = []
        self.states: list[str] = []
        self.sent: list[Payload] = []
        self.on_idle: Callable[[int], None] = lambda turn: None
        self.on_picture: Callable[[int], None] = lambda count: None
        self.on_shown: Callable[[], None] = lambda: None
        self._idle_turns = self._pictures = 0
        self._failed: AssertionError | None = None
        self._reopened_sink = reopened_sink
        self.daemon = Daemon(
            source or Camera(),
            self._reopen,
            KnowingCamera(self._took, lambda timeout: self.consumers.watching(timeout))
            if knows
            else VirtualCamera(self._took, lost_after=lost_after),
            self._reopen_sink,
            _engine,
            size=SIZE,
            fps=120.0,
            notices=self.said.notices,
            clock=self.clock,
            watch=self._watch if on_demand else None,
            viewers=viewers,
            notifier=self.notifier,
            preview=Page(lambda: self.on_shown()),
            patience_s=LONG,
            suspend=suspend,
        )

    def run(self) -> "Rig":
        too_long = threading.Timer(LONG, self.daemon.stop)
        too_long.start()
        try:
            self.daemon.run(wait_for_engine=True)
            if self._failed:
                raise self._failed
            assert too_long.is_alive(), f"it never came to its end: {self.states[-3:]}, {self.said.lines}"
        finally:
            too_long.cancel()
            too_long.join(LONG)
        return self

    @property
    def pictures(self) -> list[Payload]:
        return [payload for payload in self.sent if not is_placeholder(payload)]

    def stop_at(self, turn: int) -> Callable[[int], None]:
        return lambda count: self.daemon.stop() if count >= turn else None

    def _watch(self, node: str) -> Consumers:
        self.nodes.append(node)
        if self.consumers.closed:
            self.consumers = FakeConsumers(self.consumers.readers, self._wait)
        return self.consumers

    def _wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self._idle_turns += 1
        self.states.append(self.daemon.status().state)
        self.on_idle(self._idle_turns)

    def _took(self, payload: Payload) -> None:
        self.sent.append(payload)
        if not is_placeholder(payload):
            self._pictures += 1
            try:
                self.on_picture(self._pictures)
            except AssertionError as error:  # the daemon survives whatever a sink raises
                self._failed = error
                self.daemon.stop()

    def _reopen(self) -> Source:
        source = ScriptedSource(itertools.chain(self.reopened, always(NEW)))
        self.opened.append(source)
        return source

    def _reopen_sink(self, width: int, height: int, fps: float) -> Sink:
        if not self._reopened_sink:
            raise SinkNotFound("no virtual camera")
        return VirtualCamera(self._took, OTHER_NODE)


def _engine(period: float) -> Engine:
    pipeline = Pipeline(FakeDetector(), {"fake": FakeRestorer()}, FakeTracker())
    return Engine(pipeline, Budget(ladder(["fake"]), period, {"fake": 0.001}), lambda name: (name, "cpu"))

"""The camera runs while somebody watches, and systemd is told the truth: capture, live and daemon together."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from frrcam.control.settings import LiveSettings
from frrcam.errors import SinkNotFound, SourceLost, SourceNotFound
from frrcam.frame import Frame, Image
from frrcam.restore.types import FakeRestorer
from frrcam.runtime.budget import Budget, ladder
from frrcam.runtime.capture import BACKOFF_S, Capture
from frrcam.runtime.consumers import GRACE_S, Consumers, FakeConsumers
from frrcam.runtime.daemon import Daemon
from frrcam.runtime.live import HELD_AFTER_S, IDLE_EVERY_S, WAITING_GREY, Engine, Live
from frrcam.runtime.mailbox import Mailbox
from frrcam.runtime.notify import FEEDS, FakeNotifier
from frrcam.runtime.pipeline import Pipeline
from frrcam.sinks.base import FakeSink, Payload, Sink, SinkInfo
from frrcam.sources.base import FakeSource, Source
from tests.runtime.fakes import FakeClock, FakeDetector, FakeTracker, Said, ScriptedSource, always, frame, picture

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


class RestClock(FakeClock):
    """Tells when the capture thread has come back to where it rests."""

    def __init__(self) -> None:
        super().__init__(stop_at=1600.0)
        self.resting, self.at_rest = False, threading.Event()

    def wait(self, seconds: float) -> bool:
        if self.resting and seconds == 0:
            self.at_rest.set()
        return super().wait(seconds)


class CaptureBench:
    """A Capture in a thread of its own. `reopened` gives sources, errors to raise, or functions that give either."""

    def __init__(self, opened: Source, *reopened: object) -> None:
        self.clock, self.said, self.mailbox = RestClock(), Said(), Mailbox()
        self.opens: list[float] = []
        self._next = iter(reopened)
        self.capture = Capture(opened, self._reopen, self.mailbox, self.said.notices, self.clock, self.clock.wait)
        self._thread = threading.Thread(target=self.capture.run, name="test-capture")

    def __enter__(self) -> "CaptureBench":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.stop_at = self.clock.now
        self.capture.wake()
        self.capture.close()
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        assert self.mailbox.closed

    def rest(self) -> None:
        self.clock.resting = True
        self.capture.rest()

    def _reopen(self) -> Source:
        self.opens.append(self.clock.now)
        made = next(self._next)
        if callable(made):
            made = made()
        if isinstance(made, Exception):
            raise made
        return made  # type: ignore[no-any-return]


def test_a_resting_capture_lets_go_of_the_camera_and_says_nothing():
    camera = Camera()
    with CaptureBench(camera) as bench:
        assert camera.hangs.wait(LONG)
        bench.rest()
        assert camera.closed == 1
        assert bench.clock.at_rest.wait(LONG)
        bench.rest()
    assert (camera.reads, camera.closed) == (2, 1), "the picture, and the read that closing woke"
    assert bench.opens == []
    assert bench.said.lines == []


def test_a_woken_capture_opens_the_camera_at_once():
    first, second = Camera(), Camera(NEW)
    with CaptureBench(first, second) as bench:
        assert first.hangs.wait(LONG)
        bench.rest()
        assert bench.clock.at_rest.wait(LONG)
        bench.capture.wake()
        bench.capture.wake()
        assert second.hangs.wait(LONG)
        newest = bench.mailbox.take(0)
        assert newest is not None
        assert (newest.image is NEW, newest.index) == (True, 1), "numbers go on"
        assert second.closed == 0
    assert (len(bench.opens), bench.clock.waits) == (1, [])
    assert bench.said.lines == []


def test_woken_before_the_read_has_come_back_is_no_trouble_either():
    first, second = Camera(), Camera(NEW)
    with CaptureBench(first, second) as bench:
        assert first.hangs.wait(LONG)
        bench.capture.rest()
        bench.capture.wake()
        assert second.hangs.wait(LONG)
    assert (first.closed, second.closed) == (1, 1)
    assert bench.clock.waits == []
    assert bench.said.lines == []


def test_rest_and_wake_again_and_again():
    cameras = [Camera() for _ in range(5)]
    with CaptureBench(*cameras) as bench:
        for camera in cameras:
            assert camera.hangs.wait(LONG)
            if camera is not cameras[-1]:
                bench.capture.rest()
                bench.capture.wake()
    assert [camera.closed for camera in cameras] == [1] * 5
    assert bench.said.lines == []


def test_a_camera_that_opens_when_nobody_watches_any_more_is_closed_unread():
    opening, go_on = threading.Event(), threading.Event()
    second, third = Camera(), Camera(NEW)

    def slowly() -> Source:
        opening.set()
        go_on.wait(LONG)
        return second

    with CaptureBench(ScriptedSource([SourceLost("gone")]), slowly, third) as bench:
        assert opening.wait(LONG)
        bench.rest()
        go_on.set()
        assert second.gone.wait(LONG)
        assert bench.clock.at_rest.wait(LONG)
        assert second.reads == 0
        bench.capture.wake()
        assert third.hangs.wait(LONG)
    assert bench.clock.waits == [BACKOFF_S[0]], "for the loss, and not for having rested"
    assert bench.said.lines == ["gone; trying to get scripted back", "scripted: pictures again"]


def test_a_lost_camera_is_not_looked_for_while_nobody_watches():
    def fails() -> Exception:
        bench.rest()
        return SourceNotFound("no such camera")

    camera = Camera(NEW)
    bench = CaptureBench(ScriptedSource([SourceLost("gone")]), fails, camera)
    with bench:
        assert bench.clock.at_rest.wait(LONG)
        assert len(bench.opens) == 1
        before = list(bench.clock.waits)
        bench.capture.wake()
        assert camera.hangs.wait(LONG)
        assert bench.clock.waits == before, "at once"
    assert bench.said.lines[-1] == "scripted: pictures again"


class LiveBench:
    """A Live without an engine, on a clock of its own."""

    def __init__(self, sink: FakeSink | None = None) -> None:
        self.clock, self.said, self.sink = FakeClock(), Said(), sink or FakeSink()
        self.preview = FakeSink()
        self.live = Live(
            self.sink, self._reopen, SIZE, 30.0, LiveSettings(), self.said.notices, self.clock, preview=self.preview
        )

    def _reopen(self, width: int, height: int, fps: float) -> Sink:
        self.sink = FakeSink()
        return self.sink

    def idle(self, seconds: float, step: float = STEP_S) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.sleep(step)
            self.live.idle()


def test_a_placeholder_at_once_and_then_one_every_two_seconds():
    bench = LiveBench()
    bench.live.idle()
    assert len(bench.sink.sent) == 1
    bench.idle(IDLE_EVERY_S - STEP_S)
    assert len(bench.sink.sent) == 1
    bench.idle(STEP_S)
    assert len(bench.sink.sent) == 2
    bench.idle(10 * IDLE_EVERY_S)
    assert len(bench.sink.sent) == 12
    assert all(is_placeholder(payload) for payload, _ in bench.sink.sent)
    assert bench.sink.sent[0][0].shape == (SIZE[1], SIZE[0], 3)
    assert bench.live.published_since_asked()
    assert not bench.live.published_since_asked()
    assert bench.said.lines == [], "nobody misses a picture"


def test_the_last_picture_is_forgotten_and_the_next_one_goes_on():
    bench = LiveBench()
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    assert bench.live.last is OLD
    bench.idle(STEP_S)
    assert (bench.live.last, bench.live.before) == (None, None)
    assert len(bench.sink.sent) == 2, "at once, not two seconds after the last picture"
    for payload, original in (bench.sink.sent[-1], bench.preview.sent[-1]):
        assert is_placeholder(payload)
        assert np.all(original.image == WAITING_GREY), "nor does `before` show it"

    bench.clock.sleep(HELD_AFTER_S + 0.1)
    bench.live.hold()
    assert not same(bench.sink.sent[-1][0], OLD)
    assert int(np.median(bench.sink.sent[-1][0])) == WAITING_GREY, "held while the camera comes back"

    bench.live.serve(frame(NEW, 1, bench.clock.now))
    assert bench.sink.sent[-1][0] is NEW
    assert bench.live.last is NEW
    count = len(bench.sink.sent)
    bench.live.idle()
    assert len(bench.sink.sent) == count + 1
    assert is_placeholder(bench.sink.sent[-1][0])


def test_a_pause_that_nobody_watched_is_no_silence_of_the_camera():
    bench = LiveBench()
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    bench.idle(3600)
    bench.live.hold()
    bench.clock.sleep(HELD_AFTER_S / 2)
    bench.live.hold()
    assert is_placeholder(bench.sink.sent[-1][0])
    assert bench.said.lines == []


def test_a_sink_that_is_lost_while_nobody_watches_comes_back():
    bench = LiveBench(FakeSink(lost_after=1))
    bench.idle(2 * IDLE_EVERY_S)
    assert bench.live.sink_lost
    assert bench.live.published_since_asked()
    bench.live.idle()
    assert not bench.live.published_since_asked()
    bench.idle(2 * IDLE_EVERY_S)
    assert not bench.live.sink_lost
    assert is_placeholder(bench.sink.sent[-1][0])
    assert bench.live.published_since_asked()


class VirtualCamera(FakeSink):
    """A sink with a node, which calls a function with each picture that it has taken."""

    def __init__(self, then: Callable[[Payload], None], node: str = NODE, lost_after: int | None = None) -> None:
        super().__init__(lost_after)
        self.info = SinkInfo("FRR Camera", node)
        self._then = then

    def send(self, payload: Payload, original: Frame) -> None:
        super().send(payload, original)
        self._then(payload)


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
    ) -> None:
        self.clock, self.said, self.notifier = FakeClock(), Said(), FakeNotifier(watchdog_s)
        self.opened: list[ScriptedSource] = []
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
            VirtualCamera(self._took, lost_after=lost_after),
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
        source = ScriptedSource(always(NEW))
        self.opened.append(source)
        return source

    def _reopen_sink(self, width: int, height: int, fps: float) -> Sink:
        if not self._reopened_sink:
            raise SinkNotFound("no virtual camera")
        return VirtualCamera(self._took, OTHER_NODE)


def _engine(period: float) -> Engine:
    pipeline = Pipeline(FakeDetector(), {"fake": FakeRestorer()}, FakeTracker())
    return Engine(pipeline, Budget(ladder(["fake"]), period, {"fake": 0.001}), lambda name: (name, "cpu"))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("frrcam", "test-")):
            thread.join(LONG)
            assert not thread.is_alive()


def test_nobody_watches_and_the_camera_is_off():
    camera = Camera()
    rig = Rig(camera)

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG), "its picture lies ready, and nobody is to see it"
        assert camera.closed == (turn > 1)
        rig.stop_at(6)(turn)

    rig.on_idle = on_idle
    rig.run()
    assert set(rig.states) == {"idle"}
    assert len(rig.sent) == 2, "at once and after two seconds"
    assert rig.pictures == []
    assert (camera.reads, camera.closed, rig.opened) == (2, 1, [])
    assert rig.said.lines == []
    assert (rig.nodes, rig.consumers.closed) == ([NODE], 1)


def test_somebody_begins_to_watch_and_sees_the_present_not_the_past():
    camera = Camera(OLD)
    rig = Rig(camera)
    states: list[str] = []

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.readers = turn == 3

    def on_picture(count: int) -> None:
        states.append(rig.daemon.status().state)
        rig.stop_at(5)(count)

    rig.on_idle, rig.on_picture = on_idle, on_picture
    rig.run()
    assert set(states) == {"running"}
    assert is_placeholder(rig.sent[0])
    assert len(rig.pictures) == 5
    assert all(same(payload, NEW) for payload in rig.pictures)
    assert [source.closed for source in (camera, *rig.opened)] == [1, 1]
    assert rig.said.lines == []


def test_somebody_watches_from_the_beginning():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)
    rig.on_picture = rig.stop_at(5)
    rig.run()
    assert len(rig.sent) == len(rig.pictures) == 5
    assert (source.closed, rig.opened) == (1, [])


def test_the_camera_goes_on_for_the_grace_time_and_then_off():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)
    idle_from: list[float] = []

    def on_picture(count: int) -> None:
        rig.consumers.readers = count < 3
        rig.clock.sleep(STEP_S)
        assert source.closed == 0

    def on_idle(turn: int) -> None:
        if not rig.consumers.readers:
            idle_from.append(rig.clock.now)
            assert source.closed == 1
            rig.stop_at(4)(turn)

    rig.on_picture, rig.on_idle = on_picture, on_idle
    rig.run()
    assert len(rig.pictures) == pytest.approx(3 + GRACE_S / STEP_S, abs=1)
    assert is_placeholder(rig.sent[-1])
    assert rig.states[-1] == "idle"
    assert len(idle_from) == 3
    assert rig.opened == []
    assert rig.said.lines == []


def test_who_comes_back_in_time_finds_the_camera_running():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)

    def on_picture(count: int) -> None:
        rig.clock.sleep(STEP_S)
        rig.consumers.readers = not 3 <= count < 3 + (GRACE_S - 1) / STEP_S
        assert source.closed == 0
        rig.stop_at(60)(count)

    rig.on_picture = on_picture
    rig.run()
    assert (len(rig.pictures), rig.opened) == (60, [])


def test_a_look_at_the_page_counts_as_watching():
    looking = [False]
    camera = Camera()
    rig = Rig(camera, viewers=lambda: looking[0])

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        looking[0] = turn == 2

    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(5)
    rig.run()
    assert len(rig.pictures) == 5
    assert len(rig.opened) == 1


def test_a_file_does_not_wait_for_a_watcher():
    source = FakeSource([OLD] * 5, 120)
    rig = Rig(source).run()
    assert 1 <= len(rig.pictures) == len(rig.sent) <= 5
    assert (rig.nodes, rig.states, source.closed) == ([], [], 1)


def test_the_virtual_camera_is_gone_while_nobody_watches():
    camera = Camera()
    rig = Rig(camera)

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.gone = turn in (2, 3)
        rig.consumers.readers = turn > 4

    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(3)
    rig.run()
    assert all(same(payload, NEW) for payload in rig.pictures)
    assert len(rig.pictures) == 3


def test_the_virtual_camera_is_gone_while_somebody_watches():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)

    def on_picture(count: int) -> None:
        rig.consumers.gone = count >= 3
        rig.stop_at(10)(count)

    rig.on_picture = on_picture
    rig.run()
    assert len(rig.pictures) == 10, "it is for publishing to find out"


def test_a_virtual_camera_under_another_number_is_watched_anew():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, lost_after=3)
    first = rig.consumers
    rig.on_shown, rig.on_picture = lambda: rig.clock.sleep(STEP_S / 5), rig.stop_at(10)
    rig.run()
    assert rig.nodes == [NODE, OTHER_NODE]
    assert first.closed == 1, "no descriptor of ours keeps the device from going"
    assert rig.consumers.closed == 1
    assert rig.notifier.told.count("READY=1") == 1


def test_without_a_virtual_camera_the_page_is_no_slower():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, viewers=lambda: True, lost_after=0, reopened_sink=False)
    shown = iter(range(40))
    rig.on_shown = lambda: None if next(shown, None) is not None else rig.daemon.stop()
    began = time.monotonic()
    rig.run()
    assert time.monotonic() - began < 10.0, "half a second for each picture would be twice that"
    assert rig.sent == []


def test_systemd_is_told_ready_once_and_that_it_stops():
    rig = Rig(ScriptedSource(always(OLD)), watched=True)
    told: list[list[str]] = []

    def on_picture(count: int) -> None:
        told.append(list(rig.notifier.told))
        rig.stop_at(5)(count)

    rig.on_picture = on_picture
    rig.run()
    assert told[0] == [], "not before the first picture is out"
    assert rig.notifier.told == ["READY=1", "STOPPING=1"], "and no sign of life where none is asked for"


def test_a_placeholder_makes_it_ready_too():
    rig = Rig()
    rig.on_idle = rig.stop_at(6)
    rig.run()
    assert rig.notifier.told == ["READY=1", "STOPPING=1"]


def test_a_picture_that_no_sink_has_taken_does_not_make_it_ready():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, lost_after=0, reopened_sink=False, watchdog_s=4.0)
    shown = iter(range(20))
    rig.on_shown = lambda: None if next(shown, None) is not None else rig.daemon.stop()
    rig.run()
    assert "READY=1" not in rig.notifier.told
    assert "WATCHDOG=1" in rig.notifier.told, "to be started anew brings no virtual camera back"
    assert rig.notifier.told[-1] == "STOPPING=1"


@pytest.mark.parametrize("on_demand", [True, False])
def test_the_watchdog_is_fed_while_pictures_go_out(on_demand: bool):
    rig = Rig(ScriptedSource(always(OLD)), watched=True, on_demand=on_demand, watchdog_s=4.0)
    rig.on_shown, rig.on_picture = lambda: rig.clock.sleep(STEP_S), rig.stop_at(40)
    rig.run()
    assert rig.notifier.told.count("WATCHDOG=1") == pytest.approx(40 * STEP_S / (4.0 / FEEDS), abs=1)
    assert rig.notifier.told.count("STATUS=running") == rig.notifier.told.count("WATCHDOG=1")


def test_the_watchdog_is_fed_while_nobody_watches():
    rig = Rig(watchdog_s=2.0)
    rig.on_idle = rig.stop_at(40)
    rig.run()
    fed = rig.notifier.told.count("WATCHDOG=1")
    assert fed == pytest.approx(40 * STEP_S / (2.0 / FEEDS), abs=1), "more often than placeholders are published"
    assert rig.notifier.told.count("STATUS=idle") >= fed - 1


@pytest.mark.parametrize("on_demand", [True, False])
def test_the_watchdog_is_not_fed_when_nothing_goes_out_though_it_should(on_demand: bool):
    def step() -> Image:
        if "picture" in rig.said.notices.active:
            tried.append(1)
        if len(tried) > 50:
            rig.daemon.stop()
        return np.zeros((5,), np.uint8)  # no picture at all: it cannot be scaled

    tried: list[int] = []
    rig = Rig(ScriptedSource(always(step)), watched=True, on_demand=on_demand, watchdog_s=4.0)
    rig.run()
    assert rig.said.count("a picture was skipped") == 1
    assert rig.sent == []
    assert rig.notifier.told == ["STOPPING=1"]

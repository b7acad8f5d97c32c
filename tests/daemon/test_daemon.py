import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from frrcam.daemon.daemon import JOIN_S, Daemon
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import Status
from frrcam.errors import ModelCorrupt, SinkLost, SinkUnusable, SourceLost
from frrcam.frame import Frame, Image, Payload
from frrcam.linux.sd_notify import FakeNotifier, Notifier
from frrcam.linux.suspend import SuspendWatch
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer
from frrcam.sinks.base import FakeSink
from frrcam.sources.base import FakeSource, Source
from tests.fakes import FakeClock, FakeDetector, FakeTracker, Said, ScriptedSource, always, picture, track

SIZE = (320, 240)
PICTURE = picture(*SIZE)
LONG = 20.0
"""Seconds that no test waits for, unless it fails."""


def engine(period: float) -> Engine:
    pipeline = Pipeline(FakeDetector(), {"fake": FakeRestorer()}, FakeTracker([track(x=100, y=80, side=80)]))
    return Engine(pipeline, Budget(ladder(["fake"]), period, {"fake": 0.001}), lambda name: (name, "cpu"))


class BlockingSource(ScriptedSource):
    """Gives one picture; the next read() hangs until it is closed, or for ever."""

    def __init__(self, *, wakes: bool = True) -> None:
        super().__init__([PICTURE, self._hang])
        self.hangs, self.released, self._wakes = threading.Event(), threading.Event(), wakes

    def _hang(self) -> object:
        self.hangs.set()
        self.released.wait(LONG)
        return SourceLost("scripted: closed while reading")

    def close(self) -> None:
        super().close()
        if self._wakes:
            self.released.set()


class CallingSink(FakeSink):
    """Calls a function with each picture's number, 1, 2, 3 …"""

    def __init__(self, then: Callable[[int], None]) -> None:
        super().__init__()
        self._then = then

    def send(self, payload: Payload, original: Frame) -> None:
        super().send(payload, original)
        self._then(len(self.sent))


class Rig:
    def __init__(
        self,
        source: Source | None = None,
        sink: FakeSink | None = None,
        load: Callable[[float], Engine] = engine,
        *,
        fps: float = 120.0,
        reopen: Callable[[], Source] | None = None,
        patience_s: float = LONG,
        clock: Callable[[], float] = time.monotonic,
        suspend: SuspendWatch | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.source = source or FakeSource([PICTURE] * 20, fps)
        self.sink, self.said = sink or FakeSink(), Said()
        self.daemon = Daemon(
            self.source,
            reopen or (lambda: FakeSource([PICTURE] * 20, fps)),
            self.sink,
            lambda width, height, fps: FakeSink(),
            load,
            size=SIZE,
            fps=fps,
            settings=LiveSettings(),
            notices=self.said.notices,
            patience_s=patience_s,
            clock=clock,
            suspend=suspend,
            notifier=notifier,
        )

    def run_aside(self, **arguments: object) -> threading.Thread:
        thread = threading.Thread(target=lambda: self.daemon.run(**arguments), name="test-run")  # type: ignore[arg-type]
        thread.start()
        return thread


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("frrcam")]


def test_a_file_is_played_to_its_last_frame():
    rig = Rig(FakeSource([PICTURE] * 12, 30), fps=30)
    published = rig.daemon.run(wait_for_engine=True)
    assert 1 <= published == len(rig.sink.sent) <= 12
    assert rig.sink.sent[-1][1].index == 11
    assert published + rig.daemon.metrics.dropped == 12
    assert (rig.source.closed, rig.sink.closed) == (1, 1)  # type: ignore[attr-defined]
    assert ours() == []
    assert rig.said.lines == []
    assert np.any(rig.sink.sent[-1][0] != PICTURE)
    assert rig.daemon.first_enhanced is not None
    assert rig.daemon.first_enhanced >= rig.daemon.started


def test_the_given_number_of_frames_and_no_more():
    rig = Rig(FakeSource([PICTURE], 120, loop=True))
    assert rig.daemon.run(frames=5) == 5
    assert len(rig.sink.sent) == 5
    assert rig.source.closed == 1  # type: ignore[attr-defined]


def test_the_given_number_of_seconds_and_no_more():
    rig = Rig(FakeSource([PICTURE], 120, loop=True))
    began = time.monotonic()
    rig.daemon.run(seconds=0.05)
    assert 0.05 <= time.monotonic() - began < LONG


def test_stop_from_another_thread():
    started = threading.Event()
    rig = Rig(FakeSource([PICTURE], 120, loop=True), CallingSink(lambda count: started.set()))
    running = rig.run_aside()
    assert started.wait(LONG)
    began = time.monotonic()
    rig.daemon.stop()
    rig.daemon.stop()
    running.join(LONG)
    assert time.monotonic() - began < 1.0
    assert ours() == []
    assert rig.daemon.status().state == "stopping"


def test_stop_while_the_camera_hangs():
    source = BlockingSource()
    rig = Rig(source)
    running = rig.run_aside()
    assert source.hangs.wait(LONG)
    began = time.monotonic()
    rig.daemon.stop()
    running.join(LONG)
    assert time.monotonic() - began < 1.0
    assert ours() == []
    assert (source.closed, rig.sink.closed) == (1, 1)
    assert rig.said.lines == [], "its own closing is no trouble"


def test_stop_while_the_camera_hangs_and_closing_does_not_wake_it():
    source = BlockingSource(wakes=False)
    rig = Rig(source)
    running = rig.run_aside()
    assert source.hangs.wait(LONG)
    began = time.monotonic()
    rig.daemon.stop()
    running.join(LONG)
    assert time.monotonic() - began < 1.0
    assert (source.closed, rig.sink.closed) == (1, 1)
    source.released.set()


def test_stop_while_the_networks_are_loaded():
    loading, go_on = threading.Event(), threading.Event()

    def load(period: float) -> Engine:
        loading.set()
        go_on.wait(LONG)
        return engine(period)

    source = ScriptedSource(always(PICTURE))
    rig = Rig(source, load=load)
    running = rig.run_aside(wait_for_engine=True)
    assert loading.wait(LONG)
    began = time.monotonic()
    rig.daemon.stop()
    running.join(LONG)
    assert time.monotonic() - began < JOIN_S, "what cannot stop and holds nothing is not waited for"
    assert (source.reads, source.closed, rig.sink.closed) == (0, 1, 1)
    go_on.set()


def test_stopped_before_it_ran():
    source = ScriptedSource(always(PICTURE))
    rig = Rig(source)
    rig.daemon.stop()
    assert rig.daemon.run() == 0
    assert (source.reads, source.closed, rig.sink.closed) == (0, 1, 1)


def test_stop_in_a_signal_handler():
    rig = Rig(
        FakeSource([PICTURE], 120, loop=True),
        CallingSink(lambda count: signal.raise_signal(signal.SIGUSR1) if count == 3 else None),
    )
    before = signal.signal(signal.SIGUSR1, lambda *_: rig.daemon.stop())
    try:
        assert rig.daemon.run() == 3
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_is_passed_on_and_leaves_nothing():
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    rig = Rig(FakeSource([PICTURE], 120, loop=True), CallingSink(interrupt))
    with pytest.raises(KeyboardInterrupt):
        rig.daemon.run()
    assert (rig.source.closed, rig.sink.closed) == (1, 1)  # type: ignore[attr-defined]
    assert ours() == []


def test_a_slow_frame_queues_nothing_the_newest_wins():
    given, seen = threading.Event(), []

    def give(index: int) -> Callable[[], Image]:
        def step() -> Image:
            if index == 9:
                given.set()
            return PICTURE

        return step

    def slow(count: int) -> None:
        seen.append(count)
        if count == 1:
            assert given.wait(LONG), "the camera goes on meanwhile"

    rig = Rig(ScriptedSource([give(index) for index in range(10)]), CallingSink(slow))
    rig.daemon.run()
    indices = [original.index for _, original in rig.sink.sent]
    assert indices == sorted(set(indices))
    assert indices[-1] == 9
    assert rig.daemon.metrics.dropped == 10 - len(indices)
    assert len(indices) <= 4


def test_networks_that_cannot_be_loaded_leave_the_plain_picture():
    def load(period: float) -> Engine:
        raise ModelCorrupt("best.onnx is truncated; fetch it again\nand a second line")

    rig = Rig(load=load)
    rig.daemon.run(wait_for_engine=True)
    assert all(payload is PICTURE for payload, _ in rig.sink.sent)
    assert rig.said.lines == [
        "no enhancement, showing the plain camera picture: best.onnx is truncated; fetch it again"
    ]
    assert "engine" in rig.said.notices.active


def test_networks_that_fail_in_an_unknown_way_leave_the_plain_picture():
    def load(period: float) -> Engine:
        raise ZeroDivisionError("somewhere")

    rig = Rig(load=load)
    assert rig.daemon.run(wait_for_engine=True) > 0
    assert rig.said.count("ZeroDivisionError: somewhere") == 1


def test_a_camera_that_is_lost_comes_back():
    rig = Rig(
        FakeSource([PICTURE], 120, live=True, loop=True, lost_after=2),
        reopen=lambda: FakeSource([PICTURE] * 5, 120),
    )
    rig.daemon.run()
    assert rig.said.count("unplugged") == 1
    assert rig.said.count("pictures again") == 1


def test_a_picture_that_cannot_be_worked_on_is_skipped():
    odd = np.zeros((5,), np.uint8)
    source = ScriptedSource([odd, *[PICTURE] * 10], live=False, fps=120)
    rig = Rig(source)
    rig.daemon.run()
    assert rig.sink.sent
    assert rig.sink.sent[-1][1].index == 10
    assert rig.said.count("a picture was skipped") <= 1, "dropped, or said once"


def test_a_sink_that_fails_is_no_end():
    rig = Rig(sink=FakeSink(lost_after=2))
    rig.daemon.run()
    assert rig.sink.closed == 1
    assert rig.said.count("virtual camera is gone") == 1


def test_status_is_whole_at_any_time():
    statuses: list[Status] = []
    asked, enough = threading.Event(), threading.Event()
    rig = Rig(FakeSource([PICTURE], 120, loop=True), CallingSink(lambda count: asked.set()))
    first = rig.daemon.status()
    assert first.state == "starting"
    assert (first.frames, first.fps, first.rung) == (0, 0.0, "plain")

    def ask() -> None:
        asked.wait(LONG)
        while len(statuses) < 50:
            statuses.append(rig.daemon.status())
        enough.set()
        rig.daemon.stop()

    asking = threading.Thread(target=ask)
    asking.start()
    rig.daemon.run(wait_for_engine=True)
    asking.join(LONG)
    assert enough.is_set()
    last = statuses[-1]
    assert last.state == "running"
    assert last.camera == "fake"
    assert last.output == "fake (memory)"
    assert last.size == SIZE
    assert last.period_ms == 8.33
    assert last.frames >= 1
    assert [status.frames for status in statuses] == sorted(status.frames for status in statuses)


def test_status_survives_an_engine_that_cannot_describe_itself():
    def load(period: float) -> Engine:
        loaded = engine(period)
        return Engine(loaded.pipeline, loaded.budget, lambda name: {}[name])

    rig = Rig(FakeSource([PICTURE] * 3, 30), load=load, fps=30)
    rig.daemon.run(wait_for_engine=True)
    status = rig.daemon.status()
    assert (status.model, status.provider) == ("fake", "")


@pytest.mark.parametrize(
    ("key", "state"),
    [("camera", "no camera"), ("sink", "no output"), ("engine", "plain"), ("enhancement", "plain"), ("x", "starting")],
)
def test_the_state_names_the_trouble(key: str, state: str):
    rig = Rig()
    rig.said.notices.raise_(key, "trouble")
    assert rig.daemon.status().state == state
    assert rig.daemon.status().notices[0].text == "trouble"
    rig.daemon.stop()
    rig.daemon.run()


def test_a_file_that_cannot_be_written_any_more_ends_it_with_an_error():
    rig = Rig(FakeSource([PICTURE], 120, loop=True), FakeSink(lost_after=3, reopens=False))
    with pytest.raises(SinkLost, match="gone"):
        rig.daemon.run()
    assert rig.daemon.metrics.published == 3
    assert (rig.source.closed, rig.sink.closed) == (1, 1)  # type: ignore[attr-defined]
    assert ours() == []


def test_a_file_that_cannot_be_completed_ends_it_with_an_error():
    class Full(FakeSink):
        def close(self) -> None:
            super().close()
            raise SinkUnusable("out.mp4: the disk is full")

    rig = Rig(sink=Full(reopens=False))
    with pytest.raises(SinkUnusable, match="full"):
        rig.daemon.run(frames=3)
    assert ours() == []


def test_a_clip_that_is_played_once_and_breaks_off_is_kept_so_far_and_is_an_error():
    rig = Rig(FakeSource([PICTURE] * 5, 120, lost_after=3))
    with pytest.raises(SourceLost):
        rig.daemon.run(wait_for_engine=True)
    assert rig.sink.sent[-1][1].index == 2
    assert rig.sink.closed == 1
    assert rig.said.lines == []


class Turns(SuspendWatch):
    """Calls a function once in each turn of the daemon."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then = then

    def slept(self) -> bool:
        self._then()
        return False


def test_the_time_that_loading_takes_is_no_silence_of_the_camera():
    clock, turned = FakeClock(), threading.Event()

    def load(period: float) -> Engine:
        clock.sleep(3 * LONG)
        return engine(period)

    def first() -> Image:
        assert turned.wait(LONG), "no picture has come yet"
        return PICTURE

    rig = Rig(ScriptedSource([first, PICTURE]), load=load, clock=clock, suspend=Turns(turned.set))
    rig.daemon.run(wait_for_engine=True)
    assert [original.source for _, original in rig.sink.sent][:1] == ["scripted"]
    assert rig.said.lines == []


def test_a_clip_whose_pictures_lie_far_apart_is_not_taken_for_a_lost_camera():
    clock = FakeClock()

    def turn() -> None:
        if rig.daemon._capture.pausing:
            clock.sleep(3 * LONG)

    source = ScriptedSource([PICTURE] * 3, live=False, fps=5)
    rig = Rig(source, clock=clock, suspend=Turns(turn))
    rig.daemon.run(wait_for_engine=True)
    assert clock.now > 1000 + LONG, "it has paused"
    assert rig.said.lines == []
    assert len(rig.sink.sent) <= 3


def test_systemd_takes_no_clip_that_pauses_for_a_daemon_that_hangs():
    clock, notifier = FakeClock(), FakeNotifier(watchdog_s=10.0)

    def turn() -> None:
        if rig.daemon._capture.pausing:
            clock.sleep(10.0)
        if notifier.sent.count("WATCHDOG=1") > 5:
            rig.daemon.stop()

    source = ScriptedSource([PICTURE] * 3, live=False, fps=1)
    rig = Rig(source, clock=clock, suspend=Turns(turn), notifier=notifier)
    rig.daemon.run(wait_for_engine=True)
    assert notifier.sent.count("WATCHDOG=1") > 5 > len(rig.sink.sent)


def test_nothing_is_captured_before_the_networks_are_loaded():
    order: list[str] = []

    def load(period: float) -> Engine:
        order.append("loaded")
        return engine(period)

    def read() -> Image:
        order.append("read")
        return PICTURE

    rig = Rig(ScriptedSource([read] * 3), load=load)
    rig.daemon.run(wait_for_engine=True)
    assert order[0] == "loaded"
    assert rig.daemon.cpu_at_capture is not None

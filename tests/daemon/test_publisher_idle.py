"""What is published while no program watches, and what the next reader sees first."""

import numpy as np

from frrcam.daemon.publisher import HELD_AFTER_S, IDLE_EVERY_S, WAITING_GREY, Live
from frrcam.daemon.report import enhancement
from frrcam.daemon.settings import LiveSettings
from frrcam.frame import Image
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer, Restored
from frrcam.sinks.base import FakeSink, Sink, SinkInfo
from tests.daemon.on_demand import NEW, OLD, SIZE, STEP_S, is_placeholder, same
from tests.fakes import FakeClock, FakeDetector, FakeTracker, Said, frame, track


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
    assert bench.said.lines == [], "no picture is missed"


def test_of_a_call_that_is_over_no_picture_is_kept():
    """v4l2loopback keeps the last pictures in buffers that any program may map."""
    sink = FakeSink()
    sink.info = SinkInfo("FRR Camera", "/dev/video10", keeps=4)
    bench = LiveBench(sink)
    for index in range(6):
        bench.live.serve(frame(OLD, index, bench.clock.now))
    bench.live.idle()
    kept = [payload for payload, _ in sink.sent[-4:]]
    assert all(is_placeholder(payload) for payload in kept)
    assert len(sink.sent) == 6 + 4
    assert len(bench.preview.sent) == 6 + 1
    bench.idle(IDLE_EVERY_S)
    assert len(sink.sent) == 6 + 4 + 1, "once"


def test_a_sink_that_goes_while_the_call_is_covered_is_lost_as_any_other():
    sink = FakeSink(lost_after=3)
    sink.info = SinkInfo("FRR Camera", "/dev/video10", keeps=4)
    bench = LiveBench(sink)
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    bench.live.idle()
    assert bench.live.sink_lost
    assert len(sink.sent) == 3


class LoadedRestorer(FakeRestorer):
    """Takes `seconds` of the test's clock for each face."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.seconds = 0.005
        self._clock = clock

    def restore(self, crops: list[Image]) -> Restored:
        self._clock.sleep(self.seconds * len(crops))
        return super().restore(crops)


def test_the_first_reader_after_a_busy_call_gets_an_enhanced_picture_within_a_second():
    bench = LiveBench()
    restorer = LoadedRestorer(bench.clock)
    detector, tracker = FakeDetector(), FakeTracker([track(x=100, y=80, side=80)])
    pipeline = Pipeline(detector, {"fake": restorer}, tracker, clock=bench.clock)
    budget = Budget(ladder(["fake"]), 1 / 30, {"fake": 0.005})
    bench.live.engine = Engine(pipeline, budget, lambda name: (name, "cpu"))

    def call(seconds: float) -> list[int]:
        """Of each frame, how many of its faces came out of the network."""
        fresh, until = [], bench.clock.now + seconds
        while bench.clock.now < until:
            bench.clock.sleep(1 / 30)
            bench.live.serve(frame(NEW, len(fresh), bench.clock.now))
            fresh.append(bench.live.fresh)
        return fresh

    restorer.seconds = 0.4
    call(20)
    assert bench.live.plan.rung == "plain", "the machine is too busy for any network"
    restorer.seconds = 0.005
    bench.idle(12)
    began = bench.clock.now
    detector.calls = 0
    assert call(3 / 30) == [1, 1, 1]
    assert detector.calls == 1, "on the very first picture"
    assert bench.clock.now - began < 1.0


def test_the_last_picture_is_forgotten_and_the_next_one_goes_on():
    bench = LiveBench()
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    assert bench.live.last is OLD
    bench.idle(STEP_S)
    assert bench.live.last is None
    assert len(bench.sink.sent) == 2, "at once, not two seconds after the last picture"
    for payload, original in (bench.sink.sent[-1], bench.preview.sent[-1]):
        assert is_placeholder(payload)
        assert np.all(original.image == WAITING_GREY), "nor does the page's `before` show it"

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


def test_figures_are_of_this_call():
    """Idle, it still gave thirty pictures a second; and in the next call, for ten seconds, less than one."""
    bench = LiveBench()

    def call() -> None:
        for index in range(30):
            bench.clock.sleep(1 / 30)
            bench.live.serve(frame(NEW, index, bench.clock.now))

    call()
    bench.idle(3600)
    assert enhancement(bench.live)["fps"] == 0.0
    call()
    assert enhancement(bench.live)["fps"] == 30.0
    assert enhancement(bench.live)["frames"] == 60


def test_a_pause_that_no_program_watched_is_no_silence_of_the_camera():
    bench = LiveBench()
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    bench.idle(3600)
    bench.live.wake()
    bench.live.hold()
    bench.clock.sleep(HELD_AFTER_S / 2)
    bench.live.hold()
    assert is_placeholder(bench.sink.sent[-1][0])
    assert bench.said.lines == []


def test_a_sink_that_is_lost_while_no_program_watches_comes_back():
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


def test_a_camera_that_is_woken_has_its_second_from_then_on():
    bench = LiveBench()
    bench.idle(3600)
    bench.clock.sleep(STEP_S)
    bench.live.wake()
    bench.clock.sleep(HELD_AFTER_S - 0.1)
    bench.live.hold()
    assert bench.said.lines == []
    bench.clock.sleep(0.2)
    bench.live.hold()
    assert bench.said.lines == ["camera: no pictures for 1 s; waiting for it"]


def test_a_silence_that_is_just_over_is_not_said_again():
    bench = LiveBench()
    bench.live.serve(frame(OLD, timestamp=bench.clock.now))
    bench.clock.sleep(HELD_AFTER_S + 0.1)
    bench.live.hold()
    bench.said.notices.clear("camera", "pictures again")  # the capture thread has read one; it is on its way
    bench.clock.sleep(0.1)
    bench.live.hold()
    assert bench.said.notices.active == set(), "it would never be resolved"
    assert len(bench.said.lines) == 2
    bench.live.serve(frame(NEW, 1, bench.clock.now))
    bench.clock.sleep(HELD_AFTER_S + 0.1)
    bench.live.hold()
    assert len(bench.said.lines) == 3, "the next silence is a new one"

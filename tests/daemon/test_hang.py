"""A network, a detection or a sink that hangs: the meeting goes on, one notice says so, and the effect comes back."""

import numpy as np
import pytest

from frrcam.concurrency.deadline import HUNG_S
from frrcam.concurrency.retry import PROVEN_S, RETRY_S
from frrcam.daemon.enhancer import REPLACE_S
from frrcam.daemon.publisher import PATIENCE_S, Live
from frrcam.daemon.settings import LiveSettings
from frrcam.errors import SinkLost
from frrcam.frame import Frame, Image, Payload
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer
from frrcam.sinks.base import FakeSink
from tests.fakes import (
    FakeClock,
    FakeDetector,
    FakeExecutor,
    FakeTracker,
    Said,
    picture,
    track,
)

SIZE, FPS = (320, 240), 30.0
FACE = track(x=100, y=80, side=80)
PICTURE = picture(*SIZE)
LONG = 60.0


class Rig:
    """A Live whose threads are faked: each hangs on demand."""

    def __init__(self) -> None:
        self.clock, self.said = FakeClock(), Said()
        self.executors: dict[str, list[FakeExecutor]] = {"enhance": [], "publish": []}
        self.sink, self.preview = FakeSink(), FakeSink()
        self.sinks: list[FakeSink] = []
        self.closed: list[int] = []
        self.index = self.engines = 0
        self.live = Live(
            self.sink,
            self._reopen,
            SIZE,
            FPS,
            LiveSettings(),
            self.said.notices,
            self.clock,
            preview=self.preview,
            make_executor=self._make_executor,
        )
        self.live.engine = self.engine()

    def engine(self) -> Engine:
        self.engines += 1
        number = self.engines
        pipeline = Pipeline(FakeDetector(), {"fake": FakeRestorer()}, FakeTracker([FACE]), clock=self.clock)
        budget = Budget(ladder(["fake"]), 1 / FPS, {"fake": 0.005})
        return Engine(pipeline, budget, lambda name: (name, "cpu"), lambda: self.closed.append(number))

    def _make_executor(self, name: str) -> FakeExecutor:
        self.executors[name].append(FakeExecutor(self.clock))
        return self.executors[name][-1]

    def _reopen(self, width: int, height: int, fps: float) -> FakeSink:
        self.sinks.append(FakeSink())
        return self.sinks[-1]

    @property
    def network(self) -> FakeExecutor:
        return self.executors["enhance"][-1]

    @property
    def driver(self) -> FakeExecutor:
        return self.executors["publish"][-1]

    def seconds(self, seconds: float) -> Image:
        """Serves `seconds` of frames; the newest picture that was shown."""
        until = self.clock.now + seconds
        while self.clock.now < until - 1e-9:
            self.clock.sleep(1 / FPS)
            self.live.serve(Frame(PICTURE, self.index, self.clock.now, "fake"))
            self.index += 1
        return self.preview.sent[-1][0]


def enhanced(image: Image) -> bool:
    return bool(np.any(image != PICTURE))


def test_a_network_that_hangs_gives_plain_pictures_at_the_cameras_rate():
    rig = Rig()
    assert enhanced(rig.seconds(1))
    rig.network.hangs = True
    before, count = rig.clock.now, len(rig.sink.sent)
    rig.live.serve(Frame(PICTURE, rig.index, rig.clock.now, "fake"))
    assert rig.clock.now - before == pytest.approx(PATIENCE_S), "waited for once"
    assert not enhanced(rig.sink.sent[-1][0])
    assert rig.live.plan.rung == "plain"
    rig.seconds(3)
    assert len(rig.sink.sent) - count == pytest.approx(3 * FPS, abs=2), "and then no more"
    assert not any(enhanced(payload) for payload, _ in rig.sink.sent[count:])
    assert rig.live.plan.reason == "the network has not answered yet"
    assert rig.live.metrics.window()[-1].wanted == 1, "a face goes without"
    assert rig.said.lines == ["enhancement has not answered for 1 s; showing the plain camera picture"]

    rig.network.release()
    assert not enhanced(rig.seconds(RETRY_S[0] / 2)), "not at once, it might hang again"
    assert enhanced(rig.seconds(RETRY_S[0] + PROVEN_S + 0.5))
    assert rig.said.lines[1:] == ["enhancement works again"]
    assert rig.said.notices.active == set()
    assert rig.engines == 1


def test_after_a_hang_the_effect_comes_up_and_does_not_pop():
    rig = Rig()
    rig.seconds(1)
    rig.network.hangs = True
    rig.seconds(3)
    plain = len(rig.preview.sent)
    rig.network.release()
    rig.seconds(2)
    changes = [float(np.abs(shown.astype(float) - PICTURE).max()) for shown, _ in rig.preview.sent[plain:]]
    first = next(change for change in changes if change)
    assert 0 < first < 0.4 * changes[-1]


def test_a_slow_frame_is_no_trouble_and_teaches_the_budget():
    rig = Rig()
    rig.seconds(1)
    for _ in range(8):
        rig.network.hangs = True
        rig.seconds(PATIENCE_S + 0.1)
        rig.network.release()
    rig.seconds(2 / FPS)
    assert rig.said.lines == []
    assert (rig.live.plan.rung, "were late" in rig.live.plan.reason) == ("third", True)


def test_a_network_that_hangs_again_and_again_is_tried_less_and_less_and_said_once():
    rig = Rig()
    rig.seconds(1)
    tries = 0
    for _ in range(40):
        if not rig.network.hangs:
            rig.network.hangs = True
            tries += 1
        rig.seconds(1.5)
        rig.network.release()
    assert len(rig.said.lines) == 1
    hung = len([None for record in rig.live.metrics.window() if record.total >= PATIENCE_S])
    assert hung <= 3, "in the last ten seconds"


def test_an_answer_that_is_an_error_is_a_failure():
    rig = Rig()
    rig.seconds(1)
    rig.network.hangs = True
    rig.seconds(1 / FPS)
    assert rig.live.engine is not None
    rig.live.engine.pipeline.process = None  # type: ignore[method-assign,assignment]  # what is called late fails
    rig.network.release()
    rig.seconds(0.1)
    assert rig.said.count("enhancement failed") == len(rig.said.lines) == 1


def test_an_engine_that_never_answers_is_replaced_and_closed_should_it_ever_come_back():
    rig = Rig()
    rig.seconds(1)
    first = rig.network
    first.hangs = True
    rig.seconds(REPLACE_S[0] - 0.5)
    assert not rig.live.lacks_engine
    rig.seconds(1)
    assert rig.live.lacks_engine
    rig.live.engine = rig.engine()
    assert not rig.live.lacks_engine
    assert enhanced(rig.seconds(RETRY_S[0] + PROVEN_S + 0.5))
    assert rig.said.lines[1:] == ["enhancement works again"]
    assert (first.ended, rig.closed) == (True, [])
    first.release()
    assert rig.closed == [1]
    assert enhanced(rig.seconds(1)), "and its answer is dropped"


def test_an_engine_that_answers_before_another_is_loaded_is_lacked_no_more():
    rig = Rig()
    rig.seconds(1)
    rig.network.hangs = True
    rig.seconds(REPLACE_S[0] + 0.5)
    assert rig.live.lacks_engine
    rig.network.release()
    assert not rig.live.lacks_engine
    assert enhanced(rig.seconds(2.5))


def test_no_more_than_a_few_engines_may_hang():
    rig = Rig()
    for wait in REPLACE_S:
        rig.seconds(2.5)
        rig.network.hangs = True
        rig.seconds(wait + 0.5)
        assert rig.live.lacks_engine
        rig.live.engine = rig.engine()
    rig.seconds(2.5)
    rig.network.hangs = True
    rig.seconds(2 * REPLACE_S[-1])
    assert not rig.live.lacks_engine
    assert (rig.engines, rig.closed) == (len(REPLACE_S) + 1, [])
    rig.executors["enhance"][1].release()
    assert rig.closed == [2]
    assert rig.live.lacks_engine, "there is room for another one"


def test_an_engine_that_is_replaced_in_good_health_is_closed():
    rig = Rig()
    rig.seconds(1)
    rig.live.engine = rig.engine()
    rig.live.engine = rig.engine()
    assert rig.closed == [2], "never used"
    assert enhanced(rig.seconds(1))
    assert rig.closed == [2, 1]


def test_closing_closes_the_engine_and_one_that_comes_later():
    rig = Rig()
    rig.seconds(1)
    rig.live.close()
    rig.live.close()
    assert rig.closed == [1]
    rig.live.engine = rig.engine()
    assert rig.closed == [1, 2]


def test_closing_does_not_wait_for_what_hangs():
    rig = Rig()
    rig.seconds(1)
    rig.network.hangs = rig.driver.hangs = True
    rig.seconds(1)
    before = rig.clock.now
    rig.live.close()
    assert rig.clock.now == before
    assert (rig.closed, rig.sink.closed) == ([], 0)
    rig.network.release()
    rig.driver.release()
    assert (rig.closed, rig.sink.closed) == ([1], 1)


@pytest.mark.parametrize("reopens", [True, False])
def test_a_file_that_hangs_at_the_end_is_not_complete_until_it_comes_back(reopens: bool):
    rig = Rig()
    rig.live._outlet._sink = sink = FakeSink(reopens=reopens)
    rig.live._outlet.info = sink.info
    rig.seconds(1)
    rig.driver.hangs = True
    rig.seconds(1)
    rig.live.close()
    assert (rig.live.failed is None) == reopens
    rig.driver.release()
    assert sink.closed == 1
    assert rig.live.failed is None


def test_a_file_that_hangs_at_the_end_and_then_fails_has_failed():
    rig = Rig()
    rig.live._outlet._sink = sink = FakeSink(lost_after=30, reopens=False)
    rig.live._outlet.info = sink.info
    rig.seconds(1)
    rig.driver.hangs = True
    rig.seconds(1)
    rig.live.close()
    rig.driver.release()
    assert sink.closed == 1
    assert isinstance(rig.live.failed, SinkLost)
    assert "gone" in str(rig.live.failed)


def test_a_sink_that_hangs_is_waited_for_while_everything_else_goes_on():
    rig = Rig()
    rig.seconds(1)
    rig.driver.hangs = True
    count, shown = len(rig.sink.sent), len(rig.preview.sent)
    rig.live.published_since_asked()
    assert enhanced(rig.seconds(5)), "on the page"
    assert len(rig.preview.sent) - shown == pytest.approx(5 * FPS, abs=10)
    assert len(rig.sink.sent) == count
    assert not rig.live.published_since_asked(), "systemd is to know"
    assert not rig.live.sink_lost, "it is still ours, and it is not opened a second time"
    assert rig.said.lines == ["fake has taken no picture for 1 s; waiting for it"]
    rig.driver.release()
    rig.seconds(PROVEN_S + RETRY_S[0] + 0.5)
    assert len(rig.sink.sent) - count > FPS
    assert rig.sinks == []
    assert rig.said.lines[1:] == ["fake is back"]


def test_a_sink_that_is_slow_once_is_no_trouble():
    rig = Rig()
    rig.driver.hangs = True
    rig.seconds(HUNG_S / 2)
    rig.driver.release()
    rig.seconds(3)
    assert rig.said.lines == []
    assert rig.live.published_since_asked()


def test_a_sink_that_comes_back_with_an_error_is_lost_and_opened_again():
    rig = Rig()
    rig.seconds(1)
    rig.driver.hangs = True
    rig.seconds(2)
    rig.sink.close()  # what was kept will find it gone
    rig.driver.release()
    rig.seconds(4)
    assert len(rig.sinks) == 1
    assert rig.sinks[0].sent
    assert rig.said.lines == ["fake has taken no picture for 1 s; waiting for it", "fake is back"]


def test_a_sink_that_hangs_in_opening_and_is_not_needed_any_more_is_closed():
    rig = Rig()
    rig.sink.close()
    rig.seconds(0.1)
    assert rig.live.sink_lost
    rig.driver.hangs = True
    rig.seconds(2)
    rig.live.close()
    assert rig.sinks == []
    rig.driver.release()
    assert [sink.closed for sink in rig.sinks] == [1]


def test_a_lost_sink_that_cannot_be_closed_in_time_is_waited_for():
    rig = Rig()
    rig.seconds(1)

    class Slow(FakeSink):
        def send(self, payload: Payload, original: Frame) -> None:
            rig.driver.hangs = True  # from the next call on, which is the closing
            raise SinkLost("gone")

    rig.live._outlet._sink = slow = Slow()
    rig.seconds(3)
    assert (slow.closed, rig.sinks) == (0, []), "a device that is still held is not opened"
    rig.driver.release()
    rig.seconds(2)
    assert slow.closed == 1
    assert len(rig.sinks) == 1

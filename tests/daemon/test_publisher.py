from collections.abc import Callable

import numpy as np
import pytest

from frrcam.concurrency.retry import RETRY_S
from frrcam.daemon.publisher import HELD_AFTER_S, WAITING_GREY, Live
from frrcam.daemon.settings import LiveSettings, LiveValue
from frrcam.errors import SinkLost, SinkNotFound, SinkUnusable
from frrcam.frame import Frame, Image, Payload
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import Rung, ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer, Restored
from frrcam.sinks.base import FakeSink
from tests.fakes import FakeClock, FakeDetector, FakeTracker, Said, picture, track

SIZE = (320, 240)
FPS = 30.0
FACE = track(x=100, y=80, side=80)


class Rig:
    """A Live with everything around it faked, one camera's worth of time per frame."""

    def __init__(self, sink: FakeSink | None = None, *, engine: bool = True, preview: FakeSink | None = None) -> None:
        self.clock, self.said = FakeClock(), Said()
        self.settings = LiveSettings(LiveValue(light=0.0, colour=0.0))
        self.sink = sink or FakeSink()
        self.sinks: list[object] = []
        self.opens: list[float] = []
        self.restorer, self.detector, self.tracker = FakeRestorer(), FakeDetector(), FakeTracker([FACE])
        self.image = picture(*SIZE)
        self.index = 0
        self.live = Live(
            self.sink, self._reopen, SIZE, FPS, self.settings, self.said.notices, self.clock, preview=preview
        )
        if engine:
            self.live.engine = self.engine()

    def engine(self) -> Engine:
        pipeline = Pipeline(self.detector, {"fake": self.restorer}, self.tracker, clock=self.clock)
        return Engine(pipeline, Budget(ladder(["fake"]), 1 / FPS, {"fake": 0.005}), lambda name: (name, "cpu"))

    def _reopen(self, width: int, height: int, fps: float) -> FakeSink:
        self.opens.append(self.clock.now)
        made = self.sinks.pop(0) if self.sinks else FakeSink()
        if isinstance(made, Exception):
            raise made
        assert isinstance(made, FakeSink)
        self.sink = made
        return made

    def frames(self, count: int = 1, image: Image | None = None) -> Image:
        """Serves `count` frames; the newest picture that was sent."""
        for _ in range(count):
            self.clock.sleep(1 / FPS)
            picture = self.image if image is None else image
            self.live.serve(Frame(picture, self.index, self.clock.now, "fake"))
            self.index += 1
        return self.newest

    def silence(self, seconds: float, step: float = 1 / FPS) -> None:
        """No frame comes for so long; the daemon calls hold() all the while."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.sleep(step)
            self.live.hold()

    @property
    def newest(self) -> Image:
        return self.sink.sent[-1][0] if self.sink.sent else self.image


def test_without_an_engine_the_picture_is_plain():
    rig = Rig(engine=False)
    assert rig.frames(5) is rig.image
    assert rig.live.plan.rung == "plain"
    assert "loaded" in rig.live.plan.reason
    assert rig.said.lines == []


def test_with_an_engine_the_face_is_enhanced_and_the_rest_is_the_cameras():
    rig = Rig()
    after = rig.frames(30)
    different = np.argwhere((after != rig.image).any(axis=2))
    assert len(different) > 500
    assert different.min() >= 60
    assert different.max() <= 200
    record = rig.live.metrics.window()[-1]
    assert (record.rung, record.faces, record.fresh, record.wanted, record.late) == ("fake", 1, 1, 1, False)
    assert {"capture", "track", "align", "restore", "compose", "convert", "publish"} <= record.stages.keys()
    assert (rig.live.faces, rig.live.fresh) == (1, 1)


def test_an_engine_that_comes_late_takes_over():
    rig = Rig(engine=False)
    rig.frames(5)
    rig.live.engine = rig.engine()
    assert np.any(rig.frames(30) != rig.image)


def test_work_and_latency_are_measured():
    rig = Rig()
    rig.clock.sleep(1)
    stamped = rig.clock.now - 0.02
    rig.live.serve(Frame(rig.image, 0, stamped, "fake"), read_s=0.004)
    record = rig.live.metrics.window()[-1]
    assert record.latency == pytest.approx(0.02)
    assert record.total == pytest.approx(0.004)
    assert record.stages["capture"] == 0.004


def test_decoding_beside_it_takes_nothing_from_a_frames_time():
    rig = Rig()
    for index in range(60):
        rig.clock.sleep(1 / FPS)
        rig.live.serve(Frame(rig.image, index, rig.clock.now, "fake"), read_s=1.0)
    assert rig.live.plan.rung == "fake"
    assert not rig.live.metrics.window()[-1].late


def test_a_late_frame_is_counted():
    class SlowSink(FakeSink):
        def send(self, payload: Payload, original: Frame) -> None:
            rig.clock.sleep(0.05)
            super().send(payload, original)

    rig = Rig(SlowSink())
    rig.frames(1)
    assert rig.live.metrics.window()[-1].late


def test_a_broken_restorer_gives_the_plain_picture_is_said_once_and_tried_less_and_less():
    rig = Rig()
    rig.frames(30)
    rig.restorer.broken = True
    calls = rig.restorer.calls
    for _ in range(round(20 * FPS)):
        assert np.array_equal(rig.frames(1), rig.image)
    assert rig.said.count("showing the plain camera picture") == len(rig.said.lines) == 1
    assert 4 <= rig.restorer.calls - calls <= 7, "0.5, 1, 2, 5, 10 s apart"
    assert rig.live.plan.rung == "plain"
    assert rig.live.metrics.window()[-1].wanted == 1, "a face goes without"

    rig.restorer.broken = False
    rig.frames(round(RETRY_S[-1] * FPS))
    assert np.any(rig.newest != rig.image)
    assert rig.said.lines[1:] == ["enhancement works again"]
    assert rig.said.notices.active == set()


def test_a_broken_detector_gives_the_plain_picture_too():
    rig = Rig()
    rig.detector.broken = True
    assert np.array_equal(rig.frames(600), rig.image)
    assert len(rig.said.lines) == 1
    assert rig.said.count("the detector broke") == 1


def test_a_failure_does_not_teach_the_budget():
    rig = Rig()
    rig.frames(30)
    rig.restorer.broken = True
    rig.frames(100)
    rig.restorer.broken = False
    rig.frames(200)
    assert rig.live.plan.rung == "fake"


def test_a_lost_sink_is_opened_again_and_both_are_said_once():
    rig = Rig(FakeSink(lost_after=3))
    first = rig.sink
    rig.sinks = [SinkNotFound("no virtual camera"), OSError("ioctl")]
    rig.frames(4)
    assert rig.live.sink_lost
    assert first.closed == 1
    rig.frames(round(10 * FPS))
    assert not rig.live.sink_lost
    assert len(rig.sink.sent) > 100
    assert rig.said.lines == ["fake: the virtual camera is gone; trying to get fake back", "fake is back"]
    waited = np.diff([1000 + 4 / FPS, *rig.opens])
    assert waited == pytest.approx(RETRY_S[:3], abs=0.05)
    assert len(rig.live.metrics.window()) == 300, "the pictures went on"
    assert rig.live.metrics.published == 3 + len(rig.sink.sent), "and those that it took are counted"


def test_a_file_that_fails_is_not_opened_again_for_that_would_start_it_over():
    rig = Rig(FakeSink(lost_after=3, reopens=False))
    rig.frames(round(10 * FPS))
    assert (rig.opens, rig.sink.closed) == ([], 1)
    assert rig.live.metrics.published == 3
    assert isinstance(rig.live.failed, SinkLost)
    assert rig.said.lines == [], "the user reads the error"


def test_a_file_that_fails_in_an_unknown_way_is_an_error_of_ours():
    class Odd(FakeSink):
        def send(self, payload: Payload, original: Frame) -> None:
            raise ZeroDivisionError("encoder")

    rig = Rig(Odd(reopens=False))
    rig.frames(1)
    assert isinstance(rig.live.failed, SinkUnusable)
    assert str(rig.live.failed) == "memory: encoder"


def test_a_file_that_cannot_be_completed_has_failed():
    class Full(FakeSink):
        def close(self) -> None:
            super().close()
            raise SinkUnusable("out.mp4: the disk is full")

    rig = Rig(Full(reopens=False))
    rig.frames(3)
    assert rig.live.failed is None
    rig.live.close()
    assert str(rig.live.failed) == "out.mp4: the disk is full"
    assert rig.said.lines == []


def test_a_sink_that_opens_and_hardly_takes_a_picture_is_no_chatter():
    rig = Rig(FakeSink(lost_after=0), engine=False)
    rig.sinks = [FakeSink(lost_after=flaps) for flaps in (0, 3) * 50]
    rig.frames(round(60 * FPS))
    assert len(rig.opens) <= 8
    assert len(rig.said.lines) == 1


def test_a_backend_may_raise_anything():
    class Torn(FakeSink):
        def convert(self, image: Image) -> Payload:
            raise ZeroDivisionError("backend")

        def close(self) -> None:
            super().close()
            raise OSError("no such device")

    rig = Rig(Torn())
    rig.frames(2)
    assert rig.live.sink_lost
    rig.frames(60)
    assert not rig.live.sink_lost


def test_a_preview_that_fails_is_said_once_and_costs_no_picture():
    rig = Rig(preview=FakeSink(lost_after=0))
    rig.frames(30)
    assert len(rig.sink.sent) == 30
    assert rig.said.count("shows nothing") == 1


def test_the_preview_shows_what_is_published():
    preview = FakeSink()
    rig = Rig(preview=preview)
    rig.frames(30)
    shown, original = preview.sent[-1]
    assert shown is rig.newest
    assert original.image is rig.image


def test_without_a_camera_the_last_picture_is_held_with_a_notice():
    rig = Rig()
    last = rig.frames(30).copy()
    count = len(rig.sink.sent)
    rig.silence(HELD_AFTER_S - 0.05)
    assert len(rig.sink.sent) == count, "a short pause is no trouble"
    rig.silence(10.05)
    held = rig.sink.sent[count:]
    assert 90 <= len(held) <= 105, "about ten a second"
    assert rig.said.lines == ["fake: no pictures for 1 s; waiting for it"]
    for payload, _ in held:
        assert payload.shape == last.shape
        assert np.array_equal(payload[:200], last[:200]), "the picture itself, however often it is held"
        assert np.any(payload[200:] != last[200:])
        assert payload.mean() > 50
    assert np.array_equal(held[0][0], held[-1][0]), "the notice is drawn on the picture, not on the notice"


def test_before_the_first_picture_a_grey_one_stands_in():
    rig = Rig()
    rig.silence(2.0)
    payload, original = rig.sink.sent[-1]
    assert payload.shape == (240, 320, 3)
    assert int(np.median(payload)) == WAITING_GREY
    assert original.size == SIZE
    assert rig.said.count("no pictures") == 1


def test_a_slow_camera_is_not_taken_for_a_lost_one():
    rig = Rig()
    slow = Live(rig.sink, rig._reopen, SIZE, 1.0, rig.settings, rig.said.notices, rig.clock)
    slow.serve(Frame(rig.image, 0, rig.clock.now, "fake"))
    rig.clock.sleep(2.0)
    slow.hold()
    assert len(rig.sink.sent) == 1


def test_who_asked_for_patience_gets_no_notice_of_a_slow_picture():
    rig = Rig()
    patient = Live(
        rig.sink, rig._reopen, SIZE, FPS, rig.settings, rig.said.notices, rig.clock, patience_s=3 * HELD_AFTER_S
    )
    rig.clock.sleep(2 * HELD_AFTER_S)
    patient.hold()
    assert (rig.sink.sent, rig.said.lines) == ([], [])
    rig.clock.sleep(2 * HELD_AFTER_S)
    patient.hold()
    assert len(rig.sink.sent) == 1


def test_hours_of_sleep_are_survived():
    rig = Rig()
    rig.frames(60)
    rig.clock.sleep(9 * 3600)
    rig.live.hold()
    rig.frames(60)
    assert np.any(rig.newest != rig.image)
    assert rig.live.plan.rung == "fake"


def test_holding_goes_on_while_the_sink_is_lost():
    rig = Rig(FakeSink(lost_after=1))
    rig.frames(1)
    rig.silence(5.0)
    assert not rig.live.sink_lost
    assert len(rig.sink.sent) > 10


def test_mirror_flips_left_and_right():
    rig = Rig(engine=False)
    rig.settings.update({"mirror": True})
    assert np.array_equal(rig.frames(1), rig.image[:, ::-1])
    before = rig.sink.sent[-1][1]
    assert np.array_equal(before.image, rig.newest), "before and after face the same way"


def test_a_camera_that_comes_back_smaller_fills_the_same_size():
    rig = Rig()
    rig.frames(30)
    small = picture(160, 160)
    published = rig.frames(1, small)
    assert published.shape == (240, 320, 3)
    assert np.all(published[:, :40] == 0)
    assert np.all(published[:, 280:] == 0)
    assert published[:, 40:280].mean() > 50


@pytest.mark.parametrize("turn", [lambda rig: rig.frames(1, picture(160, 160)), lambda rig: _mirror(rig)])
def test_another_geometry_forgets_where_the_faces_were(turn: Callable[[Rig], None]):
    rig = Rig()
    rig.frames(30)
    assert rig.tracker.resets == 0
    turn(rig)
    assert rig.tracker.resets == 1


def _mirror(rig: Rig) -> None:
    rig.settings.update({"mirror": True})
    rig.frames(1)


def test_switched_off_is_the_cameras_picture_and_on_again_at_once():
    rig = Rig()
    rig.frames(30)
    rig.settings.update({"enabled": False})
    assert rig.frames(1) is rig.image
    assert rig.live.plan.reason == "switched off"
    assert rig.live.metrics.window()[-1].wanted == 0
    rig.settings.update({"enabled": True})
    assert np.any(rig.frames(10) != rig.image)
    assert rig.said.lines == []


def test_strength_and_faces_are_taken_from_the_settings():
    rig = Rig()
    rig.settings.update({"strength": 0.0})
    assert np.array_equal(rig.frames(30), rig.image)
    rig.settings.update({"strength": 1.0, "max_faces": 1})
    rig.tracker.tracks = [FACE, track(2, x=200, y=10, side=60)]
    rig.frames(30)
    assert rig.live.metrics.window()[-1].wanted == 1


def test_for_want_of_time_a_face_goes_without_and_is_counted():
    rig = Rig()
    rig.frames(5)
    assert rig.live.engine is not None
    rig.live.engine = Engine(
        rig.live.engine.pipeline, Budget((Rung("plain", None),), 1 / FPS, {}), rig.live.engine.describe
    )
    assert rig.frames(1) is rig.image
    record = rig.live.metrics.window()[-1]
    assert (record.rung, record.fresh, record.wanted) == ("plain", 0, 1)


def test_on_a_machine_grown_too_busy_the_effect_fades_and_the_face_is_counted():
    class Loaded(FakeRestorer):
        def restore(self, crops: list[Image]) -> Restored:
            rig.clock.sleep(seconds)
            return super().restore(crops)

    rig, seconds = Rig(), 0.005
    rig.restorer = Loaded()
    rig.live.engine = rig.engine()
    full = np.abs(rig.frames(60).astype(int) - rig.image).max()
    seconds = 0.06
    left = [np.abs(rig.frames().astype(int) - rig.image).max() for _ in range(30)]
    assert rig.live.plan.rung == "plain"
    assert left[-1] == 0
    assert np.diff([full, *left]).min() > -0.5 * full
    assert {record.wanted for record in rig.live.metrics.window()[-30:]} == {1}


def test_a_face_in_doubt_is_looked_for_sooner():
    rig = Rig()
    rig.frames(30)
    calls = []
    for rig.tracker.urgent in (False, True):
        before = rig.detector.calls
        rig.frames(60)
        calls.append(rig.detector.calls - before)
    assert calls[1] >= 1.5 * calls[0] > 0


def test_closing_closes_the_sink_once():
    rig = Rig()
    rig.live.close()
    rig.live.close()
    assert rig.sink.closed == 1


def test_closing_survives_a_sink_that_cannot():
    class Full(FakeSink):
        def close(self) -> None:
            super().close()
            raise SinkLost("the disk is full")

    rig = Rig(Full())
    rig.live.close()
    assert rig.said.count("the disk is full") == 1

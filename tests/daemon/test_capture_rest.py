"""The capture closes the camera while no program watches, and takes it again."""

import threading

from frrcam.concurrency.mailbox import Mailbox
from frrcam.daemon.capture import BACKOFF_S, Capture
from frrcam.errors import SourceLost, SourceNotFound
from frrcam.sources.base import Source
from tests.daemon.on_demand import LONG, NEW, Camera
from tests.fakes import FakeClock, Said, ScriptedSource


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


def test_a_camera_that_opens_when_no_program_watches_any_more_is_closed_unread():
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


def test_a_lost_camera_is_not_looked_for_while_no_program_watches():
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

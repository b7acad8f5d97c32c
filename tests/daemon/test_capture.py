from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from frrcam.concurrency.mailbox import Mailbox
from frrcam.daemon.capture import BACKOFF_S, STEADY_S, Capture
from frrcam.errors import SourceError, SourceLost, SourceNotFound
from frrcam.sources.base import FakeSource, Source
from tests.fakes import FakeClock, Said, ScriptedSource, always, picture

PICTURE = picture()


class Recorder(Mailbox):
    """A mailbox that remembers what was put, and may act on it."""

    def __init__(self, then: Callable[[int], None] = lambda count: None) -> None:
        super().__init__()
        self.frames: list = []
        self._then = then

    def put(self, frame) -> None:  # type: ignore[no-untyped-def]
        self.frames.append(frame)
        super().put(frame)
        self._then(len(self.frames))


class Bench:
    """A Capture with everything around it faked. `reopened` gives what the factory returns or raises, in turn."""

    def __init__(
        self,
        opened: Source,
        reopened: Iterable[object] = (),
        *,
        clock: FakeClock | None = None,
        then: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.clock, self.said, self.mailbox = clock or FakeClock(), Said(), Recorder(then)
        self.opens: list[float] = []
        self.given: list[object] = []
        self._next = iter(reopened)
        self.capture = Capture(opened, self._reopen, self.mailbox, self.said.notices, self.clock, self.clock.wait)

    def run(self) -> "Bench":
        self.capture.run()
        return self

    def _reopen(self) -> Source:
        self.opens.append(self.clock.now)
        made = next(self._next)
        if callable(made):
            made = made()
        self.given.append(made)
        if isinstance(made, Exception):
            raise made
        return made  # type: ignore[return-value]


def stop_after(clock: FakeClock, frames: int) -> Callable[[int], None]:
    def then(count: int) -> None:
        if count >= frames:
            clock.stop_at = clock.now

    return then


def test_a_file_is_played_at_its_own_pace():
    source = ScriptedSource([PICTURE] * 5, live=False, fps=10)
    bench = Bench(source).run()
    assert [frame.index for frame in bench.mailbox.frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp - 1000 for frame in bench.mailbox.frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert bench.mailbox.closed
    assert source.closed == 1
    assert bench.said.lines == []


def test_slow_decoding_is_made_up_for():
    clock = FakeClock()

    def slow() -> object:
        clock.sleep(0.07)
        return PICTURE

    bench = Bench(ScriptedSource([slow] * 4, live=False, fps=10), clock=clock).run()
    assert [frame.timestamp - 1000 for frame in bench.mailbox.frames] == pytest.approx([0.07, 0.17, 0.27, 0.37])
    assert bench.capture.read_s == pytest.approx(0.07)


def test_after_hours_of_sleep_a_file_goes_on_at_its_own_pace():
    clock = FakeClock()

    def asleep() -> object:
        clock.sleep(7 * 3600)
        return PICTURE

    bench = Bench(ScriptedSource([PICTURE, asleep, *[PICTURE] * 3], live=False, fps=10), clock=clock).run()
    after = [frame.timestamp for frame in bench.mailbox.frames][1:]
    assert [time - after[0] for time in after] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_live_source_sets_the_pace_itself():
    clock = FakeClock()
    source = ScriptedSource(always(PICTURE), fps=30, clock=clock)
    bench = Bench(source, clock=clock, then=stop_after(clock, 30)).run()
    assert clock.now - 1000 == pytest.approx(1.0)
    assert clock.waits == []
    assert [frame.timestamp for frame in bench.mailbox.frames] == pytest.approx(
        [1000 + (n + 1) / 30 for n in range(30)]
    )
    assert bench.capture.read_s == pytest.approx(1 / 30)


def test_a_lost_camera_is_opened_again_and_both_are_said_once():
    clock = FakeClock()
    first = FakeSource([PICTURE], live=True, loop=True, lost_after=3)
    second = ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(first, [second], clock=clock, then=stop_after(clock, 8)).run()
    assert [frame.index for frame in bench.mailbox.frames] == list(range(8)), "numbers go on"
    assert (first.closed, second.closed) == (1, 1)
    assert bench.said.lines == ["fake: the camera was unplugged; trying to get fake back", "scripted: pictures again"]


def test_attempts_to_open_are_spaced_further_and_further():
    clock = FakeClock()
    failures = [SourceNotFound("no such camera") for _ in range(8)]
    second = ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(
        ScriptedSource([SourceLost("gone")]), [*failures, second], clock=clock, then=stop_after(clock, 1)
    ).run()
    gaps = [after - before for before, after in zip([1000.0, *bench.opens], bench.opens, strict=False)]
    assert gaps == pytest.approx([*BACKOFF_S, *[BACKOFF_S[-1]] * 4])
    assert len(bench.said.lines) == 2, bench.said.lines
    assert len(bench.mailbox.frames) == 1


@pytest.mark.parametrize("error", [SourceError("busy"), OSError("ioctl"), ValueError("odd"), RuntimeError("driver")])
def test_whatever_opening_raises_it_goes_on(error: Exception):
    clock = FakeClock()
    second = ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(ScriptedSource([SourceLost("gone")]), [error, second], clock=clock, then=stop_after(clock, 1)).run()
    assert len(bench.mailbox.frames) == 1


@pytest.mark.parametrize("error", [SourceLost("gone"), OSError("ioctl"), MemoryError(), ZeroDivisionError("driver")])
def test_whatever_a_driver_raises_it_is_opened_again(error: Exception):
    clock = FakeClock()
    first = ScriptedSource([PICTURE, error])
    second = ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(first, [second], clock=clock, then=stop_after(clock, 3)).run()
    assert (first.closed, second.closed) == (1, 1)
    assert len(bench.said.lines) == 2
    assert bench.said.lines[0], "one line, even where the exception has none"


def test_a_camera_that_fails_at_once_for_ever_is_not_hammered():
    clock = FakeClock(stop_at=1060.0)
    sources: list[ScriptedSource] = []

    def broken() -> Source:
        sources.append(ScriptedSource([SourceLost("no picture")]))
        return sources[-1]

    bench = Bench(ScriptedSource([SourceLost("no picture")]), always(broken), clock=clock).run()
    assert len(bench.opens) <= 20, "a minute"
    assert all((source.reads, source.closed) == (1, 1) for source in sources)
    assert len(bench.said.lines) == 1


def test_a_camera_that_flaps_is_not_hammered():
    clock = FakeClock(stop_at=1060.0)
    flaps = lambda: ScriptedSource([PICTURE, PICTURE, SourceLost("gone")], clock=clock)  # noqa: E731
    bench = Bench(flaps(), always(flaps), clock=clock).run()
    assert len(bench.opens) <= 20
    assert len(bench.said.lines) <= 2 * len(bench.opens) + 1


def test_a_camera_that_was_steady_is_looked_for_soon():
    clock = FakeClock()
    steady = [PICTURE] * round(30 * STEADY_S + 2)
    failures = [SourceNotFound("gone")] * 3
    second = ScriptedSource([*steady, SourceLost("gone")], clock=clock)
    third = ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(ScriptedSource([SourceLost("gone")]), [*failures, second, third], clock=clock)
    bench.mailbox._then = stop_after(clock, len(steady) + 1)
    bench.run()
    assert bench.opens[-1] - bench.mailbox.frames[-2].timestamp == pytest.approx(BACKOFF_S[0] + 1 / 30)


@pytest.mark.parametrize("error", [SourceLost("clip: breaks off after picture 2"), ValueError("decoder")])
def test_a_file_that_breaks_off_ends_there_and_says_why(error: Exception):
    source = ScriptedSource([PICTURE, PICTURE, error], live=False)
    source.info = replace(source.info, ends=True)
    bench = Bench(source).run()
    assert (len(bench.mailbox.frames), bench.opens, source.closed) == (2, [], 1)
    assert bench.mailbox.closed
    assert isinstance(bench.capture.failed, SourceLost)
    assert str(error) in str(bench.capture.failed)
    assert bench.said.lines == [], "the user reads the error"


def test_a_file_that_plays_for_ever_and_breaks_off_starts_over_and_that_is_said_once():
    clock = FakeClock(stop_at=1060.0)
    clip = lambda: ScriptedSource([PICTURE] * 20 + [SourceLost("clip: breaks off")], live=False, fps=10)  # noqa: E731
    bench = Bench(clip(), always(clip), clock=clock).run()
    assert bench.capture.failed is None
    assert bench.said.lines == ["clip: breaks off; it starts over there"]
    assert len(bench.mailbox.frames) > 0.8 * 10 * 60, "with hardly a pause"


def test_a_file_that_was_taken_away_is_looked_for_less_and_less():
    clock = FakeClock(stop_at=1060.0)
    missing = SourceNotFound("clip: no such file")
    bench = Bench(ScriptedSource([PICTURE, SourceLost("gone")], live=False), always(missing), clock=clock).run()
    assert len(bench.opens) <= 20
    assert bench.said.lines == ["gone; it starts over there", "clip: no such file"]


def test_only_while_its_own_clock_lets_a_picture_wait_a_file_pauses():
    states: list[bool] = []

    def reading() -> object:
        states.append(bench.capture.pausing)
        return PICTURE

    class Watching(FakeClock):
        def wait(self, seconds: float) -> bool:
            if seconds:
                states.append(bench.capture.pausing)
            return super().wait(seconds)

    bench = Bench(ScriptedSource([reading] * 4, live=False, fps=0.5), clock=Watching())
    bench.run()
    assert states == [False, False, True, False, True, False, True]


def test_a_camera_never_pauses():
    clock = FakeClock()
    bench = Bench(ScriptedSource(always(PICTURE), clock=clock), clock=clock, then=stop_after(clock, 5))
    seen: list[bool] = []
    stop = bench.mailbox._then
    bench.mailbox._then = lambda count: (seen.append(bench.capture.pausing), stop(count))[1]
    bench.run()
    assert seen == [False] * 5


def test_waiting_while_the_camera_is_gone_takes_no_work():
    clock = FakeClock(stop_at=1600.0)
    bench = Bench(ScriptedSource([SourceLost("gone")]), always(SourceNotFound("gone")), clock=clock).run()
    assert len(bench.opens) <= 600 / BACKOFF_S[-1] + len(BACKOFF_S)
    assert len(clock.waits) <= len(bench.opens) + 1
    assert min(clock.waits) >= BACKOFF_S[0]


def test_stopped_before_it_began():
    clock = FakeClock(stop_at=1000.0)
    source = ScriptedSource(always(PICTURE))
    bench = Bench(source, clock=clock).run()
    assert (source.reads, source.closed) == (0, 1)
    assert bench.mailbox.closed


def test_stopped_between_frames_of_a_file():
    clock = FakeClock(stop_at=1000.25)
    source = ScriptedSource(always(PICTURE), live=False, fps=10)
    bench = Bench(source, clock=clock).run()
    assert len(bench.mailbox.frames) == 3
    assert source.closed == 1


def test_stopped_while_waiting_to_open_again():
    clock = FakeClock(stop_at=1000.1)
    source = ScriptedSource([SourceLost("gone")])
    bench = Bench(source, clock=clock).run()
    assert bench.opens == []
    assert source.closed == 1
    assert bench.mailbox.closed


def test_stopped_while_opening():
    clock = FakeClock()
    late = ScriptedSource(always(PICTURE))

    def opening() -> Source:
        clock.stop_at = clock.now
        return late

    bench = Bench(ScriptedSource([SourceLost("gone")]), [opening], clock=clock).run()
    assert (late.reads, late.closed) == (0, 1)
    assert bench.mailbox.closed


def test_stopped_while_reading_says_nothing():
    clock = FakeClock()

    def closing() -> object:
        clock.stop_at = clock.now
        return SourceLost("closed under its feet")

    source = ScriptedSource([PICTURE, closing])
    bench = Bench(source, clock=clock).run()
    assert bench.said.lines == []
    assert source.closed == 1


def test_a_source_whose_close_fails_is_gone_all_the_same():
    class Stubborn(ScriptedSource):
        def close(self) -> None:
            super().close()
            raise OSError("device or resource busy")

    clock = FakeClock()
    first, second = Stubborn([SourceLost("gone")]), ScriptedSource(always(PICTURE), clock=clock)
    bench = Bench(first, [second], clock=clock, then=stop_after(clock, 1)).run()
    assert first.closed == 1
    assert len(bench.mailbox.frames) == 1
    assert bench.mailbox.closed


def test_closing_from_outside_closes_once():
    source = ScriptedSource([PICTURE])
    bench = Bench(source)
    bench.capture.close()
    bench.capture.close()
    assert source.closed == 1


def test_an_end_that_is_not_an_exception_still_closes():
    source = ScriptedSource([PICTURE, KeyboardInterrupt()])
    bench = Bench(source)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert source.closed == 1
    assert bench.mailbox.closed

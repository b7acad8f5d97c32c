"""Clocks that tests turn, and doubles of what the runtime talks to (sources, sinks and restorers ship their own)."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from frrcam.concurrency.notices import Notices
from frrcam.errors import SourceLost
from frrcam.faces.alignment import TEMPLATE
from frrcam.faces.types import Detection, Track
from frrcam.frame import Frame, Image
from frrcam.sources.base import SourceInfo


class FakeClock:
    """Seconds that pass only when a test says so. `wait` is an Event's, on this clock."""

    def __init__(self, now: float = 1000.0, stop_at: float = float("inf")) -> None:
        self.now, self.stop_at = now, stop_at
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.waits.append(seconds)
        self.now = min(self.now + seconds, max(self.stop_at, self.now))
        return self.now >= self.stop_at


class FakeExecutor(Executor):
    """Makes each call at once; while `hangs`, keeps it until release(). Who waits for a kept one sees time pass."""

    def __init__(self, clock: FakeClock) -> None:
        self.hangs = self.ended = False
        self._clock, self._kept = clock, list[Callable[[], None]]()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert not self.ended
        future = PatientFuture(self._clock)
        self._kept.append(lambda: future.settle(partial(fn, *args, **kwargs)))
        if not self.hangs:
            self.release()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        assert not wait, "what may hang is not waited for"
        self.ended = True

    def release(self) -> None:
        """Makes what was kept, and lets everything through from now on."""
        self.hangs = False
        while self._kept:
            self._kept.pop(0)()


class PatientFuture(Future[Any]):
    """Waits on the test's clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def result(self, timeout: float | None = None) -> Any:
        if not self.done() and timeout is not None:
            self._clock.sleep(timeout)
        return super().result(0)

    def settle(self, call: Callable[[], Any]) -> None:
        """Makes the call and tells what came of it."""
        try:
            self.set_result(call())
        except BaseException as error:
            self.set_exception(error)


class Said:
    """Collects the user's notices."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notices = Notices(lambda: 0.0, self.lines.append)

    def count(self, part: str) -> int:
        return sum(part in line for line in self.lines)


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image:
    """Soft random blobs: a picture that differs from black, from grey, and from another one."""
    small = np.random.default_rng(seed).integers(60, 200, (height // 8, width // 8, 3), np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))


def frame(image: Image | None = None, index: int = 0, timestamp: float = 1000.0, source: str = "fake") -> Frame:
    return Frame(picture() if image is None else image, index, timestamp, source)


def track(identity: int = 1, x: float = 10, y: float = 10, side: float = 60, confidence: float = 1.0) -> Track:
    """An upright face in a square box."""
    points = (TEMPLATE * side + (x, y)).astype(np.float32)
    return Track(identity, (x, y, x + side, y + side), points, confidence, True)


def detection(one: Track, score: float = 0.9) -> Detection:
    return Detection(one.box, score, one.points)


@dataclass
class FakeDetector:
    """Finds the faces it was given; fails while `broken`."""

    found: list[Detection] = field(default_factory=list)
    broken: bool = False
    calls: int = 0

    def detect(self, image: Image) -> list[Detection]:
        self.calls += 1
        if self.broken:
            raise RuntimeError("fake: the detector broke")
        return list(self.found)


@dataclass
class FakeTracker:
    """Follows the faces it was given."""

    tracks: list[Track] = field(default_factory=list)
    resets: int = 0
    urgent: bool = False

    def update(self, image: Image, timestamp: float, detections: list[Detection] | None) -> list[Track]:
        return list(self.tracks)

    def reset(self) -> None:
        self.resets += 1


class ScriptedSource:
    """Runs one step per read(): a picture to give, None to end, an exception to raise, or a function to call first."""

    def __init__(
        self, steps: Iterable[object], *, live: bool = True, fps: float = 30.0, clock: FakeClock | None = None
    ):
        self.info = SourceInfo("scripted", 64, 48, fps, live)
        self.reads = self.closed = 0
        self._steps, self._clock = iter(steps), clock

    def read(self) -> Frame | None:
        self.reads += 1
        if self.closed:
            raise SourceLost("scripted: closed")
        if self.info.live and self._clock:
            self._clock.sleep(1 / self.info.fps)
        step = next(self._steps, None)
        if callable(step):
            step = step()
        if isinstance(step, BaseException):
            raise step
        return Frame(step, self.reads - 1, (self.reads - 1) / self.info.fps, "scripted") if step is not None else None

    def close(self) -> None:
        self.closed += 1


def always(step: object | Callable[[], object]) -> Iterable[object]:
    while True:
        yield step

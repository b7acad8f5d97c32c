"""The same on real threads: the daemon goes on while one of them hangs."""

import threading
from collections.abc import Callable

import pytest

from frrcam.daemon.daemon import Daemon
from frrcam.faces.types import Detection
from frrcam.frame import Frame, Image, Payload
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer, Restored
from frrcam.sinks.base import FakeSink
from tests.fakes import (
    FakeClock,
    FakeDetector,
    FakeTracker,
    Said,
    ScriptedSource,
    always,
    picture,
    track,
)

SIZE, FPS = (320, 240), 30.0
FACE = track(x=100, y=80, side=80)
PICTURE = picture(*SIZE)
LONG = 60.0


class Hang:
    """What hangs from the n-th call until it is let go, on real threads."""

    def __init__(self, from_call: int = 3) -> None:
        self.hangs, self.go_on, self.over = threading.Event(), threading.Event(), threading.Event()
        self._calls, self._from = 0, from_call

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == self._from:
            self.hangs.set()
            self.go_on.wait(LONG)
            self.over.set()


class HangingRestorer(FakeRestorer):
    def __init__(self, hang: Callable[[], None]) -> None:
        super().__init__()
        self._hang = hang

    def restore(self, crops: list[Image]) -> Restored:
        self._hang()
        return super().restore(crops)


class HangingDetector(FakeDetector):
    def __init__(self, hang: Callable[[], None]) -> None:
        super().__init__()
        self._hang = hang

    def detect(self, image: Image) -> list[Detection]:
        self._hang()
        return super().detect(image)


class HangingSink(FakeSink):
    def __init__(self, hang: Callable[[], None]) -> None:
        super().__init__()
        self._hang = hang

    def send(self, payload: Payload, original: Frame) -> None:
        self._hang()
        super().send(payload, original)


class Page(FakeSink):
    """Calls a function with each picture that goes out; the next one is to wait for that."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.seen = threading.Semaphore()
        self._then = then

    def send(self, payload: Payload, original: Frame) -> None:
        self._then()
        self.seen.release()


@pytest.mark.parametrize(
    ("where", "comes_back"), [("restore", True), ("restore", False), ("detect", True), ("send", True), ("send", False)]
)
def test_the_daemon_outlives_whatever_hangs(where: str, comes_back: bool):
    hang, clock, said, loads = Hang(), FakeClock(), Said(), list[Engine]()
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    after_hang = 0

    def load(period: float) -> Engine:
        mine = nothing if loads else hang
        detector = HangingDetector(mine if where == "detect" else nothing)
        restorer = HangingRestorer(mine if where == "restore" else nothing)
        pipeline = Pipeline(detector, {"fake": restorer}, FakeTracker([FACE]), clock=clock)
        budget = Budget(ladder(["fake"]), LONG, {"fake": 0.001})  # no frame is late: the clock runs beside the threads
        loads.append(Engine(pipeline, budget, lambda name: (name, "cpu")))
        return loads[-1]

    def camera() -> Image:
        page.seen.acquire(timeout=LONG)
        return PICTURE

    def shown() -> None:
        nonlocal after_hang
        if hang.hangs.is_set():
            after_hang += 1
        if after_hang == 90 and comes_back:
            hang.go_on.set()
            hang.over.wait(LONG)
        if after_hang > 90 and (said.lines[1:] or (where == "send" and not comes_back)):
            daemon.stop()

    page = Page(shown)
    sink = HangingSink(hang if where == "send" else nothing)
    daemon = Daemon(
        ScriptedSource(always(camera), clock=clock),
        lambda: ScriptedSource(always(camera), clock=clock),
        sink,
        lambda width, height, fps: FakeSink(),
        load,
        size=SIZE,
        fps=FPS,
        notices=said.notices,
        clock=clock,
        preview=page,
        patience_s=1.0,
    )
    too_long = threading.Timer(LONG, daemon.stop)
    too_long.start()
    daemon.run(wait_for_engine=True)
    too_long.cancel()
    hang.go_on.set()
    page.seen.release()
    assert after_hang > 90
    if where == "send":
        assert said.lines[:1] == ["fake has taken no picture for 1 s; waiting for it"]
        assert said.lines[1:] == (["fake is back"] if comes_back else [])
    else:
        assert said.lines[0].startswith("enhancement has not answered for 1 s")
        assert said.lines[1:] == ["enhancement works again"]
        assert len(loads) == (1 if comes_back else 2), "another one where it never answers"

"""The life of a published picture: enhanced if possible, plain if not, held with a notice when there is none.

No threads here, and no waiting but for what was asked of the executors: the daemon calls `serve` for each frame and
`hold` when none has come.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

import cv2
import numpy as np

from frrcam.compose.overlay import letterbox, with_notice
from frrcam.concurrency.deadline import InlineExecutor
from frrcam.concurrency.notices import Notices
from frrcam.daemon.enhancer import PLAIN, STARTING, Enhancer
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.sink_worker import Outlet
from frrcam.errors import SinkError, one_line
from frrcam.frame import Frame, Image
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.metrics import FrameRecord, Metrics, Stopwatch
from frrcam.pipeline.pipeline import Outcome
from frrcam.sinks.base import Sink, SinkFactory, SinkInfo, WatchedSink

HELD_AFTER_S = 1.0
"""Seconds without a picture before the last one is published again, with a notice."""
IDLE_EVERY_S = 2.0
"""Seconds between placeholders while no program watches."""
HELD_EVERY_S = 0.09
"""Seconds between such pictures: ten a second, for the question comes once in a frame's time."""
PATIENCE = 4
"""Frame periods for which a frame's result, or the sink, is waited for, but PATIENCE_S at least: a frame that comes a
little late is better than one without the effect, and one that stands still for longer is seen to."""
PATIENCE_S = 0.25
WAITING_GREY = 48
"""The level of the picture that stands in before there was any: dark, and visibly not a dead camera's black."""


class Live:
    """Owned by one thread. `engine` may be set later: until then the pictures are plain."""

    def __init__(
        self,
        sink: Sink,
        reopen_sink: SinkFactory,
        size: tuple[int, int],
        fps: float,
        settings: LiveSettings,
        notices: Notices,
        clock: Callable[[], float],
        *,
        preview: Sink | None = None,
        metrics: Metrics | None = None,
        make_executor: Callable[[str], Executor] = lambda name: InlineExecutor(),
        patience_s: float | None = None,
    ) -> None:
        """`make_executor`, by name, gives what may hang a thread of its own; `patience_s` is how long it is awaited.

        So long, if that is asked for, a picture is awaited too.
        """
        self._held_after_s = max(HELD_AFTER_S, 3 / fps, patience_s or 0.0)
        patience_s = max(PATIENCE / fps, PATIENCE_S) if patience_s is None else patience_s
        self.plan = STARTING
        self.faces = self.fresh = 0
        """Faces in the newest picture, and how many of them have a network result of it."""
        self.last: Image | None = None
        """The newest picture published."""
        self.metrics = metrics or Metrics()
        self._size, self._fps = size, fps
        self._settings, self._notices, self._clock, self._preview = settings, notices, clock, preview
        self._enhancer = Enhancer(notices, clock, lambda: make_executor("enhance"), patience_s)
        self._outlet = Outlet(sink, reopen_sink, size, fps, notices, clock, make_executor("publish"), patience_s)
        self._served: Frame | None = None
        self._held: Image | None = None
        self._placeholder: Image | None = None
        self._wanted = 0
        self._geometry: tuple[object, ...] = ()
        self._last_sent = self._last_seen = clock()

    @property
    def engine(self) -> Engine | None:
        """What enhances. May be set from another thread, again and again: the newest one counts."""
        return self._enhancer.engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._enhancer.engine = engine

    @property
    def lacks_engine(self) -> bool:
        """True if one must be loaded: there is none, or it hangs. From any thread."""
        return self._enhancer.lacks_engine

    @property
    def sink_info(self) -> SinkInfo:
        """Of the newest sink, lost or not: opened again, it may be under another number."""
        return self._outlet.info

    @property
    def sink_lost(self) -> bool:
        """True while there is nowhere to publish to."""
        return self._outlet.lost

    @property
    def failed(self) -> SinkError | None:
        """Why the file that is published to cannot be written any more; None if it can. The run ends."""
        return self._outlet.failed

    @property
    def watched_sink(self) -> WatchedSink | None:
        """The sink, if it is there and knows by itself who reads it."""
        return self._outlet.watched

    def published_since_asked(self) -> bool:
        """True if the sink has taken a picture since the last call: what a watchdog may be fed for."""
        return self._outlet.published_since_asked()

    def serve(self, frame: Frame, read_s: float = 0.0) -> None:
        """Enhances and publishes one frame; `read_s`: seconds that capturing and decoding it took."""
        started = self._clock()
        watch = Stopwatch(self._clock)
        frame = self._prepare(frame)
        settings = self._settings.value
        plan = self._enhancer.plan(settings, started)
        outcome = self._enhancer.process(frame, plan, settings.strength, settings.amounts)
        watch.lap("enhance")
        image = outcome.image if outcome else frame.image
        taken = self._publish(image, frame, watch)
        stages = {"capture": read_s} | (outcome.stages if outcome else {})
        stages |= {stage: seconds for stage, seconds in watch.laps.items() if stage != "enhance"}
        now = self._clock()
        work = now - started
        if outcome:
            self._enhancer.observe(plan, outcome, stages, work, now)
        self._record(frame, plan, outcome, stages, work, now, taken)
        self.last, self._served, self._last_seen = image, frame, now
        self._held = self._placeholder = None

    def wake(self) -> None:
        """Capturing or watching begins: from now on the camera is expected to give pictures."""
        self._last_seen = self._clock()

    def hold(self) -> None:
        """Called when no frame has come: repeats the last picture, with a notice, so that no meeting sees it freeze."""
        now = self._clock()
        if now - self._last_seen < self._held_after_s or now - self._last_sent < HELD_EVERY_S:
            return
        frame = self._served or self._waiting(now)
        if (
            self._held is None
        ):  # reported only at its beginning: later it might be over already, and would never be resolved
            gone = now - self._last_seen
            text = f"{frame.source}: no pictures for {gone:.0f} s; waiting for it"
            self._notices.raise_("camera", text, cause_unknown=True)
            image = self.last if self.last is not None else frame.image
            self._held = with_notice(image, "Camera is not answering - reconnecting")
        self._publish(self._held, frame, None)

    def idle(self) -> None:
        """Called now and then while no program watches: a placeholder, so that the camera stays listed.

        The picture that the next reader sees first is not one of the call before, and none of them is left in a buffer
        that any program may map: the first placeholder takes the place of all.
        """
        now = self._clock()
        if self._placeholder is not None and now - self._last_sent < IDLE_EVERY_S:
            return
        frame, again = self._waiting(now), 0
        if self._placeholder is None:
            self._served = self._held = self.last = None
            self.faces = self.fresh = self._wanted = 0
            self.metrics.forget()
            self._placeholder = with_notice(frame.image, "The camera is off until a program uses it")
            again = self._outlet.info.keeps - 1
        self._publish(self._placeholder, frame, None)
        for _ in range(again):
            self._outlet.publish(self._placeholder, frame)

    def close(self) -> None:
        """Closes sink and engine; what hangs, when it comes back. Idempotent."""
        try:
            self._outlet.close()
        finally:
            self._enhancer.close()

    def _waiting(self, now: float) -> Frame:
        width, height = self._size
        return Frame(np.full((height, width, 3), WAITING_GREY, np.uint8), 0, now, "camera")

    def _prepare(self, frame: Frame) -> Frame:
        """The frame at the published size; where faces stood before says nothing once its geometry is another."""
        mirror = self._settings.value.mirror
        geometry = (frame.source, frame.size, mirror)
        if self._geometry not in ((), geometry):
            self._enhancer.reset()
        self._geometry = geometry
        image = letterbox(frame.image, self._size)
        if mirror:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        return frame if image is frame.image else replace(frame, image=image)

    def _record(
        self,
        frame: Frame,
        plan: Plan,
        outcome: Outcome | None,
        stages: dict[str, float],
        work: float,
        now: float,
        taken: bool,
    ) -> None:
        self.fresh = 0
        if outcome is None:
            plan = replace(PLAIN, reason="enhancement did not answer in time, or failed")
        if outcome and plan.faces:
            self.faces, self.fresh, self._wanted = len(outcome.tracks), outcome.fresh, outcome.wanted
        elif not (self.engine and self._settings.value.enabled):
            self.faces = self._wanted = 0  # otherwise plain for want of time or for a failure: they go without
        self.plan = plan
        late = work > 1.0 / self._fps
        latency, total = now - frame.timestamp, work + stages["capture"]
        self.metrics.add(
            FrameRecord(stages, total, latency, now, plan.rung, self.faces, self.fresh, self._wanted, late, taken)
        )

    def _publish(self, image: Image, frame: Frame, watch: Stopwatch | None) -> bool:
        self._last_sent = self._clock()
        self._show(image, frame)
        return self._outlet.publish(image, frame, watch)

    def _show(self, image: Image, frame: Frame) -> None:
        if self._preview is None:
            return
        try:
            self._preview.send(image, frame)
            self._notices.clear("preview", f"{self._preview.info.name} works again")
        except Exception as error:  # a page that cannot be shown is no reason to end the call
            self._notices.raise_("preview", f"{self._preview.info.name} shows nothing: {one_line(error)}")

"""The life of a published picture: enhanced if possible, plain if not, held with a notice when there is none.

No threads here and no waiting: the daemon calls `serve` for each frame and `hold` when none has come.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from frrcam.compose.overlay import letterbox, with_notice
from frrcam.control.settings import LiveSettings
from frrcam.frame import Frame, Image
from frrcam.restore.session import one_line
from frrcam.runtime.budget import Budget, Plan
from frrcam.runtime.metrics import FrameRecord, Metrics
from frrcam.runtime.notices import Notices
from frrcam.runtime.pipeline import Outcome, Pipeline, Stopwatch
from frrcam.sinks.base import Sink, SinkFactory

HELD_AFTER_S = 1.0
"""Seconds without a picture before the last one is published again, with a notice."""
IDLE_EVERY_S = 2.0
"""Seconds between placeholders while nobody watches."""
HELD_EVERY_S = 0.09
"""Seconds between such pictures: ten a second, for the question comes once in a frame's time."""
PROVEN_S = 1.0
"""Seconds for which what had failed must work before that is said, so that what comes and goes is no chatter."""
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds of plain pictures before enhancement, or a lost sink, is tried again; the last one repeats."""
WAITING_GREY = 48
"""The level of the picture that stands in before there was any: dark, and visibly not a dead camera's black."""

PLAIN = Plan("plain", "", None, 0, 0, False)
STARTING = replace(PLAIN, reason="the networks are being loaded")


@dataclass(slots=True)
class Retry:
    """When to try a failing thing again."""

    failures: int = 0
    due: float = 0.0

    def failed(self, now: float) -> None:
        """Postpones the next attempt, by more each time."""
        self.due = now + RETRY_S[min(self.failures, len(RETRY_S) - 1)]
        self.failures += 1

    def worked(self, now: float) -> bool:
        """Forgets the failures, if there were any, once it has worked for long enough: True then."""
        if not self.failures or now - self.due < PROVEN_S:
            return False
        self.failures, self.due = 0, 0.0
        return True


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that enhancement needs, loaded and warm."""

    pipeline: Pipeline
    budget: Budget
    describe: Callable[[str], tuple[str, str]]
    """(model, provider) of a restorer by its name, for the status."""


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
    ) -> None:
        self.engine: Engine | None = None
        self.plan = STARTING
        self.faces = self.fresh = 0
        """Faces in the newest picture, and how many of them have a network result of it."""
        self.last: Image | None = None
        """The newest picture published."""
        self.before: Image | None = None
        """The picture that it was made from."""
        self.sink_info = sink.info
        """The newest sink, lost or not: opened again, it may be under another number."""
        self.metrics = metrics or Metrics()
        self._sink: Sink | None = sink
        self._reopen_sink, self._size, self._fps = reopen_sink, size, fps
        self._settings, self._notices, self._clock, self._preview = settings, notices, clock, preview
        self._enhance_retry, self._sink_retry = Retry(), Retry()
        self._served: Frame | None = None
        self._held: Image | None = None
        self._placeholder: Image | None = None
        self._wanted = 0
        self._geometry: tuple[object, ...] = ()
        self._last_sent = self._last_seen = clock()
        self._sent = False

    def serve(self, frame: Frame, read_s: float = 0.0) -> None:
        """Enhances and publishes one frame; `read_s`: seconds that capturing and decoding it took."""
        started = self._clock()
        watch = Stopwatch(self._clock)
        engine = self.engine
        frame = self._prepare(frame, engine)
        plan = self._plan(engine, started)
        outcome = self._enhance(engine, frame, plan)
        watch.lap("enhance")
        image = outcome.image if outcome else frame.image
        self._publish(image, frame, watch)
        stages = {"capture": read_s} | (outcome.stages if outcome else {})
        stages |= {stage: seconds for stage, seconds in watch.laps.items() if stage != "enhance"}
        now = self._clock()
        work = now - started
        if engine and outcome:  # capturing runs beside it, in a thread of its own, and takes nothing from its time
            engine.budget.observe(plan, stages, outcome.wanted, work, now)
        self._record(frame, plan, outcome, stages, work, now)
        self.last, self.before, self._served, self._last_seen = image, frame.image, frame, now
        self._held = self._placeholder = None

    def hold(self) -> None:
        """Called when no frame has come: repeats the last picture, with a notice, so that no meeting sees it freeze."""
        now = self._clock()
        if now - self._last_seen < max(HELD_AFTER_S, 3 / self._fps) or now - self._last_sent < HELD_EVERY_S:
            return
        frame = self._served or self._waiting(now)
        if self._held is None:  # said at its beginning only: later it might be just over, and nobody would take it back
            gone = now - self._last_seen
            self._notices.raise_("camera", f"{frame.source}: no pictures for {gone:.0f} s; waiting for it")
            image = self.last if self.last is not None else frame.image
            self._held = with_notice(image, "Camera is not answering - reconnecting")
        self._publish(self._held, frame, None)

    def idle(self) -> None:
        """Called now and then while nobody watches: a placeholder, so that the camera stays listed and tells nothing.

        The picture that the next reader sees first is not the last one of the call before.
        """
        self._last_seen = now = self._clock()
        if self._placeholder is not None and now - self._last_sent < IDLE_EVERY_S:
            return
        frame = self._waiting(now)
        if self._placeholder is None:
            self._served = self._held = self.last = self.before = None
            self._placeholder = with_notice(frame.image, "The camera is off until somebody watches")
        self._publish(self._placeholder, frame, None)

    def close(self) -> None:
        """Closes the sink. Idempotent."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            except Exception as error:  # it is gone either way
                self._notices.tell(f"{sink.info.name}: closing it failed: {one_line(error)}")

    def published_since_asked(self) -> bool:
        """True if the sink has taken a picture since the last call: what a watchdog may be fed for."""
        sent, self._sent = self._sent, False
        return sent

    @property
    def sink_lost(self) -> bool:
        """True while there is nowhere to publish to."""
        return self._sink is None

    def _waiting(self, now: float) -> Frame:
        width, height = self._size
        return Frame(np.full((height, width, 3), WAITING_GREY, np.uint8), 0, now, "camera")

    def _prepare(self, frame: Frame, engine: Engine | None) -> Frame:
        """The frame at the published size; where faces stood before says nothing once its geometry is another."""
        mirror = self._settings.value.mirror
        geometry = (frame.source, frame.size, mirror)
        if engine and self._geometry not in ((), geometry):
            engine.pipeline.reset()
        self._geometry = geometry
        image = letterbox(frame.image, self._size)
        if mirror:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        return frame if image is frame.image else replace(frame, image=image)

    def _plan(self, engine: Engine | None, now: float) -> Plan:
        settings = self._settings.value
        if engine is None:
            return STARTING
        if not settings.enabled:
            return replace(PLAIN, reason="switched off")
        if now < self._enhance_retry.due:
            return replace(PLAIN, reason="enhancement failed; trying again soon")
        engine.budget.max_faces = settings.max_faces
        return engine.budget.plan(engine.pipeline.face_count, now, urgent=engine.pipeline.urgent)

    def _enhance(self, engine: Engine | None, frame: Frame, plan: Plan) -> Outcome | None:
        """The frame enhanced; as it is where that is the plan; None when anything at all goes wrong."""
        if engine is None or plan.model is None:
            return Outcome(frame.image, [], 0, 0, {})
        try:
            outcome = engine.pipeline.process(frame, plan, self._settings.value.strength)
        except Exception as error:  # no failure of a network or a library may reach the meeting
            self._enhance_retry.failed(self._clock())
            engine.pipeline.reset()
            text = f"enhancement failed ({one_line(error)}); showing the plain camera picture"
            self._notices.raise_("enhancement", text)
            return None
        if outcome.fresh and self._enhance_retry.worked(self._clock()):
            self._notices.clear("enhancement", "enhancement works again")
        return outcome

    def _record(
        self, frame: Frame, plan: Plan, outcome: Outcome | None, stages: dict[str, float], work: float, now: float
    ) -> None:
        self.fresh = 0
        if outcome and plan.model:
            self.faces, self.fresh, self._wanted = len(outcome.tracks), outcome.fresh, outcome.wanted
        elif not (self.engine and self._settings.value.enabled):
            self.faces = self._wanted = 0  # otherwise plain for want of time or for a failure: they go without
        self.plan = plan
        late = work > 1.0 / self._fps
        latency, total = now - frame.timestamp, work + stages["capture"]
        self.metrics.add(
            FrameRecord(stages, total, latency, now, plan.rung, self.faces, self.fresh, self._wanted, late)
        )

    def _publish(self, image: Image, frame: Frame, watch: Stopwatch | None) -> None:
        self._last_sent = self._clock()
        self._show(image, frame)
        if self._sink is None and not self._find_sink():
            return
        assert self._sink is not None
        try:
            payload = self._sink.convert(image)
            if watch:
                watch.lap("convert")
            self._sink.send(payload, frame)
            self._sent = True
            if watch:
                watch.lap("publish")
        except Exception as error:  # SinkLost, or whatever a backend raises when its device is torn away
            self._notices.raise_("sink", f"{one_line(error)}; trying to get {self._sink.info.name} back")
            self._sink_retry.failed(self._clock())
            self.close()
            return
        if self._sink_retry.worked(self._clock()):
            self._notices.clear("sink", f"{self._sink.info.name} is back")

    def _show(self, image: Image, frame: Frame) -> None:
        if self._preview is None:
            return
        try:
            self._preview.send(image, frame)
            self._notices.clear("preview", f"{self._preview.info.name} works again")
        except Exception as error:  # a page that cannot be shown is no reason to end the call
            self._notices.raise_("preview", f"{self._preview.info.name} shows nothing: {one_line(error)}")

    def _find_sink(self) -> bool:
        if self._clock() < self._sink_retry.due:
            return False
        try:
            self._sink = self._reopen_sink(*self._size, self._fps)
        except Exception as error:  # SinkError, or whatever a backend raises while its device settles
            self._notices.raise_("sink", one_line(error))
            self._sink_retry.failed(self._clock())
            return False
        self.sink_info = self._sink.info
        return True

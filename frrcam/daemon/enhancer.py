"""Faces enhanced in a thread of its own: a network that hangs costs the meeting its effect, never its picture."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace

from frrcam.amounts import Amounts
from frrcam.concurrency.deadline import HUNG_S, Aside, Overdue
from frrcam.concurrency.notices import Notices
from frrcam.concurrency.retry import Retry
from frrcam.daemon.settings import LiveValue
from frrcam.errors import one_line
from frrcam.frame import Frame
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.pipeline import NATURAL, Outcome

REPLACE_S = (5.0, 30.0, 120.0)
"""Seconds without an answer before another engine is loaded beside the one that hangs: the first, the second, the
third that does. There is no fourth: each engine that hangs keeps its memory."""

PLAIN = Plan("plain", "", None, 0, 0, False)
STARTING = replace(PLAIN, reason="the networks are being loaded")


class Enhancer:
    """What is enhanced, by which engine. Owned by one thread; only `engine` may be set from another."""

    def __init__(
        self,
        notices: Notices,
        clock: Callable[[], float],
        make_executor: Callable[[], Executor],
        patience_s: float,
    ) -> None:
        """`make_executor` gives each engine a thread; `patience_s`: seconds for which a frame's result is awaited."""
        self._notices, self._clock = notices, clock
        self._make_executor, self._patience_s = make_executor, patience_s
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._next: Engine | None = None
        self._closed = False
        self._aside: Aside | None = None
        self._retry = Retry()
        self._asked, self._forget = PLAIN, False
        self._left: list[Future[None]] = []
        """Of each engine that was replaced, its closing: not done while it hangs."""

    @property
    def engine(self) -> Engine | None:
        """The engine in use. One that is set takes over with the next frame; the one before is closed."""
        return self._next or self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        with self._lock:
            unused, self._next = (engine, None) if self._closed else (self._next, engine)
        if unused:
            unused.close()

    @property
    def lacks_engine(self) -> bool:
        """True if one must be loaded: there is none, or it hangs for long and not too many do. From any thread."""
        aside = self._aside
        if self.engine is None:
            return True
        if aside is None or self._next is not None:
            return False
        hanging = sum(not closing.done() for closing in self._left)
        return hanging < len(REPLACE_S) and aside.hangs_s >= REPLACE_S[hanging]

    def reset(self) -> None:
        """Where faces stood before says nothing about the coming frame."""
        self._forget = True

    def plan(self, settings: LiveValue, now: float) -> Plan:
        """What to do with the coming frame."""
        self._adopt()
        engine, aside = self._engine, self._aside
        if engine is None or aside is None:
            return STARTING
        if not self._answered(engine, aside):
            return replace(PLAIN, reason="the network has not answered yet")
        if not settings.enabled:
            return replace(PLAIN, reason="switched off")
        if now < self._retry.due:
            return replace(PLAIN, reason="enhancement failed; trying again soon")
        if self._forget:
            engine.pipeline.reset()
            self._forget = False
        engine.budget.max_faces = settings.max_faces
        return engine.budget.plan(engine.pipeline.face_count, now, urgent=engine.pipeline.urgent)

    def process(self, frame: Frame, plan: Plan, strength: float, amounts: Amounts = NATURAL) -> Outcome | None:
        """The frame enhanced; as it is where that is the plan; None when anything at all goes wrong."""
        engine, aside = self._engine, self._aside
        if engine is None or aside is None or plan.model is None:
            return Outcome(frame.image, [], 0, 0, {})
        self._asked = plan
        try:
            outcome = aside.call(lambda: engine.pipeline.process(frame, plan, strength, amounts))
        except Overdue:
            return None
        except Exception as error:  # no failure of a network or a library may reach the meeting
            self._failed(error)
            return None
        if outcome.fresh and self._retry.worked(self._clock()):
            self._notices.clear("enhancement", "enhancement works again")
        return outcome

    def observe(self, plan: Plan, outcome: Outcome, stages: dict[str, float], work: float, now: float) -> None:
        """What the frame cost: `work` seconds in all. Capturing runs beside it and takes nothing from its time."""
        if self._engine:
            self._engine.budget.observe(plan, stages, outcome.wanted, work, now)

    def close(self) -> None:
        """Frees the engine, or leaves that to its thread, should it ever come back. Idempotent."""
        with self._lock:
            self._closed = True
            unused, self._next = self._next, None
        if unused:
            unused.close()
        self._retire()

    def _adopt(self) -> None:
        """Turns to the engine that has been set, if one has."""
        if self._next is None:
            return
        self._retire()
        with self._lock:
            self._engine, self._next = self._next, None
        self._aside = Aside(self._make_executor(), self._clock, self._patience_s)

    def _retire(self) -> None:
        if self._engine is None or self._aside is None:
            return
        if self._aside.overdue:
            self._retry.failed(self._clock())  # so that the new one is proven before it is said to work again
        self._left = [closing for closing in self._left if not closing.done()]
        self._left.append(self._aside.retire(self._engine.close))
        self._aside = None

    def _answered(self, engine: Engine, aside: Aside) -> bool:
        """False while the engine is overdue with an earlier frame. Its answer comes too late for the picture."""
        if not aside.overdue:
            return True
        took = aside.overdue_s
        hung = took >= HUNG_S
        try:
            outcome: Outcome = aside.settle()
        except Overdue:
            if hung:
                text = f"enhancement has not answered for {took:.0f} s; showing the plain camera picture"
                self._notices.raise_("enhancement", text)
            return False
        except Exception as error:
            self._failed(error)
            return True
        if hung:
            self._retry.failed(self._clock())
            self._forget = True  # plain pictures were shown meanwhile: the effect fades in again
        else:  # the budget is to know that so much is too much
            engine.budget.observe(self._asked, outcome.stages, outcome.wanted, took, self._clock())
        return True

    def _failed(self, error: Exception) -> None:
        self._retry.failed(self._clock())
        self._forget = True
        text = f"enhancement failed ({one_line(error)}); showing the plain camera picture"
        self._notices.raise_("enhancement", text)

"""The frame-time budget: which rung of work the next frame can afford.

A policy without clock, thread or picture: time and measurements come in as arguments, a `Plan` goes out.

Down at once, as soon as the coming frame would be late by what was measured; up only when the better rung would
have fitted with room to spare for a while. A rung that was climbed and did not hold must wait four times as long
the next time, so that the picture never oscillates.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence

from frrcam.compose.temporal import HOLD_SECONDS
from frrcam.pipeline.costs import Costs
from frrcam.pipeline.levels import Plan, Rung

FULL = 0.92
"""Share of the period that a rung may be predicted to take before it is left: the rest is the scheduler's."""
ROOMY = 0.86
"""Share of the period that a better rung must be predicted to stay under before it is climbed."""
PEAK = 1.6
"""Periods that one frame may take where the mean fits: the frame behind it waits in the mailbox, none is lost."""
PATIENCE_S = 2.0
"""Seconds of headroom before a climb."""
PATIENCE_GROWS = 4.0
PATIENCE_MAX_S = 256.0
HELD_S = 60.0
"""Seconds on a rung after which the climb to it was right, and all patience is fresh; so it is after such a pause."""
LATE_WINDOW = 8
LATE_LIMIT = 4
"""Late frames among the last LATE_WINDOW that mean the prediction is wrong, whatever it says."""
DETECT_S = 0.27
"""Seconds between detections while faces are followed; optical flow carries them in between."""
DETECT_RARELY_S = 0.8
"""The same where a detection and the network do not fit into one frame, so that a face must go without for once."""
SEARCH_S = 0.13
"""Seconds between detections while there is no face."""
FADE_S = 0.5
"""Seconds on the way to the plain picture in which the last change fades: the network is named for it, and not run."""
COLD_FRAMES = 4
"""First frames with a face that teach nothing: memory is got, caches fill, libraries make up their minds."""
GAP_S = 1.0
"""Seconds between frames (no reader, a suspend, a lost camera) after which headroom has to prove itself again, and
what the last frames were like, and where faces stood, says nothing."""
GAP_PERIODS = 3
"""Frame periods that are no such gap, however long: at one picture a second, each must be enhanced."""


def longest_gap(period: float) -> float:
    """Seconds between frames of that period beyond which nothing that was remembered holds."""
    return max(GAP_S, GAP_PERIODS * period)


class Budget:
    """Picks the rung, frame by frame. Not thread-safe: the thread that runs the pipeline owns it."""

    def __init__(
        self,
        rungs: Sequence[Rung],
        period: float,
        restore_s: Mapping[str, float],
        max_faces: int = 4,
        detect_s: float = 0.006,
        together: float = 1.0,
    ) -> None:
        """`period`: seconds between frames; `restore_s`: seconds per face of each model, best first, from a warm-up
        run: what it says is doubted where no network would ever be tried.

        `together`: what each of two faces of one frame takes, in shares of what one alone takes; at least one half.
        """
        self.rungs = tuple(rungs)
        self.period = period
        self.max_faces = max_faces
        self.warm_up_s = restore_s
        self._gap = longest_gap(period)
        self._costs = Costs(period, restore_s, detect_s, together)
        self._level, self._cold = 0, COLD_FRAMES
        self._reason = "nothing speaks against it"
        self._credit, self._restarted = 0.0, True
        self._detected_at = -math.inf
        self._roomy_since: list[float | None] = [None] * len(self.rungs)
        self._patience = [PATIENCE_S] * len(self.rungs)
        self._climbed_at: float | None = None
        self._late: deque[bool] = deque(maxlen=LATE_WINDOW)
        self._planned_at: float | None = None
        self._faded: str | None = None
        self._fading = 0

    @property
    def rung(self) -> Rung:
        """The rung in force."""
        return self.rungs[self._level]

    def plan(self, faces: int, now: float, *, urgent: bool = False) -> Plan:
        """The work for the coming frame, given the number of faces followed now and the time (seconds, monotonic).

        `urgent`: a detection would pay soon, for a face is in doubt.
        """
        faces, awaited = min(faces, self.max_faces), 0
        elapsed = now - self._planned_at if self._planned_at is not None else 0.0
        if not 0 <= elapsed <= self._gap:
            awaited, faces = faces, 0  # where they were says nothing of where they are
            self._start_over(max(0.0, elapsed))
        self._planned_at = now
        self._move(max(faces, 1), now)  # what one face would cost is settled before it comes
        rung = self.rung
        served = rung.serves(faces)
        # in seconds too: where a dim room's pictures come seldom, the last change would fade before its frame comes
        share = max(1 / rung.every, min(elapsed / HOLD_SECONDS, 1 / 2))
        self._credit = min(self._credit + served * share, float(served))
        if served and self._restarted:  # the first face is enhanced at once, whatever the rung
            self._credit, self._restarted = max(self._credit, 1.0), False
        fresh = int(self._credit + 1e-9)
        detect = self._due(rung, served, fresh, int(served * share + 1e-9), urgent, now)
        if detect and fresh and not self._detects_beside(rung, served, fresh):
            fresh -= 1  # the detector takes the place of one network run; that face re-uses its last change
        self._credit -= fresh
        if rung.model is None and self._fading:
            self._fading -= 1
            return Plan(rung.name, self._reason, self._faded, 0, 0, False)
        limit = rung.faces or self.max_faces
        # after a pause, refresh every face at once: one late frame is not noticed next to the pause
        fresh = fresh or rung.serves(awaited)
        return Plan(rung.name, self._reason, rung.model, limit if rung.model else 0, fresh, detect)

    def observe(self, plan: Plan, stages: Mapping[str, float], faces: int, total: float, now: float) -> None:
        """Takes what a frame of that plan cost: seconds per stage, faces composed, seconds in all."""
        if self._cold and plan.model and faces:
            self._cold -= 1
            return
        self._costs.learn(plan, stages, faces, total)
        if plan.rung == self.rung.name:
            self._late.append(total > self.period * (1.0 if self.rung.every == 1 else PEAK))
        if sum(self._late) >= LATE_LIMIT:
            self._descend(max(faces, 1), now, f"{sum(self._late)} of the last {len(self._late)} frames were late")

    def _due(self, rung: Rung, served: int, fresh: int, few: int, urgent: bool, now: float) -> bool:
        """True if this frame is to detect; of frames with `few` network runs and with one more, one with few."""
        soon, later = SEARCH_S, DETECT_S
        if served and not self._detects_beside(rung, served, fresh):
            soon, later = DETECT_S, DETECT_RARELY_S
        seconds = soon if urgent or not served else later
        # seconds and not frames: in a dim room many cameras give fewer pictures than they say
        since = now - self._detected_at + self.period / 2
        due = rung.model is not None and since >= seconds and fresh <= few
        if due:
            self._detected_at = now
        return due

    def _detects_beside(self, rung: Rung, served: int, fresh: int) -> bool:
        """True if a detection fits into a frame with that many network runs."""
        return rung.every > 1 or self._costs.high(rung.model, served, fresh) + self._costs.detect.high <= self.period

    def _frames(self, seconds: float) -> int:
        return max(1, round(seconds / self.period))

    def _fits(self, level: int, faces: int, share: float) -> bool:
        rung = self.rungs[level]
        served = rung.serves(faces)
        detect = self._costs.detect.mean / self._frames(DETECT_S) if rung.model else 0.0
        mean = self._costs.mean(rung.model, served, served / rung.every) + detect
        if rung.every == 1:
            return max(mean, self._costs.high(rung.model, served, served)) <= share * self.period
        peak = self._costs.mean(rung.model, served, -(-served // rung.every))
        return mean <= share * self.period and peak <= PEAK * self.period

    def _move(self, faces: int, now: float) -> None:
        if not self._fits(self._level, faces, FULL):
            self._descend(faces, now, f"{faces} face{'s' * (faces != 1)} would not fit in {1000 * self.period:.0f} ms")
            return
        if self._climbed_at is not None and now - self._climbed_at >= HELD_S:
            self._patience = [PATIENCE_S] * len(self.rungs)
            self._climbed_at = None
        for level in range(self._level):
            since = self._roomy_since[level]
            if sum(self._late) > 1 or not self._fits(level, faces, ROOMY):
                self._roomy_since[level] = None
            elif since is None:
                self._roomy_since[level] = now
            elif now - since >= self._patience[level]:
                self._enter(level, f"room for it for {now - since:.0f} s")
                self._climbed_at = now
                return

    def _start_over(self, gap: float) -> None:
        """After a pause: the first frame is searched for faces, the first ones teach nothing, and a network that a load
        had ruled out is tried at once, for a reader has just come and the load may be gone."""
        self._costs.paused()
        self._roomy_since = [None] * len(self.rungs)
        self._detected_at, self._credit, self._cold = -math.inf, 0.0, COLD_FRAMES
        self._restarted = True
        self._late.clear()
        if gap >= HELD_S:
            self._patience = [PATIENCE_S] * len(self.rungs)
        if self.rung.model is None:
            fitting = (level for level in range(self._level) if self._fits(level, 1, FULL))
            if (target := next(fitting, self._level)) != self._level:
                self._enter(target, f"tried again after a pause of {gap:.0f} s")

    def _descend(self, faces: int, now: float, reason: str) -> None:
        below = range(self._level + 1, len(self.rungs))
        if not below:
            return
        target = next((level for level in below if self._fits(level, faces, FULL)), below[-1])
        if self._climbed_at is not None:
            patience = min(PATIENCE_GROWS * self._patience[self._level], PATIENCE_MAX_S)
            for level in range(target):  # what fits no better than this one must wait as long
                self._patience[level] = max(patience, self._patience[level])
        self._enter(target, reason)
        self._climbed_at = None

    def _enter(self, level: int, reason: str) -> None:
        self._faded, self._fading = self.rung.model, self._frames(FADE_S) if self.rung.model else 0
        self._level, self._reason = level, reason
        self._roomy_since = [None] * len(self.rungs)
        self._late.clear()

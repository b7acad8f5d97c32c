"""The frame-time budget: which rung of work the next frame can afford.

A policy without clock, thread or picture: time and measurements come in as arguments, a `Plan` goes out.

    rung        model      each face's network result    faces
    best        largest    fresh on every frame          all
    …           smaller    fresh on every frame          all
    half        smallest   fresh on every 2nd frame      all     (between, the last change is re-used in face space)
    third       smallest   fresh on every 3rd frame      all
    two faces   smallest   fresh on every 3rd frame      the largest two
    main face   smallest   fresh on every 3rd frame      the largest
    glimpses    smallest   fresh on every 6th frame      the largest
    plain       none       –                             none    (the camera's picture)

Down at once, as soon as the coming frame would be late by what was measured; up only when the better rung would
have fitted with room to spare for a while. A rung that was climbed and did not hold must wait four times as long
the next time, so that the picture never oscillates.

What the models cost is known from a warm-up and learned from the one that runs. A load on the machine slows all
of them alike: the others' costs move with that of the one that runs, so that a rung is not tried before its time.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frrcam.runtime.estimate import LEAST, Estimate

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
"""Seconds on a rung after which the climb to it was right, and all patience is fresh."""
FORGET_S = 10.0
"""Seconds in which all costs fall back to the warm-up's while no network runs: nothing is known of the load then."""
DRIFT_S = 180.0
"""The same for the models beside the one that runs: a wrong guess must not rule a rung out for ever."""
SETTLE_RUNS = 30
"""Runs after a change of model that say something of this model; what changes later is the machine's load."""
LATE_WINDOW = 8
LATE_LIMIT = 4
"""Late frames among the last LATE_WINDOW that mean the prediction is wrong, whatever it says."""
DETECT_S = 0.27
"""Seconds between detections while faces are followed; optical flow carries them in between."""
DETECT_RARELY_S = 0.8
"""The same where a detection and the network do not fit into one frame, so that a face must go without for once."""
SEARCH_S = 0.13
"""Seconds between detections while there is no face."""
FADE_S = 0.25
"""Seconds on the way to the plain picture in which the last change fades: the network is named for it, and not run."""
COLD_FRAMES = 4
"""First frames with a face that teach nothing: memory is got, caches fill, libraries make up their minds."""
PER_FACE_S = 0.002
"""Seconds that one face takes beside the network, until that is known."""
GAP_S = 1.0
"""Seconds between frames (nobody watched, a suspend, a lost camera) after which headroom has to prove itself anew, and
what the last frames were like, and where faces stood, says nothing."""
GAP_PERIODS = 3
"""Frame periods that are no such gap, however long: at one picture a second, each is to be enhanced."""


def longest_gap(period: float) -> float:
    """Seconds between frames of that period beyond which nothing that was remembered holds."""
    return max(GAP_S, GAP_PERIODS * period)


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of work."""

    name: str
    model: str | None
    """The restorer's name; None passes the camera's picture through."""
    every: int = 1
    """A face's network result is fresh on one frame in this many."""
    faces: int | None = None
    """At most this many faces, largest first; None for as many as the user allows."""

    def serves(self, faces: int) -> int:
        """How many of `faces` are enhanced."""
        return min(faces, self.faces or faces) if self.model else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the pipeline is to do with one frame."""

    rung: str
    reason: str
    """Why this rung and no better one, for people."""
    model: str | None
    faces: int
    """At most this many faces are enhanced."""
    fresh: int
    """How many of them get a new network result; the others re-use their last change in face space."""
    detect: bool
    """True if this frame runs the detector."""


def ladder(models: Sequence[str]) -> tuple[Rung, ...]:
    """The rungs over a family of restorers, best first (their names, best to lightest; may be empty)."""
    if not models:
        return (Rung("plain", None),)
    light = models[-1]
    return (
        *(Rung(model, model) for model in models),
        Rung("half", light, every=2),
        Rung("third", light, every=3),
        Rung("two faces", light, every=3, faces=2),
        Rung("main face", light, every=3, faces=1),
        Rung("glimpses", light, every=6, faces=1),
        Rung("plain", None),
    )


class Costs:
    """What the parts of a frame take on this machine now, in seconds; of a network, what one face alone takes."""

    def __init__(self, period: float, restore_s: Mapping[str, float], detect_s: float, together: float = 1.0) -> None:
        self._together = together
        self.detect, self.per_face, self.fixed = Estimate(detect_s), Estimate(PER_FACE_S), Estimate(0.006)
        self._period, self._detect_s = period, detect_s
        self._warm = {model: max(seconds, LEAST) for model, seconds in restore_s.items()}
        self._restore = {model: Estimate(seconds) for model, seconds in restore_s.items()}
        self._running: str | None = None
        self._runs = 0

    def mean(self, model: str | None, served: int, fresh: float) -> float:
        """A frame without detection: `served` faces composed, `fresh` of them through the network."""
        restore = self._restore[model].mean * self._alone(fresh) if model else 0.0
        return self.fixed.mean + self.per_face.mean * served + restore

    def high(self, model: str | None, served: int, fresh: float) -> float:
        """The same when the network is on the slow side."""
        slow = self._restore[model].high - self._restore[model].mean if model else 0.0
        return self.mean(model, served, fresh) + slow * self._alone(fresh)

    def _alone(self, fresh: float) -> float:
        """How many faces one after the other take as long as so many (on average) of one frame."""
        second = 2 * self._together - 1
        return fresh if fresh <= 1 else 1 + (fresh - 1) * second if fresh <= 2 else fresh * self._together

    def learn(self, plan: Plan, stages: Mapping[str, float], faces: int, total: float) -> None:
        """Takes what a frame cost, as `Budget.observe`."""
        if "detect" in stages:
            self.detect.add(stages["detect"])
        composing = sum(stages.get(stage, 0.0) for stage in ("align", "compose"))
        if faces and plan.faces:
            self.per_face.add(composing / faces)
        runs = min(plan.fresh, faces)
        ran = plan.model if runs and "restore" in stages else None
        if ran:
            self._learn_run(ran, stages["restore"] / self._alone(runs))
        elif not (plan.model and faces):
            self._forget(plan)
        self.fixed.add(max(0.0, total - composing - stages.get("detect", 0.0) - stages.get("restore", 0.0)))

    def slept(self, seconds: float) -> None:
        """So long nothing ran at all: what is known of the machine's load grows old."""
        self._running = None
        self._relax(min(1.0, seconds / FORGET_S), everything=True)

    def _learn_run(self, ran: str, seconds: float) -> None:
        if ran != self._running:
            self._runs = 0 if self._running else SETTLE_RUNS  # after nothing ran, the load is what is new
            self._running = ran
            self._restore[ran].restart()
        self._runs += 1
        before = self._restore[ran].mean
        self._restore[ran].add(seconds)
        load = self._restore[ran].mean / before if self._runs > SETTLE_RUNS else 1.0
        slowed = self._restore[ran].mean / self._warm[ran]
        for model, other in self._restore.items():
            if model != ran:
                other.scale(load)
                other.relax(self._warm[model] * slowed, min(1.0, self._period / DRIFT_S))

    def _forget(self, plan: Plan) -> None:
        self._running = None
        self._relax(min(1.0, self._period / FORGET_S), everything=plan.model is None)

    def _relax(self, weight: float, *, everything: bool) -> None:
        for model, estimate in self._restore.items():
            estimate.relax(self._warm[model], weight)
        if everything:
            self.per_face.relax(PER_FACE_S, weight)
            self.detect.relax(self._detect_s, weight)


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
        """`period`: seconds between frames; `restore_s`: seconds per face of each model, from a warm-up run.

        `together`: what each of two faces of one frame takes, in shares of what one alone takes; at least one half.
        """
        self.rungs = tuple(rungs)
        self.period = period
        self.max_faces = max_faces
        self._gap = longest_gap(period)
        self._costs = Costs(period, restore_s, detect_s, together)
        self._level, self._cold = 0, COLD_FRAMES
        self._reason = "nothing speaks against it"
        self._credit, self._anew = 0.0, True
        self._since_detect = self._frames(DETECT_RARELY_S)
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
        if self._planned_at is not None and not 0 <= now - self._planned_at <= self._gap:
            awaited, faces = faces, 0  # where they were says nothing of where they are
            self._begin_anew(max(0.0, now - self._planned_at))
        self._planned_at = now
        self._move(max(faces, 1), now)  # what one face would cost is settled before it comes
        rung = self.rung
        served = rung.serves(faces)
        self._credit = min(self._credit + served / rung.every, float(served))
        if served and self._anew:  # the first face is enhanced at once, whatever the rung
            self._credit, self._anew = max(self._credit, 1.0), False
        fresh = int(self._credit + 1e-9)
        detect = self._due(rung, served, fresh, urgent)
        if detect and fresh and not self._detects_beside(rung, served, fresh):
            fresh -= 1  # the detector takes the place of one network run; that face re-uses its last change
        self._credit -= fresh
        if rung.model is None and self._fading:
            self._fading -= 1
            return Plan(rung.name, self._reason, self._faded, 0, 0, False)
        limit = rung.faces or self.max_faces
        # whoever is found again after a pause is not shown plain first: one late frame does not show beside the pause
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

    def _due(self, rung: Rung, served: int, fresh: int, urgent: bool) -> bool:
        """True if this frame is to detect; of frames with and without a network run, one without."""
        self._since_detect += 1
        soon, later = SEARCH_S, DETECT_S
        if served and not self._detects_beside(rung, served, fresh):
            soon, later = DETECT_S, DETECT_RARELY_S
        seconds = soon if urgent or not served else later
        due = rung.model is not None and self._since_detect >= self._frames(seconds) and fresh <= served // rung.every
        if due:
            self._since_detect = 0
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

    def _begin_anew(self, gap: float) -> None:
        """After a pause: the first frame is searched for faces, the first ones teach nothing, and a network that a load
        had ruled out is tried at once, for somebody has just begun to look and the load may be gone."""
        self._costs.slept(gap)
        self._roomy_since = [None] * len(self.rungs)
        self._since_detect, self._credit, self._cold = self._frames(DETECT_RARELY_S), 0.0, COLD_FRAMES
        self._anew = True
        self._late.clear()
        if self.rung.model is None:
            fitting = (level for level in range(self._level) if self._fits(level, 1, FULL))
            if (target := next(fitting, self._level)) != self._level:
                self._enter(target, f"tried anew after a pause of {gap:.0f} s")

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

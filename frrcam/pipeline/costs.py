"""What a frame of any rung would cost on this machine, now.

What the models cost is known from a warm-up and learned from the one that runs. A load on the machine slows all
of them alike: the others' costs move with that of the one that runs, so that a rung is not tried before its time.
"""

from collections.abc import Mapping

from frrcam.pipeline.estimate import LEAST, Estimate
from frrcam.pipeline.levels import Plan

FORGET_S = 10.0
"""Seconds in which all costs fall back to the warm-up's while no network runs: nothing is known of the load then."""
DRIFT_S = 180.0
"""The same for the models beside the one that runs: a wrong guess must not rule a rung out for ever."""
SETTLE_RUNS = 30
"""Runs after a change of model that say something of this model; what changes later is the machine's load."""
PER_FACE_S, FIXED_S = 0.002, 0.006
"""Seconds that one face takes beside the network, and a frame beside its faces, until that is known."""


class Costs:
    """What the parts of a frame take on this machine now, in seconds; of a network, what one face alone takes."""

    def __init__(self, period: float, restore_s: Mapping[str, float], detect_s: float, together: float = 1.0) -> None:
        """As `Budget`: `restore_s` best first."""
        self._together = together
        self._period, self._detect_s = period, min(detect_s, period)
        self.detect, self.per_face, self.fixed = Estimate(self._detect_s), Estimate(PER_FACE_S), Estimate(FIXED_S)
        self._warm = _believed(restore_s, period)
        self._restore = {model: Estimate(seconds) for model, seconds in self._warm.items()}
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
        """How many faces one after the other take as long as `faces` (on average) of one frame."""
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

    def paused(self) -> None:
        """Nothing ran for a while: what was learned under the machine's load then says nothing of now."""
        self._running = None
        self._relax(1.0, everything=True)
        self.fixed.relax(min(FIXED_S, self.fixed.mean), 1.0)

    def _learn_run(self, ran: str, seconds: float) -> None:
        if ran != self._running:
            self._runs = 0 if self._running else SETTLE_RUNS  # after nothing ran, the load is what is new
            self._running = ran
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


def _believed(restore_s: Mapping[str, float], period: float) -> dict[str, float]:
    """The warm-up's seconds, of which the lightest network's are the least, and one period at the most.

    Beside a session that starts, a warm-up measures many times too long. A network that fits no level by such a
    figure would never be run, and so never be measured: plain pictures until the next start.
    """
    least = min(restore_s.values(), default=period)
    slow = max(least / period, 1.0)
    believed = {model: max(seconds / slow, LEAST) for model, seconds in restore_s.items()}
    return believed | {model: min(believed.values()) for model in list(restore_s)[-1:]}

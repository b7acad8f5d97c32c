"""A simulated machine for the budget: stages of given cost, under load, noise and outliers."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from frrcam.pipeline.budget import Budget
from frrcam.pipeline.levels import Plan, ladder

PERIOD = 1 / 30


@dataclass(frozen=True)
class Costs:
    """Seconds."""

    models: Mapping[str, float]
    fixed: float = 0.003
    track: float = 0.0005
    per_face: float = 0.0015
    detect: float = 0.005
    together: float = 1.0
    """What each of several faces of one frame takes, in shares of what one alone takes."""

    def restore(self, model: str, faces: float) -> float:
        """A frame's runs of a network; a mean number of faces counts as if each frame had it."""
        return self.models[model] * faces * (self.together if faces > 1 else 1)

    def times(self, factor: float) -> "Costs":
        """The same on a machine so much slower."""
        models = {model: factor * seconds for model, seconds in self.models.items()}
        rest = (factor * one for one in (self.fixed, self.track, self.per_face, self.detect))
        return Costs(models, *rest, self.together)


FAMILY = Costs({"best": 0.014, "balanced": 0.008, "light": 0.005})


@dataclass
class Step:
    time: float
    plan: Plan
    faces: int
    fresh: int
    total: float


@dataclass
class World:
    """One camera at `period`, and a machine that runs what the budget plans."""

    budget: Budget
    costs: Costs = FAMILY
    noise: float = 0.05
    """Standard deviation of a stage's cost, as a share of it (lognormal)."""
    outliers: float = 0.0
    """The share of frames that take `outlier` seconds more."""
    outlier: float = 0.03
    seed: int = 0
    time: float = 100.0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._known = 0

    def run(
        self,
        seconds: float,
        faces: int | Callable[[float], int] = 1,
        load: float | Callable[[float], float] = 1.0,
    ) -> list[Step]:
        """Plays `seconds`; `faces` and `load` may be functions of the seconds since this call."""
        started, first = self.time, len(self.steps)
        while self.time - started < seconds - 1e-9:
            now = self.time - started
            step = self._frame(faces(now) if callable(faces) else faces, load(now) if callable(load) else load)
            # the camera's next picture, or the one that waits when this frame was late
            self.time += max(self.budget.period, step.total)
        return self.steps[first:]

    def _frame(self, faces: int, load: float) -> Step:
        plan = self.budget.plan(self._known, self.time)
        if plan.detect:
            self._known = faces
        elif self._known > faces:
            self._known = faces  # flow loses a face that has gone
        known = self._known
        served = min(known, plan.faces) if plan.model else 0
        fresh = min(plan.fresh, served)
        stages = {"capture": 0.0}
        if plan.detect:
            stages["detect"] = self._cost(self.costs.detect, load)
        if plan.model:
            stages["track"] = self._cost(self.costs.track * known, load)
        if served and plan.model:
            stages["align"] = self._cost(0.3 * self.costs.per_face * served, load)
            stages["compose"] = self._cost(0.7 * self.costs.per_face * served, load)
        if fresh and plan.model:
            stages["restore"] = self._cost(self.costs.restore(plan.model, fresh), load)
        total = sum(stages.values()) + self._cost(self.costs.fixed, load)
        if self._random.random() < self.outliers:
            total += self.outlier
            if fresh:
                stages["restore"] += self.outlier
        step = Step(self.time, plan, known, fresh, total)
        self.steps.append(step)
        self.budget.observe(plan, stages, served, total, self.time + total)
        return step

    def _cost(self, seconds: float, load: float) -> float:
        spread = math.sqrt(math.log(1 + self.noise**2))
        return seconds * load * self._random.lognormvariate(-spread * spread / 2, spread)


def world(
    costs: Costs = FAMILY,
    warm: Mapping[str, float] | None = None,
    *,
    max_faces: int = 8,
    noise: float = 0.05,
    outliers: float = 0.0,
    outlier: float = 0.03,
    seed: int = 0,
    period: float = PERIOD,
) -> World:
    """A machine, and a budget over its family; `warm` is what the warm-up measured, by default the truth."""
    budget = Budget(ladder(list(costs.models)), period, dict(warm or costs.models), max_faces, together=costs.together)
    return World(budget, costs, noise, outliers, outlier, seed)


def mean_cost(costs: Costs, rung_index: int, budget: Budget, faces: int, load: float = 1.0) -> float:
    """The true mean seconds of a frame on that rung."""
    rung = budget.rungs[rung_index]
    served = rung.serves(min(faces, budget.max_faces))
    if rung.model is None:
        return load * costs.fixed
    detect = costs.detect / max(1, round(0.27 / budget.period))
    run = costs.restore(rung.model, served / rung.every)
    return load * (costs.fixed + costs.track * faces + costs.per_face * served + run + detect)


def changes(steps: list[Step]) -> int:
    """How often the rung changed."""
    return sum(a.plan.rung != b.plan.rung for a, b in itertools.pairwise(steps))


def shares(steps: list[Step]) -> dict[str, float]:
    """The share of frames on each rung."""
    return {rung: count / len(steps) for rung, count in Counter(step.plan.rung for step in steps).items()}


def fresh_share(steps: list[Step]) -> float:
    """The share of frames with a face in which every face served was fresh."""
    faced = [step for step in steps if step.faces]
    return sum(step.fresh >= min(step.faces, step.plan.faces) > 0 for step in faced) / max(len(faced), 1)


def mean_work(steps: list[Step]) -> float:
    """Seconds."""
    return sum(step.total for step in steps) / len(steps)

import pytest

from frrcam.pipeline.costs import FORGET_S, PER_FACE_S, SETTLE_RUNS, Costs
from frrcam.pipeline.levels import Plan

PERIOD = 1 / 30
WARM = {"best": 0.016, "light": 0.004}


def plan(model: str | None = "best", faces: int = 4) -> Plan:
    return Plan(str(model), "", model, faces, faces, False)


def run(costs: Costs, times: int, seconds: float, faces: int = 1) -> None:
    """`count` frames whose network takes `seconds` for all faces, and the rest nothing beside what it is thought to."""
    stages = {"restore": seconds, "compose": faces * PER_FACE_S}
    for _ in range(times):
        costs.learn(plan(), stages, faces, sum(stages.values()) + costs.fixed.mean)


def restore(costs: Costs, model: str, fresh: float = 1) -> float:
    return costs.mean(model, 0, fresh) - costs.mean(None, 0, 0)


def test_a_frame_takes_its_faces_and_their_networks() -> None:
    costs = Costs(PERIOD, WARM, 0.006)
    plain = costs.mean(None, 0, 0)
    assert costs.mean("best", 2, 1) == pytest.approx(plain + 2 * PER_FACE_S + 0.016)
    assert costs.high("best", 2, 1) == costs.mean("best", 2, 1)


@pytest.mark.parametrize(("fresh", "alone"), [(0.5, 0.5), (1, 1), (2, 1.2), (4, 2.4)])
def test_faces_side_by_side_take_less_than_one_after_the_other(fresh: float, alone: float) -> None:
    assert restore(Costs(PERIOD, WARM, 0.006, together=0.6), "best", fresh) == pytest.approx(alone * 0.016)


def test_what_is_learned_of_several_faces_holds_for_one() -> None:
    costs = Costs(PERIOD, WARM, 0.006, together=0.6)
    run(costs, 60, 2.4 * 0.020, faces=4)
    assert restore(costs, "best") == pytest.approx(0.020, rel=0.02)


def test_a_warm_up_that_was_stalled_is_not_believed() -> None:
    """Of a network that fits nowhere nothing is ever measured."""
    stalled = Costs(PERIOD, {"best": 0.160, "light": 0.040}, 1.0)
    assert [restore(stalled, model) for model in WARM] == pytest.approx([4 * PERIOD, PERIOD])
    assert stalled.detect.mean == PERIOD
    assert restore(Costs(PERIOD, {"best": 0.016, "light": 0.060}, 0.006), "light") == pytest.approx(0.016)


def test_a_load_on_the_one_that_runs_is_a_load_on_the_others() -> None:
    costs = Costs(PERIOD, WARM, 0.006)
    run(costs, SETTLE_RUNS + 10, 0.016)
    run(costs, 200, 0.032)
    assert restore(costs, "best") == pytest.approx(0.032, rel=0.02)
    assert restore(costs, "light") == pytest.approx(0.008, rel=0.1)


def test_what_a_load_was_is_forgotten_while_nothing_runs() -> None:
    costs = Costs(PERIOD, WARM, 0.006)
    run(costs, 200, 0.032)
    for _ in range(round(5 * FORGET_S / PERIOD)):
        costs.learn(plan(None, 0), {}, 0, 0.006)
    assert [restore(costs, model) for model in WARM] == pytest.approx(list(WARM.values()), rel=0.03)


def test_a_pause_leaves_the_warm_up() -> None:
    costs = Costs(PERIOD, WARM, 0.006)
    fresh = costs.mean(None, 0, 0)
    run(costs, 200, 0.032)
    for _ in range(200):
        costs.learn(plan(None, 0), {}, 0, 0.040)  # even the plain picture was slow
    costs.paused()
    assert costs.mean(None, 0, 0) == pytest.approx(fresh)
    assert [restore(costs, model) for model in WARM] == pytest.approx(list(WARM.values()))


def test_after_a_pause_the_last_measurements_of_a_load_speak_for_nothing() -> None:
    """Beside two of them, a first one that was dearer than the guess passed for a third of the load's."""
    costs = Costs(PERIOD, WARM, 0.006)
    for _ in range(200):
        costs.learn(plan(None, 0), {}, 0, 0.040)
    costs.paused()
    for _ in range(3):
        costs.learn(plan(None, 0), {}, 0, 0.009)
        assert costs.mean(None, 0, 0) <= 0.009

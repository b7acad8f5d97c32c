import json
from collections.abc import Callable
from pathlib import Path

import pytest

from frrcam.restore.models import ModelEntry
from frrcam.restore.selection import Selection, picture
from frrcam.restore.session import Step
from tests.restore.tiny import FakeProvider, network


class Clock:
    """Stands still but for what the fake providers spend."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> Callable[[], None]:
        def advance() -> None:
            self.now += seconds

        return advance


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def selection(tmp_path: Path, clock: Clock) -> Selection:
    return Selection(tmp_path / "cache" / "providers.json", clock, lambda: "this machine")


def runs(provider: FakeProvider) -> int:
    return sum(len(session.batches) for session in provider.sessions)


def test_the_fastest_comes_first(selection: Selection, clock: Clock, model: ModelEntry) -> None:
    npu = FakeProvider("npu", spend=clock.spend(0.005))
    slow = FakeProvider("slow", spend=clock.spend(0.050))
    cpu = FakeProvider("cpu", spend=clock.spend(0.020))
    assert selection.order([Step(model, p) for p in (slow, npu, cpu)], 2) == ["npu", "cpu", "slow"]


def test_the_cpu_stays_first_unless_the_gain_is_worth_it(selection: Selection, clock: Clock, model: ModelEntry) -> None:
    npu = FakeProvider("npu", spend=clock.spend(0.0195))
    cpu = FakeProvider("cpu", spend=clock.spend(0.020))
    assert selection.order([Step(model, npu), Step(model, cpu)], 2) == ["cpu", "npu"]


def test_measured_once_per_machine_model_versions_and_threads(tmp_path: Path, clock: Clock, model: ModelEntry) -> None:
    path = tmp_path / "providers.json"
    npu, cpu = FakeProvider("npu", spend=clock.spend(0.005)), FakeProvider("cpu", spend=clock.spend(0.020))
    steps = [Step(model, npu), Step(model, cpu)]
    for _ in range(2):
        assert Selection(path, clock, lambda: "A").order(steps, 2) == ["npu", "cpu"]
    measured = runs(npu)
    assert measured == 10
    Selection(path, clock, lambda: "B").order(steps, 2)
    assert runs(npu) == 2 * measured
    Selection(path, clock, lambda: "A").order(steps, 1)
    assert runs(npu) == 3 * measured
    npu.version = "2"
    Selection(path, clock, lambda: "A").order(steps, 2)
    assert runs(npu) == 4 * measured
    other = network(tmp_path / "other.onnx", shift=0.2)
    Selection(path, clock, lambda: "A").order([Step(other, npu), Step(other, cpu)], 2)
    assert runs(npu) == 5 * measured
    assert len(json.loads(path.read_text())) == 5
    assert [file.name for file in tmp_path.glob("*") if file.suffix != ".onnx"] == ["providers.json"]


def test_what_fails_or_lies_is_left_out_and_said_once(
    tmp_path: Path, selection: Selection, clock: Clock, model: ModelEntry
) -> None:
    notices: list[str] = []
    steps = [
        Step(model, FakeProvider("cuda", opens=False)),
        Step(model, FakeProvider("npu", breaks_at=3)),
        Step(model, FakeProvider("liar", offset=0.2)),
        Step(network(tmp_path / "half.onnx", size="S"), FakeProvider("odd")),
        Step(model, FakeProvider("cpu", spend=clock.spend(0.02))),
    ]
    assert selection.order(steps, 2, notices.append) == ["cpu"]
    assert notices == [
        "provider cuda is not used: cuda: no device found",
        "provider npu is not used: device lost",
        "provider odd is not used: the model half: image is N×3×S×S, expected N×3×S×S with S fixed",
        "provider liar is not used: its results differ from the CPU's",
    ]
    assert selection.order(steps, 2, notices.append) == ["cpu"]
    assert len(notices) == 4


def test_rounding_is_no_lie(selection: Selection, clock: Clock, model: ModelEntry) -> None:
    steps = [Step(model, FakeProvider("npu", offset=0.003)), Step(model, FakeProvider("cpu", spend=clock.spend(0.02)))]
    assert selection.order(steps, 2) == ["npu", "cpu"]


def test_a_cache_that_cannot_be_written_leaves_no_litter(tmp_path: Path, clock: Clock, model: ModelEntry) -> None:
    path = tmp_path / "cache" / "providers.json"
    path.mkdir(parents=True)
    steps = [Step(model, FakeProvider("npu")), Step(model, FakeProvider("cpu", spend=clock.spend(0.02)))]
    Selection(path, clock, lambda: "A").order(steps, 2)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"KEY": 3}', '{"KEY": {"gone": 1.0}}', '{"KEY": {"npu": 1.0}}', "\0"]
)
def test_a_broken_cache_is_measured_again(tmp_path: Path, clock: Clock, model: ModelEntry, content: str) -> None:
    path = tmp_path / "providers.json"
    npu, cpu = FakeProvider("npu", spend=clock.spend(0.005)), FakeProvider("cpu", spend=clock.spend(0.020))
    steps = [Step(model, npu), Step(model, cpu)]
    selection = Selection(path, clock, lambda: "A")
    selection.order(steps, 2)
    (key,) = json.loads(path.read_text())
    path.write_text(content.replace("KEY", key))
    before = runs(npu)
    assert selection.order(steps, 2) == ["npu", "cpu"]
    assert runs(npu) > before
    assert json.loads(path.read_text())[key].keys() == {"npu", "cpu"}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, clock: Clock, model: ModelEntry) -> None:
    (tmp_path / "file").write_text("in the way")
    selection = Selection(tmp_path / "file" / "providers.json", clock, lambda: "A")
    steps = [Step(model, FakeProvider("npu", spend=clock.spend(0.1))), Step(model, FakeProvider("cpu"))]
    assert selection.order(steps, 2) == ["cpu", "npu"]


def test_the_cpu_alone_is_not_measured(selection: Selection, model: ModelEntry) -> None:
    cpu = FakeProvider("cpu")
    assert selection.order([Step(model, cpu)], 2) == ["cpu"]
    assert runs(cpu) == 0


def test_the_cpu_is_not_measured_when_nothing_else_loads(selection: Selection, model: ModelEntry) -> None:
    cpu = FakeProvider("cpu")
    assert selection.order([Step(model, FakeProvider("cuda", opens=False)), Step(model, cpu)], 2) == ["cpu"]
    assert runs(cpu) == 0


def test_the_measured_picture_is_always_the_same() -> None:
    assert picture(16).shape == (16, 16, 3)
    assert (picture(16) == picture(16)).all()
    assert picture(16).std() > 20

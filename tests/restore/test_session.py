from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from frrcam.errors import ModelCorrupt, ModelError, ModelMismatch, ModelNotFound, ProviderError
from frrcam.restore.models import ModelEntry
from frrcam.restore.providers import CPU
from frrcam.restore.session import OnnxRestorer, Step
from tests.restore.tiny import SIZE, FakeProvider, network


def face(value: int = 100, size: int = SIZE) -> np.ndarray:
    image = np.zeros((size, size, 3), np.uint8)
    image[...] = (value, value + 20, value + 40)
    return image


def test_restores_by_the_contract(model: ModelEntry) -> None:
    with OnnxRestorer([Step(model, CPU)]) as restorer:
        assert (restorer.name, restorer.size, restorer.provider) == ("tiny", SIZE, "cpu")
        result = restorer.restore([face(100), face(50)])
    assert result.restored.shape == (2, 3, SIZE, SIZE)
    assert result.mask.shape == (2, 1, SIZE, SIZE)
    assert result.distortion.shape == (2, 3)
    assert result.restored[0, :, 0, 0] == pytest.approx([140 / 255 + 0.1, 120 / 255 + 0.1, 100 / 255 + 0.1])
    assert result.distortion[1] == pytest.approx([90 / 255, 70 / 255, 50 / 255])


def test_results_are_not_overwritten_by_the_next_run(model: ModelEntry) -> None:
    restorer = OnnxRestorer([Step(model, CPU)])
    first = restorer.restore([face(100)])
    kept = first.restored.copy()
    restorer.restore([face(7)])
    assert np.array_equal(first.restored, kept)


def test_no_faces_no_run(model: ModelEntry) -> None:
    result = OnnxRestorer([Step(model, CPU)]).restore([])
    assert result.restored.shape == (0, 3, SIZE, SIZE)
    assert result.mask.shape == (0, 1, SIZE, SIZE)
    assert result.distortion.shape == (0, 3)


@pytest.mark.parametrize(("batches", "runs"), [(True, [1, 3]), (False, [1, 1, 1, 1])])
def test_batches_only_where_the_provider_gains(model: ModelEntry, batches: bool, runs: list[int]) -> None:
    provider = FakeProvider("npu", batches=batches)
    result = OnnxRestorer([Step(model, provider)]).restore([face(1), face(2), face(3)])
    assert provider.sessions[0].batches == runs
    assert np.array_equal(
        result.restored, OnnxRestorer([Step(model, CPU)]).restore([face(1), face(2), face(3)]).restored
    )


class Counting(Executor):
    """Another thread, and how often it was asked."""

    def __init__(self) -> None:
        self.calls, self._pool = 0, ThreadPoolExecutor(1)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return self._pool.submit(fn, *args, **kwargs)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=5))
def test_faces_side_by_side_keep_their_order(values: list[int]) -> None:
    beside = Counting()
    with TemporaryDirectory() as folder:
        model = network(Path(folder) / "tiny.onnx")
        crops = [face(value) for value in values]
        alone = OnnxRestorer([Step(model, CPU)]).restore(crops)
        together = OnnxRestorer([Step(model, CPU)], beside=beside).restore(crops)
    assert beside.calls == (len(values) > 1)
    for name in ("restored", "mask", "distortion"):
        assert np.array_equal(getattr(alone, name), getattr(together, name))


def test_a_provider_that_batches_needs_no_second_worker(model: ModelEntry) -> None:
    beside = Counting()
    OnnxRestorer([Step(model, FakeProvider("npu", batches=True))], beside=beside).restore([face(), face()])
    assert beside.calls == 0


@pytest.mark.parametrize("breaks_at", [1, 2])
def test_a_run_that_breaks_beside_another_is_a_broken_provider(model: ModelEntry, breaks_at: int) -> None:
    provider = FakeProvider("npu", breaks_at=breaks_at)
    restorer = OnnxRestorer([Step(model, provider), Step(model, CPU)], beside=Counting())
    assert restorer.restore([face(10), face(20)]).restored.shape[0] == 2
    assert restorer.provider == "cpu"


def test_a_network_of_fixed_batch_is_looped_over(tmp_path: Path) -> None:
    provider = FakeProvider("npu", batches=True)
    restorer = OnnxRestorer([Step(network(tmp_path / "one.onnx", batch=1), provider)])
    assert restorer.restore([face(), face()]).restored.shape[0] == 2


def test_rejects_crops_of_another_size(model: ModelEntry) -> None:
    with pytest.raises(ValueError, match="8×8×3"):
        OnnxRestorer([Step(model, CPU)]).restore([face(size=9)])


def test_falls_back_when_a_provider_does_not_load(model: ModelEntry) -> None:
    notices: list[str] = []
    ladder = [Step(model, FakeProvider("cuda", opens=False)), Step(model, FakeProvider("npu", breaks_at=0))]
    restorer = OnnxRestorer([*ladder, Step(model, CPU)], notices=notices.append)
    assert restorer.provider == "cpu"
    assert notices == [
        "provider cuda left for npu (tiny): cuda: no device found",
        "provider npu left for cpu (tiny): device lost",
    ]


def test_falls_back_within_the_call_and_says_so_once(model: ModelEntry, caplog: pytest.LogCaptureFixture) -> None:
    notices: list[str] = []
    restorer = OnnxRestorer([Step(model, FakeProvider("npu", breaks_at=2)), Step(model, CPU)], notices=notices.append)
    restorer.restore([face()])
    assert restorer.provider == "npu"
    for _ in range(3):
        assert restorer.restore([face()]).restored.shape == (1, 3, SIZE, SIZE)
    assert restorer.provider == "cpu"
    assert notices == ["provider npu left for cpu (tiny): device lost"]
    assert not caplog.records, "the terminal shows the log's warnings too"


def test_results_that_are_not_numbers_are_a_broken_provider(model: ModelEntry) -> None:
    restorer = OnnxRestorer([Step(model, FakeProvider("npu", offset=float("nan"))), Step(model, CPU)])
    assert restorer.provider == "cpu"


def test_the_last_provider_stays_and_may_recover(model: ModelEntry) -> None:
    provider = FakeProvider("cpu", breaks_at=1)
    restorer = OnnxRestorer([Step(model, provider)])
    for _ in range(2):
        with pytest.raises(ModelError, match="tiny failed on cpu: device lost"):
            restorer.restore([face()])
    provider.sessions[0].breaks_at = float("inf")
    assert restorer.restore([face()]).restored.shape[0] == 1


def test_a_provider_asked_for_by_name_must_load(model: ModelEntry) -> None:
    ladder = [Step(model, FakeProvider("cuda", opens=False)), Step(model, CPU)]
    with pytest.raises(ProviderError, match="cuda: no device found; or use --provider auto"):
        OnnxRestorer(ladder, required=True)


def test_no_provider_at_all(model: ModelEntry) -> None:
    with pytest.raises(ModelError, match="tiny failed on npu"):
        OnnxRestorer([Step(model, FakeProvider("cuda", opens=False)), Step(model, FakeProvider("npu", opens=False))])


def test_close_is_idempotent_and_final(model: ModelEntry) -> None:
    restorer = OnnxRestorer([Step(model, CPU)])
    restorer.close()
    restorer.close()
    with pytest.raises(ModelError, match="closed"):
        restorer.restore([face()])


MISMATCHES = {
    "another input": ({"image": "input"}, "its inputs are input, expected image"),
    "another output": ({"names": ("restored", "matte", "distortion")}, "no output mask"),
    "grey": ({"channels": 1, "words": 1}, "image is N×1×8×8, expected N×3×S×S"),
    "any size": ({"size": "S"}, "image is N×3×S×S, expected N×3×S×S with S fixed"),
    "half precision": ({"dtype": TensorProto.FLOAT16}, r"image is tensor\(float16\), expected float32"),
    "fixed batch": ({"batch": 4}, "image is 4×3×8×8, expected a dynamic N"),
    "rank 5": ({"rank": 5}, "image is N×3×8×8×1, expected N×3×S×S"),
    "two words": ({"words": 2}, "distortion is N×2, expected N×3"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_what_does_not_fit_the_contract_is_said(tmp_path: Path, case: str) -> None:
    arguments, message = MISMATCHES[case]
    model = network(tmp_path / "odd.onnx", **arguments)  # type: ignore[arg-type]
    with pytest.raises(ModelMismatch, match=message):
        OnnxRestorer([Step(model, CPU)])


def test_not_square(tmp_path: Path) -> None:
    import onnx

    model = network(tmp_path / "wide.onnx")
    proto = onnx.load(model.path)
    proto.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 16
    onnx.save(proto, model.path)
    with pytest.raises(ModelMismatch, match="image is N×3×8×16"):
        OnnxRestorer([Step(model, CPU)])


@pytest.mark.parametrize("content", [b"", b"a text file named .onnx\n", None], ids=["empty", "text", "truncated"])
def test_bad_bytes(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.onnx"
    network(path)
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(ModelCorrupt) as caught:
        OnnxRestorer([Step(ModelEntry(name="bad", path=path, kind="restorer"), CPU)])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="No such file"):
        OnnxRestorer([Step(ModelEntry(name="gone", path=tmp_path / "gone.onnx", kind="restorer"), CPU)])

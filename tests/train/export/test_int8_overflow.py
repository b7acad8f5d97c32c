"""No int8 file may depend on whether the processor has VNNI."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from frrcam.restore import contract
from train.common import paths
from train.export import int8_overflow, weight_rounding
from train.publish import manifest

INT8 = sorted(str(entry["file"]) for entry in manifest.read(paths.WEIGHTS / manifest.NAME)["models"].values()
              if entry["precision"] == "int8")  # fmt: skip


def multiplied_in_16_bits(weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """What `vpmaddubsw` makes of the largest picture (255 everywhere) and a weight (O×I×H×W): sums per O."""
    row = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1).astype(np.int64)
    row = np.pad(row, [(0, 0), (0, row.shape[1] % 2)])
    # the picture that is bright where the weights are of one sign, and dark elsewhere, is the worst
    worst = [
        np.clip((255 * np.maximum(sign * row, 0)).reshape(len(row), -1, 2).sum(2), None, 2**15 - 1) for sign in (1, -1)
    ]
    return np.concatenate([part.sum(1) for part in worst])


weights = arrays(np.float32, st.tuples(*(st.integers(1, n) for n in (4, 5, 3, 3))), elements=st.floats(-4, 4, width=32))


@given(weights)
def test_no_picture_overflows_a_weight_in_its_steps(weight: NDArray[np.float32]) -> None:
    step = int8_overflow.steps(weight).reshape(-1, 1, 1, 1)
    for rounded in (np.rint(weight / step).clip(-127, 127).astype(np.int8), weight_rounding.with_sums(weight / step)):
        row = rounded.astype(np.int64).reshape(len(rounded), -1)
        exact = np.concatenate([255 * np.maximum(sign * row, 0).sum(1) for sign in (1, -1)])
        np.testing.assert_array_equal(multiplied_in_16_bits(rounded), exact)
        assert np.abs(rounded * step - weight).max() <= 1.5 * step.max() + 1e-6


@given(weights)
def test_a_step_is_no_wider_than_it_must_be(weight: NDArray[np.float32]) -> None:
    step, largest = int8_overflow.steps(weight), np.abs(weight).reshape(len(weight), -1).max(1)
    assert (step <= np.maximum(largest * 2 / 126, 1e-30)).all(), "never coarser than weights of 7 bits"
    alone = np.where(np.arange(weight[0].size) % 2, 0, weight.reshape(len(weight), -1))
    spread = int8_overflow.steps(alone.reshape(len(weight), -1, 1, 1).astype(np.float32))
    np.testing.assert_allclose(spread, np.maximum(np.abs(alone).max(1) / 126, np.finfo(np.float32).tiny), rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "most"),
    [([5, 4, 0, 0, 0, 0], 9), ([0, 0, 5, 4, 0, 0], 9), ([0, 0, 0, 5, 4, 0], 9), ([0, 5, 4, 0, 0, 0], 5)],
)
def test_neighbours_of_an_odd_number_of_channels_are_paired_with_and_without_a_gap(row: list[int], most: int) -> None:
    weight = np.array(row, np.float32).reshape(1, 1, 2, 3).transpose(0, 3, 1, 2)
    assert int8_overflow.neighbours(weight) == int8_overflow.neighbours(-weight) == [most]


def test_plain_int8_would_overflow() -> None:
    weight = np.full((1, 2, 1, 1), 0.5, np.float32)
    plain = np.rint(weight / (0.5 / 127)).astype(np.int8)
    assert multiplied_in_16_bits(plain)[0] == 2**15 - 1 < 255 * 254


def convolution(weight: NDArray[np.int8], group: int = 1) -> onnx.ModelProto:
    """A QDQ model of one convolution."""
    outputs, inputs = weight.shape[0], weight.shape[1] * group
    constants = {
        "step": np.float32(1 / 255),
        "zero": np.uint8(0),
        "weight": weight,
        "steps": np.full(outputs, 1 / 127, np.float32),
        "zeros": np.zeros(outputs, np.int8),
        "wide": np.float32(weight[0].size / 255),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["picture", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["p"]),
        helper.make_node("DequantizeLinear", ["weight", "steps", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["p", "w"], ["sum"], name="conv", group=group),
        helper.make_node("QuantizeLinear", ["sum", "wide", "zero"], ["s"]),
        helper.make_node("DequantizeLinear", ["s", "wide", "zero"], ["found"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, inputs, 8, 8])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def answers(model: bytes, feed: dict[str, NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
    """What this processor's int8 kernels say, and what the same file says computed in float32 between its steps."""
    levels = (onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    found = []
    for level in levels:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, feed))
    return found


@pytest.mark.parametrize("shape", [(8, 8, 3, 3), (8, 3, 3, 3), (8, 1, 3, 3), (8, 6, 1, 1), (8, 8, 2, 2)])
def test_an_overflowing_file_is_reported_and_a_sound_one_is_exact(shape: tuple[int, ...]) -> None:
    full, half = np.full(shape, 127, np.int8), np.full(shape, 64, np.int8)
    assert int8_overflow.overflowing(convolution(full)) == ["weight"]
    sound = convolution(half)
    assert int8_overflow.overflowing(sound) == []
    kernel, exact = answers(sound.SerializeToString(), {"picture": np.ones((1, shape[1], 8, 8), np.float32)})
    np.testing.assert_allclose(kernel[0], exact[0], rtol=0.01)


def test_a_depthwise_convolution_does_not_overflow() -> None:
    model = convolution(np.full((8, 1, 3, 3), 127, np.int8), group=8)
    assert int8_overflow.overflowing(model) == []
    kernel, exact = answers(model.SerializeToString(), {"picture": np.ones((1, 8, 8, 8), np.float32)})
    np.testing.assert_allclose(kernel[0], exact[0], rtol=0.01)
    assert exact[0].max() > 8.9


@pytest.mark.parametrize("file", INT8)
def test_no_processor_overflows_a_shipped_file(file: str) -> None:
    assert int8_overflow.overflowing(onnx.load(str(paths.WEIGHTS / file))) == []


@pytest.mark.parametrize("file", [name for name in INT8 if name.startswith("frrnet")])
def test_this_processors_kernels_compute_what_a_shipped_file_says(file: str) -> None:
    path: Path = paths.WEIGHTS / file
    size = int(file.split("-")[1])
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    smooth = np.stack([rows, columns, 1 - rows])[None]
    picture = np.clip(0.5 * smooth + random.normal(0, 0.08, smooth.shape), 0, 1).astype(np.float32)
    kernel, exact = answers(path.read_bytes(), {contract.INPUT: picture})
    assert np.sqrt(np.mean((kernel[0] - exact[0]) ** 2)) < 0.006

"""The face network that PyTorch runs from its ONNX file is the one that ONNX Runtime runs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from train.features import SIDES, FaceFeatures


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """112 px halved four times, with the operators that MobileFaceNet has."""
    random = np.random.default_rng(0)
    nodes, weights, previous, channels = [], [], "input", 3
    for i in range(4):
        weights.append(numpy_helper.from_array(random.normal(0, 0.3, (4, channels, 3, 3)).astype(np.float32), f"w{i}"))
        weights.append(numpy_helper.from_array(random.normal(0, 0.3, 4).astype(np.float32), f"b{i}"))
        options = {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1, "kernel_shape": [3, 3]}
        nodes.append(helper.make_node("Conv", [previous, f"w{i}", f"b{i}"], [f"conv{i}"], **options))
        nodes.append(helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"]))
        nodes.append(helper.make_node("Add", [f"conv{i}", f"relu{i}"], [f"sum{i}"]))
        previous, channels = f"sum{i}", 4
    outputs = [helper.make_tensor_value_info(f"sum{i}", TensorProto.FLOAT, None) for i in range(3)]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 112, 112])]
    graph = helper.make_graph(nodes, "face", inputs, outputs, weights)
    path = tmp_path / "face.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def test_features_are_onnx_runtimes(model: Path) -> None:
    features = FaceFeatures(model)
    image = torch.rand(1, 3, 112, 112)
    found = features._features(image)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"input": (image * 255 - 127.5).numpy() / 128})
    for value, scale, reference, side in zip(found, features.scales, wanted, SIDES, strict=True):
        assert value.shape[-1] == side
        assert np.allclose(value.numpy() / scale, reference, atol=1e-3)


def test_a_gradient_reaches_the_picture(model: Path) -> None:
    image = torch.rand(2, 3, 96, 96, requires_grad=True)
    torch.autograd.backward(torch.stack([feature.square().mean() for feature in FaceFeatures(model)(image)]).sum())
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0


def test_an_unknown_operator_is_named(model: Path) -> None:
    broken = onnx.load(str(model))
    broken.graph.node[1].op_type = "Tanh"
    onnx.save(broken, str(model))
    with pytest.raises(ValueError, match="Tanh"):
        FaceFeatures(model)

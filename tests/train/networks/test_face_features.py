"""The face network that PyTorch runs from its ONNX file is the one that ONNX Runtime runs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.train.degrade.test_waits import Counted
from train.fit import losses
from train.networks.face_features import SIDES, VGG_LAYERS, FaceFeatures, VGGFeatures, feature_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """112 px halved four times, with the operators that MobileFaceNet has."""
    random = np.random.default_rng(0)
    weights = [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", 0), ("high", 6))]
    nodes, previous, channels = [], "input", 3
    for i in range(4):
        weights.append(numpy_helper.from_array(random.normal(0, 0.3, (4, channels, 3, 3)).astype(np.float32), f"w{i}"))
        weights.append(numpy_helper.from_array(random.normal(0, 0.3, 4).astype(np.float32), f"b{i}"))
        options = {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1, "kernel_shape": [3, 3]}
        nodes.append(helper.make_node("Conv", [previous, f"w{i}", f"b{i}"], [f"conv{i}"], **options))
        clip = helper.make_node("Clip", [f"conv{i}", "low", "high"], [f"relu{i}"])
        nodes.append(clip if i % 2 else helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"]))
        nodes.append(helper.make_node("Add", [f"conv{i}", f"relu{i}"], [f"sum{i}"]))
        previous, channels = f"sum{i}", 4
    outputs = [helper.make_tensor_value_info(f"sum{i}", TensorProto.FLOAT, None) for i in range(4)]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 112, 112])]
    graph = helper.make_graph(nodes, "face", inputs, outputs, weights)
    path = tmp_path / "face.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def test_features_are_onnx_runtimes(model: Path) -> None:
    features = FaceFeatures(model)
    image = torch.rand(1, 3, 112, 112)
    found = features._see(image)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"input": (image * 255 - 127.5).numpy() / 128})
    for value, scale, reference, side in zip(found.maps, features.scales, wanted[:3], SIDES, strict=True):
        assert value.shape[-1] == side
        assert np.allclose(value.numpy() / scale, reference, atol=1e-3)
    assert found.embedding is not None
    assert np.allclose(found.embedding.numpy(), wanted[3].reshape(1, -1), atol=1e-3)


def test_a_gradient_reaches_the_picture(model: Path) -> None:
    image = torch.rand(2, 3, 96, 96, requires_grad=True)
    seen = FaceFeatures(model)(image)
    assert seen.embedding is not None
    for output in (*seen.maps, seen.embedding):
        (gradient,) = torch.autograd.grad(output.square().mean(), image, retain_graph=True)
        assert float(gradient.abs().sum()) > 0


def test_a_step_does_not_wait_for_its_features_and_losses(model: Path) -> None:
    features, image = FaceFeatures(model), torch.rand(2, 3, 112, 112)
    truth = losses.Truth(image, torch.ones(2, 3), image[:, :1])
    weights = losses.Weights(perceptual=1, identity=1, ssim=1)
    with Counted() as found:
        losses.total((image, image[:, :1], torch.zeros(2, 3)), truth, weights, features)
    assert found.waits == 0


def test_an_unknown_operator_is_named(model: Path) -> None:
    broken = onnx.load(str(model))
    broken.graph.node[1].op_type = "Tanh"
    onnx.save(broken, str(model))
    with pytest.raises(ValueError, match="Tanh"):
        FaceFeatures(model)


def vgg_layers() -> torch.nn.Module:
    """Convolutions, ReLUs and poolings in the order of torchvision's VGG16, two channels wide."""
    layers: list[torch.nn.Module] = []
    channels = 3
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            layers += [torch.nn.Conv2d(channels, 2, 3, padding=1), torch.nn.ReLU(inplace=True)]
            channels = 2
        layers.append(torch.nn.MaxPool2d(2))
    return torch.nn.Sequential(*layers)


def test_vgg_gives_the_last_features_before_each_pooling() -> None:
    layers = vgg_layers()
    features = VGGFeatures(lambda: layers)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    found, who = features(image)
    assert who is None
    assert [tuple(feature.shape[-2:]) for feature in found] == [(32, 32), (16, 16), (8, 8)]
    for place, feature in zip(VGG_LAYERS, found, strict=True):
        assert isinstance(layers[place], torch.nn.ReLU)
        assert isinstance(layers[place + 1], torch.nn.MaxPool2d)
        assert float(feature.detach().min()) >= 0
    torch.autograd.backward(found[-1].sum())
    assert image.grad is not None
    assert all(parameter.grad is None for parameter in features.parameters())


@pytest.mark.parametrize("error", [ImportError("No module named 'torchvision'"), RuntimeError("no nms"), OSError()])
def test_vgg_that_is_not_available_says_what_to_install(error: Exception) -> None:
    def missing() -> torch.nn.Module:
        raise error

    with pytest.raises(ValueError, match=r"--features vgg: .* install the torchvision built for PyTorch"):
        VGGFeatures(missing)


def test_the_feature_network_is_chosen_by_name(model: Path, tmp_path: Path) -> None:
    assert isinstance(feature_network("mobilefacenet", model), FaceFeatures)
    with pytest.raises(ValueError, match="no such file: set --data"):
        feature_network("mobilefacenet", tmp_path / "gone.onnx")
    with pytest.raises(ValueError, match="mobilefacenet or vgg, not 'resnet'"):
        feature_network("resnet", model)


def test_the_face_network_moves_with_its_module(model: Path) -> None:
    features = FaceFeatures(model).to("meta")
    assert all(buffer.device.type == "meta" for buffer in features.buffers())
    assert len(list(features.buffers())) == 10
    assert not features.state_dict()

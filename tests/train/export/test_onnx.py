"""Exported files keep frrcam's contract: names, shapes, ranges, any number of faces, and PyTorch's values."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod

from frrcam.restore import contract
from train.common import paths
from train.data.faces import Faces
from train.evaluate import measure
from train.export import depth_to_space, weight_rounding
from train.export.onnx import TOLERANCE, Deployed, accept, compare, export, session, traced
from train.export.quantise import FILTERS, QUANTISED, Pictures, float_nodes, quantise, static_int8
from train.networks.frrnet import FRRNet

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("default"),  # PyTorch's exporter warns of its own deprecations
]


def network(stem_stride: int = 4) -> FRRNet:
    torch.manual_seed(0)
    small = FRRNet(width=4, depth=1, stem_stride=stem_stride, blocks=(1, 1, 1)).eval()
    # a new network answers with its input; this one must do something that a test can see
    torch.nn.init.normal_(small.light.affine.weight, std=0.05)
    torch.nn.init.normal_(small.residual.weight, std=0.05)
    torch.nn.init.constant_(small.view.classifier.bias, 4.0)  # sure of a distortion, so that the gate is open
    if small.detail is not None:
        torch.nn.init.normal_(small.detail.gate.weight, std=0.05)
        torch.nn.init.constant_(small.detail.profile[-1].bias, -0.3)
    return small.requires_grad_(False)


def faces(count: int = 120, size: int = 64) -> Faces:
    random = np.random.default_rng(0)
    canvases = random.integers(0, 255, (count, 72, 72, 3), np.uint8)
    return Faces(canvases, size, tuple(f"face-{i}" for i in range(count)))


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_the_folded_stem_is_the_same_network(stem_stride: int) -> None:
    net, image = network(stem_stride), torch.rand(2, 3, 32, 32)
    for wanted, found in zip(net(image), Deployed(net)(image), strict=True):
        assert torch.allclose(wanted, found, atol=1e-5)


@pytest.mark.parametrize(("stem_stride", "kernel"), [(2, 4), (4, 8)])
def test_zeros_around_the_details_filters_are_not_run(stem_stride: int, kernel: int) -> None:
    detail = Deployed(network(stem_stride)).network.detail
    assert detail is not None
    assert detail.analyse.kernel_size == (kernel, kernel)
    assert Deployed(network(stem_stride)).network.stem[0].kernel_size == (3 * stem_stride, 3 * stem_stride)


def test_a_size_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        export(network(), 100, tmp_path / "x.onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "single.onnx"
    assert export(network(), 64, path) < TOLERANCE
    return path


def check_contract(path: Path, size: int) -> None:
    opened = session(path)
    assert [(i.name, i.type, i.shape[1:]) for i in opened.get_inputs()] == [
        (contract.INPUT, "tensor(float)", [3, size, size])
    ]
    assert [(o.name, o.type) for o in opened.get_outputs()] == [(name, "tensor(float)") for name in contract.OUTPUTS]
    for count in (1, 3):
        outputs = opened.run(None, {contract.INPUT: np.random.rand(count, 3, size, size).astype(np.float32)})
        shapes = [(count, 3, size, size), (count, 1, size, size), (count, 3)]
        assert [output.shape for output in outputs] == shapes
        assert all(output.min() >= 0 and output.max() <= 1 for output in outputs)


def test_float32_keeps_the_contract(exported: Path) -> None:
    check_contract(exported, 64)


def test_a_file_says_nothing_of_the_folder_it_was_made_in(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(exported, path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    for file in (exported, path, *paths.WEIGHTS.glob("*.onnx")):
        content = file.read_bytes()
        assert b"/train/networks/frrnet.py" not in content, file
        assert str(paths.ROOT).encode() not in content, file


def test_float16_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    export(network(), 64, path, half=True)
    check_contract(path, 64)


def test_int8_keeps_the_contract_and_stays_near(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    pictures = np.random.default_rng(0).random((8, 3, 64, 64), np.float32)
    quantise(exported, path, pictures)
    check_contract(path, 64)
    wanted, found = (session(p).run(["restored"], {contract.INPUT: pictures[:2]})[0] for p in (exported, path))
    assert np.abs(wanted - found).mean() < 0.01


def test_int8_is_u8s8_per_channel(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(exported, path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and "light/" not in node.name]
    assert len(convolutions) > 10
    for node in convolutions:
        picture, weight = (makers[name] for name in node.input[:2])
        assert picture.op_type == weight.op_type == "DequantizeLinear"
        assert constants[picture.input[2]].dtype == np.uint8
        assert constants[weight.input[0]].dtype == np.int8
        assert constants[weight.input[1]].shape == constants[weight.input[0]].shape[:1]
    assert all(
        node.input[0] not in makers or makers[node.input[0]].op_type != "DequantizeLinear"
        for node in graph.node
        if node.op_type == "Conv" and "light/" in node.name
    )


@given(arrays(np.float32, (2, 3, 4, 4), elements=st.floats(-120, 120, width=32)))
def test_weights_are_rounded_to_the_sum_of_their_kernel(steps: NDArray[np.float32]) -> None:
    found = weight_rounding.with_sums(steps).astype(np.float64)
    assert np.abs(found - steps).max() <= 1.5
    assert np.abs(found.sum((2, 3)) - steps.astype(np.float64).sum((2, 3))).max() <= 0.51
    unmoved = np.abs((np.rint(steps) - steps).sum((2, 3))) < 0.49
    np.testing.assert_array_equal(found[unmoved], np.rint(steps)[unmoved])


def test_in_int8_the_detail_sees_nothing_on_a_flat_surface(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(exported, path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    model, plain = onnx.load(str(path)), onnx.load(str(exported))
    int8, exact = ({t.name: numpy_helper.to_array(t) for t in found.graph.initializer} for found in (model, plain))
    (taken,) = [node for node in model.graph.node if node.input and node.input[0].startswith(f"{FILTERS}_")]
    weight, scale = int8[taken.input[0]], int8[taken.input[1]].reshape(-1, 1, 1, 1)
    off = np.abs((weight * scale - exact[FILTERS]).sum((2, 3))) / scale[..., 0, 0]
    assert off.max() <= 0.51
    with pytest.raises(ValueError, match=r"no int8 weight of network\.stem\.missing"):
        weight_rounding.keep_sums(model, plain, "network.stem.missing")


def test_shuffles_between_feature_maps_move_whole_pixels(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(exported, path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    model = onnx.load(str(path))
    assert depth_to_space.channels_last(model) == 0
    kinds = [node.op_type for node in model.graph.node if node.name.startswith("node_pixel_shuffle")]
    assert kinds.count("Reshape") == 4, "two in the decoder"
    assert kinds.count("DepthToSpace") == 2, "those of the picture and the mask stay"


def test_a_shuffle_that_moves_whole_pixels_changes_no_value(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before, after = torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.Conv2d(8, 4, 1)
    layers = torch.nn.Sequential(before, torch.nn.PixelShuffle(2), after).eval()
    single, int8, moved = (tmp_path / f"{name}.onnx" for name in ("single", "int8", "moved"))
    image = torch.rand(1, 3, 12, 8)
    onnx.save(traced(layers, image, contract.INPUT, ["found"], {}), single)
    pictures = Pictures(contract.INPUT, [image.numpy()])
    model = static_int8(single, pictures, QUANTISED, lambda _: [], CalibrationMethod.MinMax)
    onnx.save(model, int8)
    assert depth_to_space.channels_last(model) == 1
    onnx.save(model, moved)
    wanted, found = (session(path).run(None, {contract.INPUT: image.numpy()})[0] for path in (int8, moved))
    np.testing.assert_array_equal(wanted, found)
    assert wanted.shape == (1, 4, 24, 16)
    assert wanted.std() > 0.01


def test_the_details_branch_runs_in_int8_and_its_profile_does_not(exported: Path, tmp_path: Path) -> None:
    kept = float_nodes(onnx.load(str(exported)))
    path = tmp_path / "int8.onnx"
    quantise(exported, path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    graph = onnx.load(str(path)).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    products = [node for node in graph.node if node.op_type == "Mul" and node.name not in kept]
    assert len(products) == 1
    makers = {name: node.op_type for node in graph.node for name in node.output}
    assert [makers[name] for name in products[0].input] == ["DequantizeLinear", "DequantizeLinear"]
    assert quantised
    # the picture that the restored one is made of is the exact one
    restored = next(node for node in graph.node if contract.OUTPUTS[0] in node.output)
    assert restored.op_type == "Clip"
    subtractions = [node for node in graph.node if node.op_type == "Sub" and contract.INPUT in node.input]
    assert subtractions
    assert all(makers.get(name) != "DequantizeLinear" for node in subtractions for name in node.input)


def test_another_network_differs(exported: Path) -> None:
    other = network()
    assert compare(other, exported, 64) < TOLERANCE
    torch.nn.init.normal_(other.residual.weight, std=0.05)
    assert compare(other, exported, 64) > TOLERANCE
    with pytest.raises(RuntimeError, match=r"differs from PyTorch by \S+, more than 0.001"):
        accept(exported, 2 * TOLERANCE, TOLERANCE)


def test_multiply_accumulates_counts_the_stem(exported: Path) -> None:
    # the stem alone: 16×16 places, 16 channels, 3·12·12 weights each
    assert measure.multiply_accumulates(exported) > 16 * 16 * 16 * 3 * 144 / 1e9

"""Static int8 (QDQ, U8S8, per channel) of an exported file, calibrated on degraded faces.

Only the trunk's and the detail's convolutions and what lies between them are quantised. The light network, the
picture's normalisation, the global view and the clip stay in float32, so that the step of int8 falls on the residual
alone, not on the picture. The weights' steps are such that no processor's arithmetic overflows
(`train.export.int8_overflow`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from frrcam.restore import contract
from train.common.files import replace
from train.export import depth_to_space, int8_overflow, weight_rounding
from train.export.onnx import LIGHT

QUANTISED = ["Conv", "Relu", "Concat", "Add", "Mul", "Clip", "DepthToSpace"]
FILTERS = "network.detail.analyse.weight"
"""The weights that read the picture itself, all else what is normalised."""


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime carries no types
    """Feeds batches (N×3×H×W float32 each, as the network takes them) to its input `name`."""

    def __init__(self, name: str, batches: Iterable[NDArray[np.float32]]) -> None:
        self.name, self.waiting = name, iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self.waiting, None)
        return None if batch is None else {self.name: batch}


def float_nodes(model: onnx.ModelProto) -> list[str]:
    """Nodes to leave in float32: the light network, and what is outside the trunk's feature maps (view, output sum).

    A sum, product, clip or concatenation is a feature map's own where some convolution follows, and a sum also where it
    is of two convolutions.
    """
    graph = model.graph
    kinds = {name: node.op_type for node in graph.node for name in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def leads_to_convolution(name: str) -> bool:
        passing = {"Relu", "Add", "Mul", "Clip", "Concat", "DepthToSpace"}
        return any(
            node.op_type == "Conv" or (node.op_type in passing and leads_to_convolution(node.output[0]))
            for node in consumers.get(name, [])
        )

    def feature_map(node: onnx.NodeProto) -> bool:
        if node.op_type == "Add" and all(kinds.get(name) == "Conv" for name in node.input):
            return True
        return node.op_type not in ("Add", "Mul", "Clip", "Concat") or leads_to_convolution(node.output[0])

    return [node.name for node in graph.node if node.name.startswith(LIGHT) or not feature_map(node)]


def static_int8(
    source: Path,
    pictures: Pictures,
    kinds: list[str],
    excluded: Callable[[onnx.ModelProto], list[str]],
    method: CalibrationMethod,
) -> onnx.ModelProto:
    """A float32 file as static int8: QDQ, U8S8, per channel, ranges of the `kinds` of operators read off the pictures.

    excluded: names of nodes that stay in float32, of the model as it was made ready.
    """
    with TemporaryDirectory() as folder:
        prepared, quantised = (Path(folder) / name for name in ("prepared.onnx", "quantised.onnx"))
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        plain = onnx.load(str(prepared))
        left = excluded(plain)
        quantize_static(
            str(prepared),
            str(quantised),
            pictures,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=method,
            op_types_to_quantize=kinds,
            nodes_to_exclude=left,
            extra_options={"TensorQuantOverrides": int8_overflow.overrides(plain, left)},
        )
        return onnx.load(str(quantised))


def quantise(
    source: Path, path: Path, pictures: NDArray[np.float32], method: CalibrationMethod = CalibrationMethod.MinMax
) -> None:
    """Write the int8 file of a float32 one, with activation ranges read off the pictures (N×3×S×S, [0,1])."""
    reader = Pictures(contract.INPUT, (picture[None] for picture in pictures))
    model = static_int8(source, reader, QUANTISED, float_nodes, method)
    plain = onnx.load(str(source))
    if any(tensor.name == FILTERS for tensor in plain.graph.initializer):
        weight_rounding.keep_sums(model, plain, FILTERS)
    depth_to_space.channels_last(model)
    onnx.checker.check_model(model)
    replace(path, lambda part: onnx.save(model, str(part)))

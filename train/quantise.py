"""Static int8 (QDQ, U8S8, per channel) of an exported file, calibrated on degraded faces.

Only the trunk's and the detail's convolutions and what lies between them are quantised. The light network, the
picture's normalisation, the global view and the clip stay in float32, so that the step of int8 falls on the residual
alone, not on the picture.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from frrcam.restore import contract
from train import shuffle
from train.export import LIGHT
from train.files import replace

QUANTISED = ["Conv", "Relu", "Concat", "Add", "Mul", "Clip", "DepthToSpace"]


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime carries no types
    """Feeds pictures (N×3×S×S, [0,1]) one at a time."""

    def __init__(self, pictures: NDArray[np.float32]) -> None:
        self.pictures = pictures
        self.rewind()

    def rewind(self) -> None:
        self.waiting: Iterator[NDArray[np.float32]] = iter(self.pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self.waiting, None)
        return None if picture is None else {contract.INPUT: picture[None]}


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


def quantise(
    source: Path, path: Path, pictures: NDArray[np.float32], method: CalibrationMethod = CalibrationMethod.MinMax
) -> None:
    """Write the int8 file of a float32 one, with activation ranges read off the pictures."""
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        raw = Path(folder) / "quantised.onnx"
        quantize_static(
            str(prepared),
            str(raw),
            Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=method,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=float_nodes(onnx.load(str(prepared))),
        )
        model = onnx.load(str(raw))
    shuffle.channels_last(model)
    onnx.checker.check_model(model)
    replace(path, lambda part: onnx.save(model, str(part)))

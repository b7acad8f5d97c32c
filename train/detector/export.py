"""A trained detector as an ONNX file that insightface takes for an SCRFD of its own; float32 or static int8.

One image of any size divisible by 32; nine outputs, 1×A×{1, 4, 10} per stride: scores (after the sigmoid), then boxes,
then points. insightface recognises the kind by that number and by their rank of three.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from train.common.files import replace
from train.detector.anchors import STRIDES
from train.detector.network import FaceDetector, Head
from train.export.onnx import forget_source, traced
from train.export.quantise import Pictures, static_int8

INPUT = "input"
OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES)
QUANTISED = ["Conv", "Relu", "Add", "Resize"]


@dataclass(frozen=True)
class Calibration:
    """What is done to the score logits on export, scale · logit + shift, so that a score says how often it is right."""

    scale: float = 1.0
    shifts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of strides 8, 16 and 32: the smaller a face, the more looks like one."""


class Deployed(nn.Module):
    """The network with BatchNorm folded, its scores calibrated and its outputs in insightface's order."""

    def __init__(self, network: FaceDetector, calibration: Calibration = Calibration()) -> None:
        super().__init__()
        self.network = FaceDetector(network.architecture)
        self.network.load_state_dict(network.state_dict())
        self.eval().requires_grad_(False)
        for unit in list(self.network.modules()):
            if isinstance(unit, nn.Sequential) and len(unit) > 1 and isinstance(unit[1], nn.BatchNorm2d):
                unit[0] = fuse_conv_bn_eval(cast(nn.Conv2d, unit[0]), unit[1])
                unit[1] = nn.Identity()
        for head, shift in zip(self.network.heads, calibration.shifts, strict=True):
            scores = cast(Head, head).scores
            scores.weight.mul_(calibration.scale)
            cast(Tensor, scores.bias).mul_(calibration.scale).add_(shift)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels = self.network.levels(images)
        scores, distances, offsets = zip(*levels, strict=True)
        return (*(score.sigmoid() for score in scores), *distances, *offsets)


def export(network: FaceDetector, path: Path, calibration: Calibration = Calibration()) -> None:
    """Write the float32 file, its scores calibrated."""
    cells = [torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns")]
    sides = {2: STRIDES[-1] * cells[0], 3: STRIDES[-1] * cells[1]}
    model = traced(Deployed(network, calibration), torch.zeros(1, 3, 192, 320), INPUT, OUTPUTS, sides)
    name_dimensions(model)
    forget_source(model)
    onnx.checker.check_model(model)
    replace(path, lambda part: onnx.save(model, str(part)))


def name_dimensions(model: onnx.ModelProto) -> None:
    """Name the input's free sides `height` and `width`; the outputs' numbers of anchors follow from them unnamed."""
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        dimension.dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"anchors_{output.name.rpartition('_')[2]}"
    del model.graph.value_info[:]


def last_convolutions(model: onnx.ModelProto) -> list[str]:
    """The convolutions that write scores, boxes and points: left in float32, as their step would be felt in pixels."""
    features = {name for node in model.graph.node if node.op_type in QUANTISED for name in node.input}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.output[0] not in features]


def quantise(
    source: Path, path: Path, images: list[NDArray[np.float32]], method: CalibrationMethod = CalibrationMethod.MinMax
) -> None:
    """Write the static int8 file (QDQ, U8S8, per channel) of a float32 one, with ranges read off the images."""
    model = static_int8(source, Pictures(INPUT, images), QUANTISED, last_convolutions, method)
    replace(path, lambda part: onnx.save(model, str(part)))

"""A trained detector as an ONNX file that insightface takes for an SCRFD of its own; float32 or static int8.

One image of any size divisible by 32; nine outputs, 1×A×{1, 4, 10} per stride: scores (after the sigmoid), then boxes,
then points. insightface recognises the kind by that number and by their rank of three.
"""

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from train.detector.anchors import STRIDES
from train.detector.network import FaceDetector, Head
from train.files import replace

INPUT = "input"
OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES)
OPSET = 18
QUANTISED = ["Conv", "Relu", "Add", "Resize"]
CALIBRATION = (-0.35, 0.0, 0.0)
"""Added to the score logits per stride. At stride 8 an ear or an earring reaches 0.57, a face seldom stays under it:
with this shift the threshold of 0.5 that insightface's users set parts them there too."""


class Deployed(nn.Module):
    """The network with BatchNorm folded, its scores calibrated and its outputs in insightface's order."""

    def __init__(self, network: FaceDetector, calibration: tuple[float, ...] = CALIBRATION) -> None:
        super().__init__()
        self.network = FaceDetector(network.architecture)
        self.network.load_state_dict(network.state_dict())
        self.eval().requires_grad_(False)
        for unit in list(self.network.modules()):
            if isinstance(unit, nn.Sequential) and len(unit) > 1 and isinstance(unit[1], nn.BatchNorm2d):
                unit[0] = fuse_conv_bn_eval(cast(nn.Conv2d, unit[0]), unit[1])
                unit[1] = nn.Identity()
        for head, shift in zip(self.network.heads, calibration, strict=True):
            cast(Tensor, cast(Head, head).scores.bias).add_(shift)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels = self.network.levels(images)
        scores, distances, offsets = zip(*levels, strict=True)
        return (*(score.sigmoid() for score in scores), *distances, *offsets)


def export(network: FaceDetector, path: Path, calibration: tuple[float, ...] = CALIBRATION) -> None:
    """Write the float32 file; `calibration` shifts the score logits per stride."""
    cells = [torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not ours to mend
        program = torch.onnx.export(
            Deployed(network, calibration),
            (torch.zeros(1, 3, 192, 320),),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({2: STRIDES[-1] * cells[0], 3: STRIDES[-1] * cells[1]},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    name_dimensions(model)
    onnx.checker.check_model(model)
    replace(path, lambda part: onnx.save(model, str(part)))


def name_dimensions(model: onnx.ModelProto) -> None:
    """Name the input's free sides `height` and `width`; the outputs' numbers of anchors follow from them unnamed."""
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        dimension.dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"anchors_{output.name.rpartition('_')[2]}"
    del model.graph.value_info[:]


class Images(CalibrationDataReader):  # type: ignore[misc]
    """Feeds normalised images (1×3×H×W float32 each) to the calibration."""

    def __init__(self, images: list[NDArray[np.float32]]) -> None:
        self.images = images
        self.rewind()

    def rewind(self) -> None:
        self.waiting: Iterator[NDArray[np.float32]] = iter(self.images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self.waiting, None)
        return None if image is None else {INPUT: image}


def last_convolutions(model: onnx.ModelProto) -> list[str]:
    """The convolutions that write scores, boxes and points: left in float32, as their step would be felt in pixels."""
    features = {name for node in model.graph.node if node.op_type in QUANTISED for name in node.input}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.output[0] not in features]


def quantise(
    source: Path, path: Path, images: list[NDArray[np.float32]], method: CalibrationMethod = CalibrationMethod.MinMax
) -> None:
    """Write the static int8 file (QDQ, U8S8, per channel) of a float32 one, with ranges read off the images."""
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        run = partial(
            quantize_static,
            str(prepared),
            calibration_data_reader=Images(images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=method,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=last_convolutions(onnx.load(str(prepared))),
        )
        replace(path, lambda part: run(str(part)))

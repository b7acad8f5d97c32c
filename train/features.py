"""A face network's features for the perceptual and style losses (paper 002, Eq. 6).

The paper takes VGGFace's layers 3, 8 and 15, whose weights are not to be had here. This takes MobileFaceNet's, from its
ONNX file: the last features at 56, 28 and 14 px. The file's few operators are run by PyTorch's own functions, so that a
gradient goes through them; onnx2torch would do it too, but needs a torchvision built for the very same PyTorch.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.evaluate import WINDOW

SIDES = (56, 28, 14)


class FaceFeatures(nn.Module):
    """Pictures (N×3×S×S, RGB, [0,1]) to three feature maps, each brought to about unit deviation by a fixed factor."""

    def __init__(self, model: Path) -> None:
        super().__init__()
        graph = onnx.load(str(model)).graph
        self.input = graph.input[0].name
        self.values: dict[str, Tensor] = {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer
        }
        self.steps: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                array = np.array(onnx.numpy_helper.to_array(options["value"]))
                self.values[node.output[0]] = torch.from_numpy(array)
            else:
                self.steps.append((node.op_type, list(node.input), node.output[0], options))
        self.scales = [1.0] * len(SIDES)
        random = torch.rand(4, 3, 112, 112, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            self.scales = [1 / float(feature.std()) for feature in self._features(random)]

    def _run(self, kind: str, inputs: list[Tensor], options: dict[str, Any]) -> Tensor:
        if kind == "Conv":
            x, weight, *bias = inputs
            padding = options["pads"][:2]
            return functional.conv2d(
                x, weight, bias[0] if bias else None, options["strides"], padding, 1, options["group"]
            )
        if kind == "Clip":
            return inputs[0].clamp(float(inputs[1]), float(inputs[2]))
        if kind == "Relu":
            return inputs[0].relu()
        if kind == "Add":
            return inputs[0] + inputs[1]
        raise ValueError(f"the face network has an operator {kind}, which is not known here: add it")

    def _features(self, faces: Tensor) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        values = {**self.values, self.input: (faces * 255 - 127.5) / 128}
        for kind, inputs, output, options in self.steps:
            values[output] = self._run(kind, [values[name] for name in inputs], options)
            side = values[output].shape[-1]
            if side < min(SIDES):
                break
            if side in SIDES:
                found[side] = values[output]
        return [found[side] * scale for side, scale in zip(SIDES, self.scales, strict=True)]

    def forward(self, images: Tensor) -> list[Tensor]:
        side = images.shape[-1]
        (top, bottom), (left, right) = WINDOW
        inner = images[:, :, round(side * top) : round(side * bottom), round(side * left) : round(side * right)]
        return self._features(
            functional.interpolate(inner, (112, 112), mode="bilinear", antialias=True, align_corners=False)
        )

"""A network's features for the perceptual and style losses (paper 002, Eq. 6).

The paper takes VGGFace's layers 3, 8 and 15, whose weights are not available here. `FaceFeatures` takes
MobileFaceNet's, from its ONNX file: the last features at 56, 28 and 14 px, and its embedding for the identity loss. The
file's few operators are run by PyTorch's own functions, so that a gradient goes through them; onnx2torch would do it
too, but needs a torchvision built for the very same PyTorch. `VGGFeatures` takes the same layers of torchvision's
VGG16, trained on ImageNet.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from train.data.faces import RECOGNITION_WINDOW

SIDES = (56, 28, 14)


class Seen(NamedTuple):
    """What a network sees in pictures: feature maps, and who it is (N×D), if it tells faces apart."""

    maps: list[Tensor]
    embedding: Tensor | None = None


class FaceFeatures(nn.Module):
    """Pictures (N×3×S×S, RGB, [0,1]) to three maps, each brought to about unit deviation by a fixed factor, and who."""

    def __init__(self, model: Path) -> None:
        super().__init__()
        try:
            graph = onnx.load(str(model)).graph
        except Exception as error:  # protobuf's own types share no base but this
            raise ValueError(f"{model} cannot be read as a network: {error}") from error
        self.input = graph.input[0].name
        self.names: list[str] = []
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor).copy() for tensor in graph.initializer}
        self.steps: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                constants[node.output[0]] = np.array(onnx.numpy_helper.to_array(options["value"]))
            elif node.op_type == "Clip":
                # as numbers: read from tensors in each step, they would make the host wait for the device
                bounds = [float(constants[name]) for name in node.input[1:]]
                self.steps.append(("Clip", [node.input[0]], node.output[0], {"bounds": bounds}))
            else:
                self.steps.append((node.op_type, list(node.input), node.output[0], options))
        for name, array in constants.items():
            self._keep(name, array)
        self.scales = [1.0] * len(SIDES)
        random = torch.rand(4, 3, 112, 112, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            self.scales = [1 / float(feature.std()) for feature in self._see(random).maps]

    def _keep(self, name: str, array: NDArray[Any]) -> None:
        """As a buffer, so that it moves with the module; names in the file have dots, which a buffer's may not."""
        self.register_buffer(f"value{len(self.names)}", torch.from_numpy(array), persistent=False)
        self.names.append(name)

    def _run(self, kind: str, inputs: list[Tensor], options: dict[str, Any]) -> Tensor:
        if kind == "Conv":
            x, weight, *bias = inputs
            padding = options["pads"][:2]
            return functional.conv2d(
                x, weight, bias[0] if bias else None, options["strides"], padding, 1, options["group"]
            )
        if kind == "Clip":
            return functional.hardtanh(inputs[0], *options["bounds"])  # a clamp whose gradient is one pass
        if kind == "Relu":
            return inputs[0].relu()
        if kind == "Add":
            return inputs[0] + inputs[1]
        if kind == "Reshape":
            return inputs[0].flatten(1)
        raise ValueError(f"the face network has an operator {kind}, which is not known here: add it")

    def _see(self, faces: Tensor) -> Seen:
        found: dict[int, Tensor] = {}
        values: dict[str, Tensor] = {name: self.get_buffer(f"value{i}") for i, name in enumerate(self.names)}
        last = values[self.input] = (faces * 255 - 127.5) / 128
        for kind, inputs, output, options in self.steps:
            last = values[output] = self._run(kind, [values[name] for name in inputs], options)
            if last.dim() == 4 and last.shape[-1] in SIDES:
                found[last.shape[-1]] = last
        return Seen([found[side] * scale for side, scale in zip(SIDES, self.scales, strict=True)], last.flatten(1))

    def forward(self, images: Tensor) -> Seen:
        side = images.shape[-1]
        (top, bottom), (left, right) = RECOGNITION_WINDOW
        inner = images[:, :, round(side * top) : round(side * bottom), round(side * left) : round(side * right)]
        return self._see(
            functional.interpolate(inner, (112, 112), mode="bilinear", antialias=True, align_corners=False)
        )


VGG_LAYERS = (3, 8, 15)
"""The last ReLU before each of the first three max-poolings: the paper's layers, as torchvision counts them too."""


def vgg16() -> nn.Module:
    """torchvision's VGG16 convolutions with their ImageNet weights, downloaded when first asked for."""
    from torchvision import models  # an option that few installations have

    layers: nn.Module = models.vgg16(weights=models.VGG16_Weights.IMAGENET1K_V1).features
    return layers


class VGGFeatures(nn.Module):
    """Pictures (N×3×S×S, RGB, [0,1]) to the feature maps of VGG_LAYERS, at S, S/2 and S/4.

    Raises ValueError if torchvision or its weights are not available.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Callable[[], nn.Module] = vgg16) -> None:
        super().__init__()
        try:
            found = layers()
        except (ImportError, OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"--features vgg: torchvision's VGG16 is not available ({reason}): install the torchvision built for "
                f"PyTorch {torch.__version__} where its weights can be downloaded, or take --features mobilefacenet"
            ) from error
        self.layers = nn.ModuleList(found.children())[: VGG_LAYERS[-1] + 1].eval().requires_grad_(False)
        # ImageNet's, which torchvision's weights expect
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Seen:
        x = (images - self.mean) / self.deviation
        found = []
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if place in VGG_LAYERS:
                # the next layer may work in place
                found.append(x.clone())
        return Seen(found)


def feature_network(kind: str, mobilefacenet: Path) -> nn.Module:
    """The network `kind` names, mobilefacenet or vgg; ValueError if it is neither or not to be had."""
    if kind == "mobilefacenet":
        if not mobilefacenet.is_file():
            raise ValueError(
                f"{mobilefacenet}: no such file: set --data to the folder that holds models/; fit also takes --models"
            )
        return FaceFeatures(mobilefacenet)
    if kind == "vgg":
        return VGGFeatures()
    raise ValueError(f"--features must be mobilefacenet or vgg, not {kind!r}")

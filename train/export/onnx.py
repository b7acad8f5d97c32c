"""A trained network as an ONNX file by frrcam's contract, checked against PyTorch; float16 for GPUs."""

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from frrcam.restore import contract
from train.common.files import replace
from train.networks.frrnet import FRRNet

OPSET = 18
LIGHT = "light/"
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where PyTorch's exporter notes the module that a node comes from."""
TOLERANCE = 1e-3
HALF_TOLERANCE = 2e-2


class Deployed(nn.Module):
    """The network with its space-to-depth folded into the convolutions behind it, the stem's and the detail's first.

    A k×k convolution behind a space-to-depth of s is a strided convolution of ks×ks, weight for weight; ONNX Runtime
    runs that one node in int8, where the six nodes of PyTorch's pixel_unshuffle would stay in float.
    half: convolutions in float16, for GPUs; the light network, the picture's statistics, the global view,
    the detail's profile and the last sum stay float32.
    """

    def __init__(self, network: FRRNet, *, half: bool = False) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.unshuffle = nn.Identity()
        self.network.stem[0] = folded(cast(nn.Conv2d, network.stem[0]), network.stem_stride)
        if self.network.detail is not None:
            self.network.detail.analyse = folded(self.network.detail.analyse, network.stem_stride)
        if half:
            self.network.half()
            self.network.view.float()
            self.network.light.float()
            if self.network.detail is not None:
                self.network.detail.profile.float()
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor, Tensor] = self.network(image)
        return outputs


def folded(convolution: nn.Conv2d, stride: int) -> nn.Conv2d:
    """The same 3×3 convolution on the picture itself, of which it took the space-to-depth by `stride`.

    A frame of zeros around its filters is left out: the detail's are 8 px wide, not 12.
    """
    outputs, side = convolution.out_channels, 3 * stride
    weight = convolution.weight.detach().view(outputs, 3, stride, stride, 3, 3)
    weight = weight.permute(0, 1, 4, 2, 5, 3).reshape(outputs, 3, side, side)
    rows, columns = (weight.abs().amax((0, 1, axis)).nonzero() for axis in (2, 3))
    used = torch.cat((rows, columns)) if len(rows) else torch.tensor([0])
    frame = min(int(used.min()), side - 1 - int(used.max()), stride)
    strided = nn.Conv2d(3, outputs, side - 2 * frame, stride, stride - frame)
    strided.weight = nn.Parameter(weight[:, :, frame : side - frame, frame : side - frame].contiguous())
    strided.bias = nn.Parameter(cast(Tensor, convolution.bias).detach().clone())
    return strided


def session(path: Path, threads: int = 2) -> onnxruntime.InferenceSession:
    """A CPU session as the daemon opens it: `threads` threads, none of them spinning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def export(network: FRRNet, size: int, path: Path, *, half: bool = False) -> float:
    """Write the float32 (or float16) file for crops of side `size`; returns its largest difference from PyTorch.

    Raises ValueError if the size does not fit the network, RuntimeError if the file differs by more than TOLERANCE
    (HALF_TOLERANCE in float16).
    """
    check_size(network, size)
    faces = {0: torch.export.Dim("faces", min=1, max=64)}
    example = torch.rand(2, 3, size, size)
    model = traced(Deployed(network, half=half), example, contract.INPUT, contract.OUTPUTS, faces)
    name_light(model)
    forget_source(model)
    onnx.checker.check_model(model)
    replace(path, lambda part: onnx.save(model, str(part)))
    return accept(path, compare(network, path, size), HALF_TOLERANCE if half else TOLERANCE)


def check_size(network: FRRNet, size: int) -> None:
    """ValueError if the network does not take crops of side `size`."""
    if size <= 0 or size % network.multiple:
        raise ValueError(f"a crop size of {size} does not fit this network: take a multiple of {network.multiple}")


def traced(
    module: nn.Module, example: Tensor, name: str, outputs: Sequence[str], free: dict[int, Any]
) -> onnx.ModelProto:
    """A module of one input called `name` as ONNX; `free`: the input's dimensions that are not fixed, by number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=(free,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return program.model_proto


def name_light(model: onnx.ModelProto) -> None:
    """Begin the names of the light network's nodes with LIGHT, by which quantisation knows what stays in float."""
    for node in model.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
        if "'network.light" in scopes:
            node.name = LIGHT + node.name


def forget_source(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes of module, file and line: the same checkpoint gives the same bytes in any folder."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for noted in (graph, *graph.node, *values):
        del noted.metadata_props[:]
        noted.doc_string = ""


def accept(path: Path, difference: float, tolerance: float) -> float:
    """The difference; RuntimeError if it is more than the tolerance."""
    if not difference <= tolerance:
        raise RuntimeError(f"{path} differs from PyTorch by {difference:.2g}, more than {tolerance:g}")
    return difference


def compare(network: FRRNet, path: Path, size: int, count: int = 3) -> float:
    """Largest absolute difference between the file's outputs and PyTorch's on random pictures."""
    image = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(image)
    found = session(path).run(list(contract.OUTPUTS), {contract.INPUT: image.numpy()})
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=True))

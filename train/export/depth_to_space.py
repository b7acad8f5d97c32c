"""Depth-to-space as a processor wants it.

ONNX Runtime runs int8 convolutions channels last, but DepthToSpace and, behind it, every sum and concatenation of the
decoder channels first, with a transposition before each convolution: a tenth of the network's time at 336 px. Written
as moves of whole pixels it stays channels last, as all that surrounds it.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

FEW = 3
"""Channels up to which a pixel is a picture's or a mask's, which ends channels first anyway."""


class Graph:
    """Who makes and who takes each value of a model, its constants and its shapes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = model.graph.node
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
        self.shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred}

    def before(self, node: onnx.NodeProto, *kinds: str) -> list[onnx.NodeProto] | None:
        """The nodes of these kinds of which each feeds the next one alone, the last of them `node`; nearest first."""
        found = []
        for kind in kinds:
            maker = self.makers.get(node.input[0])
            if maker is None or maker.op_type != kind or len(self.takers[node.input[0]]) > 1:
                return None
            found.append(maker)
            node = maker
        return found

    def same_step(self, first: onnx.NodeProto, second: onnx.NodeProto) -> bool:
        """Whether two QuantizeLinear nodes have the same scale and zero point."""
        pairs = zip(first.input[1:], second.input[1:], strict=True)
        return all(np.array_equal(*(numpy_helper.to_array(self.constants[name]) for name in pair)) for pair in pairs)

    def reorder(self, convolution: onnx.NodeProto, order: NDArray[np.int64]) -> None:
        """Let a quantised convolution give its channels in another order."""
        for name in convolution.input[1:]:
            for constant in self.makers[name].input:
                values = numpy_helper.to_array(self.constants[constant])
                if values.ndim:
                    moved = np.ascontiguousarray(values[order])
                    self.constants[constant].CopyFrom(numpy_helper.from_array(moved, constant))


def channels_last(model: onnx.ModelProto) -> int:
    """Write each depth-to-space between the feature maps of a QDQ model as moves of whole pixels; returns how many.

    A convolution must stand before it: it then gives the channels of one pixel side by side. No value changes.
    """
    graph = Graph(model)
    count = 0
    for node in [node for node in graph.nodes if node.op_type == "DepthToSpace"]:
        side = helper.get_node_attr_value(node, "blocksize")
        _, channels, height, width = graph.shapes[node.input[0]]
        pixel = channels // side**2
        found = graph.before(node, "DequantizeLinear", "QuantizeLinear", "Conv")
        after = graph.takers[node.output[0]]
        if pixel <= FEW or found is None or [taker.op_type for taker in after] != ["QuantizeLinear"]:
            continue
        (dequantised, quantised, convolution), requantised = found, after[0]
        if not graph.same_step(quantised, requantised):
            continue
        graph.reorder(convolution, np.arange(channels).reshape(pixel, side, side).transpose(1, 2, 0).ravel())
        moves = pixel_moves(node.name, quantised.output[0], requantised.output[0], (side, height, width, pixel))
        model.graph.initializer.extend(moves[1])
        place = list(graph.nodes).index(requantised)
        for move in reversed(moves[0]):
            graph.nodes.insert(place, move)
        for old in (dequantised, node, requantised):
            graph.nodes.remove(old)
        count += 1
    return count


def pixel_moves(
    name: str, source: str, target: str, sizes: tuple[int, int, int, int]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes, and the shapes they need, from N×(S·S·C)×H×W, a pixel's channels side by side, to N×C×HS×WS.

    sizes: S, H, W, C.
    """
    side, height, width, pixel = sizes
    shapes = {
        f"{name}/parts": (-1, height, width, side, side, pixel),
        f"{name}/whole": (-1, height * side, width * side, pixel),
    }
    steps: list[tuple[str, tuple[int, ...] | str]] = [
        ("Transpose", (0, 2, 3, 1)),
        ("Reshape", f"{name}/parts"),
        ("Transpose", (0, 1, 3, 2, 4, 5)),
        ("Reshape", f"{name}/whole"),
        ("Transpose", (0, 3, 1, 2)),
    ]
    values = [source, *(f"{name}/{step}" for step in range(1, len(steps))), target]
    nodes = [
        helper.make_node(kind, [before, how], [after], name=after)
        if isinstance(how, str)
        else helper.make_node(kind, [before], [after], name=f"{after}/transpose", perm=how)
        for (kind, how), before, after in zip(steps, values, values[1:], strict=False)
    ]
    return nodes, [numpy_helper.from_array(np.array(shape, np.int64), key) for key, shape in shapes.items()]

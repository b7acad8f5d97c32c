"""Steps of int8 weights that no processor's arithmetic can overflow.

x86 without VNNI (Intel before Ice Lake, AMD before Zen 4) multiplies unsigned pictures by signed weights with
`vpmaddubsw`, which adds two neighbouring products in 16 bits and saturates: 255 · (w₁ + w₂) must stay below 2¹⁵, so
two neighbours of one sign may add up to 128, where plain int8 lets them reach 254. The networks lost 3.3 dB to it
there, and nothing where VNNI is. ONNX Runtime's own remedies are weights of 7 bits (`reduce_range`: 0.1 dB) and
unsigned weights (four tenths slower). Here each output channel's step is widened only as far as its own neighbours
need, by 0.4 bits on average: less than can be measured.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

LARGEST = 127
HIGHEST = (2**15 - 1) // 255
"""What two neighbours may add up to: 128."""
ROUNDING = 1
"""By less than which each of them is moved when it is rounded (`train.export.weight_rounding`)."""


def neighbours(weight: NDArray[Any]) -> NDArray[Any]:
    """Largest sum of two neighbouring weights of one sign, per output channel (O) of a weight (O×I×H×W).

    ONNX Runtime orders them channels last, H×W×I, with or without a gap behind an odd I.
    """
    last = weight.transpose(0, 2, 3, 1)
    rows = (last.reshape(len(weight), 1, -1), last)
    even = (np.pad(row, [(0, 0)] * (row.ndim - 1) + [(0, row.shape[-1] % 2)]) for row in rows)
    pairs = [row.reshape(len(weight), -1, 2) for row in even]
    sums = [np.maximum(sign * pair, 0).sum(2).max(1) for pair in pairs for sign in (1, -1)]
    return np.asarray(np.max(sums, axis=0))


def steps(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step of int8 per output channel (O) of a weight (O×I×H×W): the finest that holds it and cannot overflow."""
    largest = np.abs(weight).reshape(len(weight), -1).max(1)
    needed = np.maximum(largest / LARGEST, neighbours(weight) / (HIGHEST - 2 * ROUNDING))
    return np.asarray(np.maximum(needed, np.finfo(np.float32).tiny), np.float32)


def in_pairs(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The convolutions' weights, by name, that are multiplied in pairs, and the nodes that take them.

    A depthwise convolution has one weight per pixel, which ONNX Runtime multiplies in 32 bits.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found: dict[str, list[str]] = {}
    for node in model.graph.node:
        name = sources.get(node.input[1], node.input[1]) if node.op_type == "Conv" else ""
        group = helper.get_node_attr_value(node, "group") if any(a.name == "group" for a in node.attribute) else 1
        if name in shapes and not (shapes[name][1] == 1 and shapes[name][0] == group > 1):
            found.setdefault(name, []).append(node.name)
    return found


def overrides(model: onnx.ModelProto, excluded: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """ONNX Runtime's `TensorQuantOverrides` that give those steps to the convolutions of a float model.

    excluded: names of nodes that stay in float32.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        name: [
            {"axis": 0, "rmin": -LARGEST * step, "rmax": LARGEST * step}
            for step in steps(numpy_helper.to_array(constants[name]))
        ]
        for name, nodes in in_pairs(model).items()
        if not set(nodes) <= set(excluded)
    }


def overflowing(model: onnx.ModelProto) -> list[str]:
    """The int8 weights of a QDQ model in which two neighbours can overflow: none in a sound one."""
    taken = in_pairs(model)
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name in taken}
    return [
        name
        for name, weight in weights.items()
        if weight.dtype == np.int8 and neighbours(weight.astype(np.int32)).max() > HIGHEST
    ]

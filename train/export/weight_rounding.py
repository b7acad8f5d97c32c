"""Rounding of int8 weights that leaves a flat surface flat.

Rounded one by one, the weights of a filter that should see no light add up to some: on a surface of brightness 0.5 the
detail's 48 filters of 8×8×3 weights each answered with about 0.002 for nothing, alike in every cell. That pattern of
4 pixels cost 0.012 of SSIM. Moving the few weights that were nearest to the next step makes each sum right (SQuant,
Guo et al., ICLR 2022, does so for whole networks; the trunk, whose input is normalised, gains nothing by it).
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

LARGEST = 127


def keep_sums(model: onnx.ModelProto, source: onnx.ModelProto, weight: str) -> None:
    """Round `weight` (O×I×H×W), a convolution's in the float model `source`, again in the QDQ model made of it.

    Raises ValueError if either has no such weight.
    """
    exact = next((tensor for tensor in source.graph.initializer if tensor.name == weight), None)
    taken = next((node for node in model.graph.node if node.input and node.input[0].startswith(f"{weight}_")), None)
    if exact is None or taken is None:
        raise ValueError(f"no int8 weight of {weight}")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    rounded, scale = constants[taken.input[0]], numpy_helper.to_array(constants[taken.input[1]])
    steps = numpy_helper.to_array(exact) / scale.reshape(-1, 1, 1, 1)
    rounded.CopyFrom(numpy_helper.from_array(with_sums(steps), rounded.name))


def with_sums(steps: NDArray[np.float32]) -> NDArray[np.int8]:
    """Numbers (O×I×H×W, in steps of int8) rounded so that each H×W adds up to its rounded sum."""
    kernels = steps.reshape(*steps.shape[:2], -1)
    found = np.rint(kernels).clip(-LARGEST, LARGEST)
    left = kernels - found
    for place in np.ndindex(found.shape[:2]):
        missing = round(float(left[place].sum()))
        nearest = np.argsort(-left[place] * np.sign(missing), kind="stable")[: abs(missing)]
        found[place][nearest] += np.sign(missing)
    return found.clip(-LARGEST, LARGEST).astype(np.int8).reshape(steps.shape)

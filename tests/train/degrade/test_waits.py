"""What makes a GPU's host wait for it, or tell it thousands of small things, in each step: counted on the CPU."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from train.degrade import operators, pipeline


class Counted(TorchDispatchMode):
    """Counts the operations that PyTorch runs, and those of which the host must know the result."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.waits = 0

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        name = operation.overloadpacket.__name__
        masked = name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in given[1])
        self.operations += 1
        self.waits += masked or name in ("_local_scalar_dense", "nonzero")
        return operation(*given, **(named or {}))


def test_many_pictures_are_scaled_down_by_as_many_operations_as_a_few() -> None:
    counts = []
    for pictures in (2, 40):
        with Counted() as found:
            operators.downscale(torch.linspace(1, 4, pictures), 32)
        counts.append(found.operations)
    assert counts[0] == counts[1]


def test_each_picture_is_scaled_down_as_if_alone() -> None:
    ratios = torch.linspace(1, 4, 9)
    sides = [round(32 / ratio) for ratio in ratios.tolist()]
    alone = [operators.bilinear(32, side) @ operators.area(side, 32) for side in sides]
    assert torch.equal(operators.downscale(ratios, 32), torch.stack(alone))


def test_a_batch_is_degraded_almost_without_waiting() -> None:
    images = torch.rand(16, 3, 32, 32)
    with Counted() as found:
        pipeline.degrade(images, pipeline.WEBCAM, torch.Generator().manual_seed(0))
    assert found.waits <= 6

"""bfloat16 where the device has it, float32 elsewhere."""

import pytest
import torch

from train.common import mixed_precision


@pytest.mark.parametrize("asked", [True, False])
def test_a_convolution_is_in_bfloat16_only_if_asked_for_and_native(asked: bool) -> None:
    convolution, picture = torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    with mixed_precision.convolutions("cpu", bf16=asked):
        found = convolution(picture).dtype
    assert found == (torch.bfloat16 if asked and mixed_precision.native("cpu") else torch.float32)


def test_what_the_processor_says_is_believed() -> None:
    can = torch.cpu.get_capabilities()
    if not can.get("avx512_f") and can.get("avx2"):
        assert not mixed_precision.native("cpu"), "AVX2 has no bfloat16"
    if can.get("amx_bf16") or can.get("avx512_bf16"):
        assert mixed_precision.native("cpu")

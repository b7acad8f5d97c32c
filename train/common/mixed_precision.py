"""bfloat16 where it saves time."""

from functools import cache

import torch


@cache
def native(device: str) -> bool:
    """Whether a kind of device ('cpu', 'cuda') multiplies bfloat16 itself.

    Elsewhere PyTorch emulates it: on AVX2 a convolution takes five times as long as in float32.
    """
    if device == "cpu":
        can = torch.cpu.get_capabilities()
        return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
    return device != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def convolutions(device: str, *, bf16: bool = True) -> torch.autocast:
    """A context whose convolutions are in bfloat16 if asked for and the device has it, else in float32."""
    return torch.autocast(device, torch.bfloat16, enabled=bf16 and native(device))

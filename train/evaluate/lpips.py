"""LPIPS (Zhang et al., CVPR 2018) where its backbone's weights can be had; elsewhere, why not."""

from collections.abc import Callable

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two pictures (N×3×S×S, RGB, [0,1] each) to their distance (N); 0 for equal ones."""


def load(backbone: str = "alex") -> tuple[Distance | None, str | None]:
    """LPIPS v0.1 and no reason, or nothing and the reason.

    It needs the package lpips and, through it, torchvision and that backbone's weights, which torchvision fetches.
    """
    try:
        import lpips

        network = lpips.LPIPS(net=backbone, verbose=False).eval().requires_grad_(False)
    except (ImportError, OSError, RuntimeError) as error:
        # torchvision raises a RuntimeError where it was built for another PyTorch
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, f"LPIPS ({backbone}) cannot be loaded: {first}"

    def distance(a: Tensor, b: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.as_tensor(network(a, b, normalize=True)).flatten()

    return distance, None

"""A discriminator trained against the network, for the adversarial loss (paper 004, Eq. 8 and 9).

The supplement (000, §4) tried such a loss and left it, since it bettered no metric; `python -m train ablate` shows what
it trades. It is trained beside the network, is part of a training's state, and of nothing that is shipped.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from train.common.distributed import ALONE, World

CLIP = 1.0
"""Longest gradient (L2) that is not shortened."""


class Discriminator(nn.Module):
    """Pictures (N×3×S×S, RGB, [0,1], S from 24) to a logit of each 70×70 patch: above 0 for an original.

    PatchGAN (Isola et al., CVPR 2017), which judges texture and leaves the face to the other losses; spectral norms
    (Miyato et al., ICLR 2018) keep it from growing so sure that nothing can be learnt from it.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        channels = (3, width, 2 * width, 4 * width, 8 * width, 1)
        strides = (2, 2, 2, 1, 1)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride, 1))
            for (inputs, outputs), stride in zip(pairwise(channels), strides, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        *hidden, last = self.layers
        x = images * 2 - 1
        for layer in hidden:
            x = functional.leaky_relu(layer(x), 0.2)
        logits: Tensor = last(x)
        return logits


def discrimination(original: Tensor, restored: Tensor) -> Tensor:
    """Eq. 8 on logits: cross-entropy of telling originals from restored pictures."""
    return functional.softplus(-original).mean() + functional.softplus(restored).mean()


@dataclass
class Adversary:
    """The discriminator and its optimiser."""

    discriminator: Discriminator
    optimiser: torch.optim.Optimizer

    @classmethod
    def new(cls, seed: int, rate: float, device: torch.device | str = "cpu", width: int = 32) -> "Adversary":
        """One that has seen nothing; the caller's random numbers stay as they are."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            discriminator = Discriminator(width).to(device)
        return cls(discriminator, torch.optim.AdamW(discriminator.parameters(), rate, (0.5, 0.98), weight_decay=1e-4))

    def learn(self, original: Tensor, restored: Tensor, rate: float, world: World = ALONE) -> Tensor:
        """One step of Eq. 8 on this process's pictures, left out if not finite; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = discrimination(self.discriminator(original), self.discriminator(restored.detach().clamp(0, 1)))
        self.optimiser.zero_grad(set_to_none=True)  # of what the network's own step left there, too
        torch.autograd.backward(loss)
        world.average([parameter.grad for parameter in self.discriminator.parameters()])
        if torch.isfinite(nn.utils.clip_grad_norm_(self.discriminator.parameters(), CLIP)):
            self.optimiser.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {"discriminator": self.discriminator.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(content["discriminator"])
        self.optimiser.load_state_dict(content["optimiser"])

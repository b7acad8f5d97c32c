"""One resumable state of a training: network, its running mean, optimiser, and how far it has come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train.model import FRRNet


def build(shape: dict[str, Any]) -> FRRNet:
    """A new network, laid out as the CPU likes it."""
    return channels_last(FRRNet(**shape))


def channels_last(network: FRRNet) -> FRRNet:
    """The same network with its convolutions' weights in channels-last order."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def shape_of(network: FRRNet) -> dict[str, Any]:
    """The constructor arguments that rebuild the network."""
    return {
        "width": network.width,
        "depth": network.depth,
        "stem_stride": network.stem_stride,
        "blocks": network.blocks,
    }


@dataclass
class State:
    """All that a training is; saving and loading it loses nothing."""

    network: FRRNet
    average: FRRNet
    optimiser: torch.optim.Optimizer
    step: int = 0
    images: int = 0

    def follow(self, decay: float) -> None:
        """Move the running mean (EMA) towards the network; faster at the beginning."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)


def start(network: FRRNet, rate: float) -> State:
    average = build(shape_of(network))
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False)
    return State(network, average, torch.optim.AdamW(network.parameters(), rate, (0.9, 0.98), weight_decay=1e-4))


def cast(tree: Any, dtype: torch.dtype) -> Any:
    """The same tree with its float32 tensors in another type."""
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.dtype == torch.float32 and tree.dim() else tree
    if isinstance(tree, dict):
        return {key: cast(value, dtype) for key, value in tree.items()}
    return [cast(value, dtype) for value in tree] if isinstance(tree, list) else tree


def save(path: Path, state: State, *, compact: bool = False) -> None:
    """Write the state (.part, then renamed).

    Compact: the running mean in float16 in the network's place, and the optimiser in bfloat16, whose range its squares
    need; three eighths of the size, to go on from, though not to the same bits.
    """
    content: dict[str, Any] = {"shape": shape_of(state.network), "step": state.step, "images": state.images}
    if compact:
        content["average"] = cast(state.average.state_dict(), torch.float16)
        content["optimiser"] = cast(state.optimiser.state_dict(), torch.bfloat16)
    else:
        content["average"] = state.average.state_dict()
        content |= {"network": state.network.state_dict(), "optimiser": state.optimiser.state_dict()}
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.rename(path)


def load(path: Path, rate: float) -> State:
    """A saved state; FileNotFoundError if there is none."""
    content = torch.load(path, weights_only=True)
    state = start(build(content["shape"]), rate)
    state.average.load_state_dict(content["average"])
    state.network.load_state_dict(content.get("network", content["average"]))
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.images = content["step"], content["images"]
    return state


def load_network(path: Path) -> tuple[FRRNet, int]:
    """The running mean, ready to restore, and how many images it has seen."""
    content = torch.load(path, weights_only=True)
    network = build(content["shape"])
    network.load_state_dict(content["average"])
    network.eval().requires_grad_(False)
    return network, int(content["images"])


def parameter_count(network: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in network.parameters())

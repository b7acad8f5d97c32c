"""One resumable state of a training: network, its running mean, optimiser, and how far it has come."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train.common.files import into, replace
from train.networks.discriminator import Adversary
from train.networks.frrnet import FRRNet


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
    """The constructor arguments that rebuild the network, which keeps each under its own name."""
    return {name: getattr(network, name) for name in inspect.signature(FRRNet).parameters}


@dataclass
class State:
    """All that a training is; saving and loading it loses nothing."""

    network: FRRNet
    average: FRRNet
    optimiser: torch.optim.Optimizer
    step: int = 0
    images: int = 0
    """Images that this training has seen."""
    before: int = 0
    """Images that the network had seen when this training began (`restarted`)."""
    adversary: Adversary | None = None
    """What the network is trained against, if the settings ask for it."""

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def follow(self, decay: float) -> None:
        """Move the running mean (EMA) towards the network."""
        follow(self.average, self.network, decay, self.step)


def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move a running mean (EMA) towards a network; faster in its first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def start(network: FRRNet, rate: float, device: torch.device | str = "cpu") -> State:
    """A training of this network that has seen nothing yet, on a device."""
    network = network.to(device)
    average = build(shape_of(network)).to(device)
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), rate, (0.9, 0.98), weight_decay=1e-4, fused=True)
    return State(network, average, optimiser)


def cast(tree: Any, dtype: torch.dtype) -> Any:
    """The same tree with its float32 tensors in another type."""
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.dtype == torch.float32 and tree.dim() else tree
    if isinstance(tree, dict):
        return {key: cast(value, dtype) for key, value in tree.items()}
    return [cast(value, dtype) for value in tree] if isinstance(tree, list) else tree


Content = dict[str, Any]
"""A state as a file holds it: plain numbers and tensors."""


def contents(state: State, *, compact: bool = False) -> Content:
    """What is saved of a state.

    Compact: the running mean in float16 in the network's place, and the optimiser in bfloat16, whose range its squares
    need; three eighths of the size, to go on from, though not to the same bits, and with a new adversary if any.
    """
    counts = {"step": state.step, "images": state.images, "before": state.before}
    content: Content = {"shape": shape_of(state.network), **counts}
    if compact:
        content["average"] = cast(state.average.state_dict(), torch.float16)
        content["optimiser"] = cast(state.optimiser.state_dict(), torch.bfloat16)
    else:
        content["average"] = state.average.state_dict()
        content |= {"network": state.network.state_dict(), "optimiser": state.optimiser.state_dict()}
        if state.adversary is not None:
            content["adversary"] = state.adversary.state_dict()
    return content


def restored(content: Content, rate: float, device: torch.device | str = "cpu") -> State:
    """The state whose contents these are, on a device."""
    state = start(build(content["shape"]), rate, device)
    state.average.load_state_dict(content["average"])
    state.network.load_state_dict(content["network" if "network" in content else "average"])
    if "optimiser" in content:
        state.optimiser.load_state_dict(content["optimiser"])
    if "adversary" in content:
        state.adversary = Adversary.new(0, rate, device)
        state.adversary.load_state_dict(content["adversary"])
    state.step, state.images, state.before = content.get("step", 0), content["images"], content.get("before", 0)
    return state


def restarted(content: Content) -> Content:
    """The same network and optimiser at the beginning of another training, which counts its own steps and images."""
    return content | {"step": 0, "images": 0, "before": seen(content)}


def seen(content: Content) -> int:
    """Images that a saved network has seen in all its trainings."""
    return int(content.get("before", 0) + content["images"])


def save(path: Path, state: State, *, compact: bool = False) -> None:
    """Write the state; compact: see `contents`."""
    write(path, contents(state, compact=compact))


def write(path: Path, content: Content) -> None:
    """Write a file of PyTorch's; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # to an opened file: a path that PyTorch cannot open is a RuntimeError of many lines
    replace(path, lambda part: into(part, lambda file: torch.save(content, file)))


def opened(path: Path, otherwise: str) -> Any:
    """What a file of PyTorch's holds, on the CPU.

    Raises FileNotFoundError if there is none, ValueError, with `otherwise` after its name, if it is none.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # arbitrary bytes make the unpickler stumble in any way
        raise ValueError(f"{path} {otherwise}") from error


def read(path: Path) -> Content:
    """A saved state's contents, on the CPU.

    Raises FileNotFoundError if there is none, ValueError if it is none.
    """
    content: Content = opened(path, "is no checkpoint")
    if not isinstance(content, dict) or not {"shape", "average", "images"} <= content.keys():
        raise ValueError(f"{path} is no checkpoint of FRR-Net")
    content = upgraded(content)
    try:
        with torch.device("meta"):
            odd = unlike(FRRNet(**content["shape"]), content["average"])
    except TypeError as error:
        raise ValueError(f"{path} is of another version of the network ({error}): train again") from error
    if odd:
        raise ValueError(
            f"{path} is of another version of the network ({len(odd)} parts differ, {odd[0]} first): train again"
        )
    return content


def upgraded(content: Content) -> Content:
    """A checkpoint from before the light network had a degree, with one that is 1.

    The optimiser goes: it counts parameters by their place. Any other content comes back as it is.
    """
    weights = content["average"]
    if "light.affine.weight" not in weights or "light.degree.weight" in weights:
        return content
    embedding = weights["light.affine.weight"].shape[1]
    added = {"light.degree.weight": torch.zeros(1, embedding), "light.degree.bias": torch.zeros(1)}
    upgraded = {name: value for name, value in content.items() if name not in ("optimiser", "network")}
    return upgraded | {"average": weights | added}


def unlike(network: nn.Module, saved: dict[str, Tensor]) -> list[str]:
    """Names, sorted, of what a network and saved weights do not both have in the same shape."""
    wanted = network.state_dict()
    return sorted(
        name
        for name in wanted.keys() | saved.keys()
        if name not in wanted or name not in saved or wanted[name].shape != saved[name].shape
    )


def read_training(path: Path) -> Content:
    """A saved state's contents, to train on; raises as `read`, and ValueError for a network without its training."""
    content = read(path)
    if not {"optimiser", "step"} <= content.keys():
        raise ValueError(f"{path} holds a network without its training: it cannot be trained on")
    return content


def load(path: Path, rate: float, device: torch.device | str = "cpu") -> State:
    """A saved state on a device; raises as `read_training`."""
    return restored(read_training(path), rate, device)


def load_network(path: Path) -> tuple[FRRNet, int]:
    """The running mean, ready to restore, and how many images it has seen in all its trainings."""
    content = read(path)
    network = build(content["shape"])
    network.load_state_dict(content["average"])
    network.eval().requires_grad_(False)
    return network, seen(content)


def parameter_count(network: nn.Module) -> int:
    """Numbers that the network holds, learnt or (the detail's filters) given."""
    return sum(parameter.numel() for parameter in network.parameters())

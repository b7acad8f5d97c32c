"""One training in many processes, as torchrun starts them: each takes its share of every batch.

Every random number is drawn for the whole batch from (seed, images seen) in each process, which then keeps those of its
own pictures; gradients are averaged by DistributedDataParallel. So any number of processes trains the same network, but
for the order in which floating-point sums are taken.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long a process waits for another: the first one decodes all faces alone, and NCCL gives up in ten minutes."""


@dataclass(frozen=True)
class World:
    """The processes of a training, and this one's place among them; alone unless torchrun started it."""

    rank: int = 0
    size: int = 1
    place: int = 0
    """Among the processes of its machine."""
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (immutable)

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's pictures of a batch; ValueError if it cannot be split evenly."""
        if batch % self.size:
            raise ValueError(f"a batch of {batch} cannot be split evenly among {self.size} processes")
        own = batch // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.mean([float(flag)])[0] > 0

    def mean(self, values: list[float]) -> list[float]:
        """Each value's mean over the processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, device=self.device)
        distributed.all_reduce(total)
        return [value / self.size for value in total.tolist()]

    def average(self, gradients: Sequence[Tensor | None]) -> None:
        """Each gradient becomes its mean over the processes; what DistributedDataParallel does for the network."""
        for gradient in gradients if self.size > 1 else ():
            if gradient is not None:
                distributed.all_reduce(gradient)
                gradient /= self.size

    def agreed(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, copied to the others (it must be picklable, on the CPU)."""
        values = [make() if self.first else None]
        if self.size > 1:
            distributed.broadcast_object_list(values, device=self.device)
        return values[0]  # type: ignore[return-value]

    def in_turn(self, make: Callable[[], T]) -> T:
        """What `make` gives, made in the first process of each machine before the others: it may write files there."""
        made = make() if self.place == 0 else None
        if self.size > 1:
            distributed.barrier()
        return made if made is not None else make()

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes; every parameter must get one in each step."""
        if self.size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, devices)


ALONE = World()


def pick_device(name: str, place: int = 0) -> torch.device:
    """auto, cpu or cuda as a device, the `place`-th of the machine's GPUs; ValueError if there is none."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this PyTorch sees no CUDA device; take --device cpu, or install a CUDA build")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda", place)


@contextmanager
def joined(device: str = "auto") -> Iterator[World]:
    """The world that torchrun's environment describes (RANK, WORLD_SIZE, LOCAL_RANK), joined and left again."""
    if "WORLD_SIZE" not in os.environ:
        yield World(device=pick_device(device))
        return
    picked = pick_device(device, int(os.environ["LOCAL_RANK"]))
    if picked.type == "cuda":
        torch.cuda.set_device(picked)
    distributed.init_process_group("nccl" if picked.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]), picked)
    finally:
        distributed.destroy_process_group()

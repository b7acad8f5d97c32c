"""What a network costs, in parameters and multiply-accumulates, beside the paper's figures (002, Tables 1 and 4).

The paper does not say how it counts. A convolution between blocks costs width², a residual dense block of d layers
width²·(9d(d + 1)/2 + d + 1) per place: from (8,1) to (12,2) six times as much, from there to (16,3) three and a half.
The table's figures grow 1.4 and 2.5 times. Both hold only beside some 9 GMAC on which neither width nor depth acts:

- either the classifier's VGGFace was counted: at its own 224 px, up to layer 15, the deepest one the paper reads, it
  costs 9.34 GMAC (`FaceNetwork`);
- or the convolutions before the first dense block and after the last keep their channels, since "we apply the width
  values to the first dense block" (§3.2). With 64 channels, as in RDN, they cost 8.9 GMAC at 336 px.

The network here is built by the second reading, so that its own count is the one compared, with nothing added: its
classifier must do without the face network at run time (`frrnet.GlobalView`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich import box
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from train.networks.frrnet import FRRNet

GMAC = {(16, 3): 40.42, (12, 2): 16.20, (8, 1): 11.26}
"""Paper 002, Table 1: (width, depth) at 336 px."""
PARAMETERS = {(12, 2): 7.2}
"""Paper 002, Table 4, in millions."""
SIZE = 336
SHOWN = (
    *((width, depth, 1, SIZE) for width, depth in GMAC),
    *((16, 2, stem_stride, SIZE) for stem_stride in (1, 2, 4)),
    *((16, 2, 4, size) for size in (224, 448)),
    *((width, depth, 4, SIZE) for width, depth in GMAC),
)
"""(width, depth, stem stride, size) that the table shows: the paper's three, then one lever at a time."""


@dataclass(frozen=True)
class Cost:
    """One network's cost for one face; the paper's figure, where there is one, for stem 1 at 336 px."""

    width: int
    depth: int
    stem_stride: int
    size: int
    parameters: float
    """Millions."""
    gmac: float
    """10⁹ multiply-accumulates of convolutions and matrix products."""
    paper_parameters: float | None = None
    paper_gmac: float | None = None


def multiply_accumulates(network: nn.Module, size: int, device: str = "meta") -> float:
    """GMAC of one picture (1×3×S×S): what PyTorch's dispatcher sees of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size, size, device=device))
    return float(counter.get_total_flops()) / 2e9


def cost(width: int, depth: int, stem_stride: int, size: int) -> Cost:
    """Build the network without memory (PyTorch's meta device) and count. Raises ValueError as FRRNet does."""
    with torch.device("meta"):
        network = FRRNet(width, depth, stem_stride, size=size)
    published = stem_stride == 1 and size == SIZE
    return Cost(
        width,
        depth,
        stem_stride,
        size,
        sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        multiply_accumulates(network, size),
        PARAMETERS.get((width, depth)) if published else None,
        GMAC.get((width, depth)) if published else None,
    )


def table(costs: Sequence[Cost]) -> Table:
    """The costs, one network a line, and beside them how far off the paper's they are."""
    found = Table("width", "depth", "stem", "px", "params", "paper", "", "GMAC", "paper", "", box=box.SIMPLE)
    for column in found.columns:
        column.justify = "right"
    for one in costs:
        shape = (str(value) for value in (one.width, one.depth, one.stem_stride, one.size))
        parameters = (f"{one.parameters:.2f} M", *beside(one.parameters, one.paper_parameters, "{:.1f} M"))
        found.add_row(*shape, *parameters, f"{one.gmac:.2f}", *beside(one.gmac, one.paper_gmac, "{:.2f}"))
    face = FaceNetwork.gmac()
    found.caption = (
        "Paper 002, Tables 1 and 4. At stem 1, 64 channels before and after the dense blocks make the constant part, "
        f"for which VGGFace up to layer 15 at {FaceNetwork.SIZE} px, {face:.2f} GMAC, may stand in the paper's count."
    )
    return found


def beside(value: float, paper: float | None, form: str) -> tuple[str, str]:
    """The paper's figure and the difference from it, or nothing."""
    return ("", "") if paper is None else (form.format(paper), f"{value / paper - 1:+.1%}")


class FaceNetwork(nn.Sequential):
    """The shape of VGGFace (VGG-16) up to layer 15, without weights: only to be counted."""

    SIZE = 224

    def __init__(self) -> None:
        inputs, layers = 3, list[nn.Module]()
        for outputs, count in ((64, 2), (128, 2), (256, 3)):
            for i in range(count):
                layers += [nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            inputs = outputs
        super().__init__(*layers[:-1])

    @classmethod
    def gmac(cls) -> float:
        """Of one face, at the side it was trained on."""
        with torch.device("meta"):
            return multiply_accumulates(cls(), cls.SIZE)

"""What is finer than a stem's cell, taken off or strengthened: the picture's own detail, filter by filter, under gates.

Behind a stem stride of 4 each cell is 48 numbers, and the features have 64 channels for them and for all else: they
come to know where there is noise, but cannot carry it pixel for pixel, so that a network without this branch leaves it
(noise of deviation 0.05: 26.1 dB in, 26.2 out). Here linear filters carry it: a lapped orthogonal transform (Malvar
and Staelin, IEEE TASSP 1989), a gate for each coefficient, and its transpose: a Wiener filter, tuned for the picture by
what its coefficients are on average (so much noise is there) and for each place by the features. The filters stay what
they are: learnt along, they lose their shape before the gates know what to do with them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

COLOURS = np.array([(1, 1, 1), (1, 0, -1), (1, -2, 1)]) / np.sqrt([[3], [2], [6]])
"""Grey and two opponent colours of RGB, orthonormal: in the last two there is little but noise."""


LIMIT = 0.4
"""What is larger than this in a coefficient is an edge or a surface and stays: all of int8's steps are for the rest."""
FLOOR = 1e-3
"""Of a coefficient's mean size, before its logarithm: a quarter of an 8-bit level."""


def lapped(cell: int) -> Array:
    """Lapped orthogonal transform of one axis (cell×2·cell, cell even): windows overlap by half, no seams show.

    Rows: the even basis functions, constant first, then the odd ones.
    """
    places = np.arange(cell) + 0.5
    cosine = np.sqrt(2 / cell) * np.cos(np.pi / cell * np.arange(cell)[:, None] * places)
    cosine[0] /= np.sqrt(2)
    half = cosine[0::2] - cosine[1::2]
    return 0.5 * np.block([[half, half[:, ::-1]], [half, -half[:, ::-1]]])


def filters(cell: int) -> tuple[Tensor, Tensor]:
    """Weights of the transform (3·cell²×3·cell²×3×3) and of its transpose, for pictures in PixelUnshuffle's order."""
    rows = np.zeros((cell, 3 * cell))
    rows[:, cell // 2 : cell // 2 + 2 * cell] = lapped(cell)
    basis = np.einsum("ac,iy,jx->aijcyx", COLOURS, rows, rows)
    # filter, colour, cell's row, row, cell's column, column
    cells = basis.reshape(3 * cell**2, 3, 3, cell, 3, cell)
    forth = cells.transpose(0, 1, 3, 5, 2, 4).reshape(len(cells), -1, 3, 3)
    back = cells[:, :, ::-1, :, ::-1, :].transpose(1, 3, 5, 0, 2, 4).reshape(-1, len(cells), 3, 3)
    return torch.from_numpy(forth).float(), torch.from_numpy(np.ascontiguousarray(back)).float()


class Detail(nn.Module):
    """A picture in PixelUnshuffle's order (N×3·cell²×H×W) and features (N×C×H×W) to what is added to it; at first, 0.

    A gate of -1 takes a coefficient (of up to LIMIT) off whole, +1 doubles it. Without features, the gates are the same
    everywhere.
    """

    def __init__(self, cell: int, features: int, hidden: int = 64) -> None:
        super().__init__()
        values = 3 * cell**2
        self.analyse = nn.Conv2d(values, values, 3, padding=1)
        last = nn.Linear(hidden, values)
        self.profile = nn.Sequential(nn.Linear(values, hidden), nn.ReLU(), last)
        self.gate = nn.Conv2d(features, values, 1)
        self.synthesise = nn.Conv2d(values, values, 3, padding=1)
        forth, back = filters(cell)
        with torch.no_grad():
            self.analyse.weight.copy_(forth)
            self.synthesise.weight.copy_(back)
        for parameter in (self.analyse.bias, self.synthesise.bias, *self.gate.parameters(), *last.parameters()):
            if parameter is not None:
                nn.init.zeros_(parameter)
        for layer in (self.analyse, self.synthesise):
            layer.requires_grad_(False)

    def forward(self, picture: Tensor, features: Tensor | None) -> Tensor:
        coefficients = self.analyse(picture).clamp(-LIMIT, LIMIT)
        gate = self.everywhere(coefficients).to(coefficients)
        if features is not None:
            gate = gate + self.gate(features)
        change: Tensor = self.synthesise(coefficients * gate.clamp(-1, 1))
        return change

    def everywhere(self, coefficients: Tensor) -> Tensor:
        """The part of the gates (N×3·cell²×1×1) that is the same in all places, by the coefficients' mean size."""
        size = coefficients.float().abs().mean((2, 3))
        gates: Tensor = self.profile(((size + FLOOR).log() + 4) / 2).tanh()
        return gates[:, :, None, None]

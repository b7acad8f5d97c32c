"""What H.264 leaves of a picture at a webcam's rate, on tensors: a stand-in for the codec, compared with it in tests.

A video codec predicts a picture from the one before and codes the rest with one step for all frequencies, rounding
small coefficients to zero (the dead zone); the grid moves with the motion, and a filter in the loop smooths the blocks'
edges (Wiegand et al., "Overview of the H.264/AVC video coding standard", IEEE TCSVT 2003). So texture is lost, flat
parts come out smooth, and edges get a little ringing, but hard blocks only at the highest steps.
"""

import torch
from torch import Tensor
from torch.nn import functional

from train.degrade.jpeg import TO_RGB, TO_YCC, dct_matrix

DEAD_ZONE = 1 / 3
"""Of a step, added before a coefficient is cut to whole steps: what an encoder takes for predicted blocks is 1/6, for
blocks of its own 1/3."""
CHROMA = 0.8
"""Step of the colours over that of luma: the standard's table gives them a smaller one where steps are large."""


def step_size(parameter: Tensor) -> Tensor:
    """Quantisation step (levels of 255) of H.264's parameter QP (0…51): it doubles every six."""
    return 0.625 * 2 ** (parameter / 6)


def coded(plane: Tensor, step: Tensor) -> Tensor:
    """Planes (N×C×H×W in levels, sides multiples of 8) through an 8×8 transform, dead-zone steps (N), and back."""
    n, c, height, width = plane.shape
    dct = dct_matrix().to(plane)
    blocks = plane.reshape(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = step[:, None, None, None, None, None]
    scaled = (dct @ blocks @ dct.T) / steps
    rounded = scaled.sign() * (scaled.abs() + DEAD_ZONE).floor() * steps
    # a block's mean comes from its neighbours, which the prediction knows
    rounded[..., 0, 0] = scaled[..., 0, 0].mul(2).round().div(2) * steps[..., 0, 0]
    return (dct.T @ rounded @ dct).transpose(3, 4).reshape(n, c, height, width)


def deblocked(plane: Tensor, step: Tensor) -> Tensor:
    """Steps at the blocks' edges that are no larger than the codec's own are smoothed, along rows and columns."""
    for axis in (2, 3):
        plane = plane.transpose(axis, 3)
        places = torch.arange(8, plane.shape[3], 8, device=plane.device)
        if len(places):
            before, after = plane[..., places - 1], plane[..., places]
            jump = after - before
            share = (1 - (jump.abs() / (1.5 * step[:, None, None, None])).square()).clamp_min(0)
            smooth = plane.clone()
            for distance, amount in ((0, 0.375), (1, 0.125)):
                smooth[..., places - 1 - distance] += share * jump * amount
                smooth[..., places + distance] -= share * jump * amount
            plane = smooth
        plane = plane.transpose(axis, 3)
    return plane


def h264(images: Tensor, parameter: Tensor) -> Tensor:
    """Images (N×3×H×W, RGB, [0,1]) as a clip coded with each parameter QP (N, 0…51) shows them."""
    height, width = images.shape[-2:]
    padded = functional.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    offset = torch.tensor([0.0, 128, 128], device=images.device)[:, None, None]
    ycc = (TO_YCC.to(images) @ (padded * 255).flatten(2)).view(padded.shape) + offset
    step = step_size(parameter)
    luma = ycc[:, :1]
    # two pictures: the second codes what is left on a grid that has moved by half a block
    for shift in (0, 4):
        moved = luma.roll((shift, shift), (2, 3))
        luma = deblocked(coded(moved, step), step).roll((-shift, -shift), (2, 3))
    colour = deblocked(coded(functional.avg_pool2d(ycc[:, 1:], 2), step * CHROMA), step * CHROMA)
    colour = functional.interpolate(colour, scale_factor=2.0, mode="bilinear", align_corners=False)
    decoded = torch.cat((luma, colour), 1).clamp(0, 255) - offset
    rgb: Tensor = (TO_RGB.to(images) @ decoded.flatten(2)).view(padded.shape)
    return rgb[:, :, :height, :width].round().clamp(0, 255) / 255

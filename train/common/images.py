"""Tensors and pictures: resizing, tiling, and writing a sheet to look at."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Image = NDArray[np.uint8]


def resize(images: Tensor, size: int) -> Tensor:
    """To side `size`, averaged where it shrinks."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def to_image(picture: Tensor) -> Image:
    """A tensor (3×H×W, RGB, [0,1]) as BGR uint8 H×W×3."""
    return np.asarray((picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).flip(-1).numpy(), np.uint8)


def tile(rows: list[Tensor], columns: int, cell: int) -> Image:
    """Rows of pictures (each N×3×S×S) under one another, `columns` wide, as often as it takes for all N."""
    rows = [resize(row, cell) for row in rows]
    blanks = torch.ones(-len(rows[0]) % columns, *rows[0].shape[1:])
    rows = [torch.cat((row, blanks)) for row in rows]
    bands = [
        torch.cat(list(row[start : start + columns]), 2) for start in range(0, len(rows[0]), columns) for row in rows
    ]
    return to_image(torch.cat(bands, 1))


def write_image(path: Path, image: Image) -> None:
    """As PNG; OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong = f"cannot write {path}: is it a PNG name in a folder you may write to?"
    try:
        written = cv2.imwrite(str(path), image)
    except cv2.error as error:  # a suffix that OpenCV does not know
        raise OSError(wrong) from error
    if not written:
        raise OSError(wrong)

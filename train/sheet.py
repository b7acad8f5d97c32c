"""Sheets of faces to look at: degraded, restored and original in rows, by a weights file or a checkpoint's network."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frrcam.faces import alignment
from frrcam.restore import contract
from train.data import Faces, decode
from train.evaluate import REFERENCE, Restorer, held_out_pairs, resize, shown_by

Image = NDArray[np.uint8]
Sized = tuple[Restorer, int]
"""A restorer and the side of its crops (`train.evaluate.restorer`)."""


class FindsPoints(Protocol):
    """Five points of the largest face (`train.masks.Landmarks`), or None."""

    def find(self, image: Image) -> alignment.Points | None: ...


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


def faces_sheet(rungs: list[Sized], faces: Faces, count: int = 24, columns: int = 8, cell: int = 200) -> Image:
    """Held-out faces: degraded | restored by each | original."""
    target, degraded, _ = held_out_pairs(faces, count)
    return tile([degraded, *(shown_by(*rung, degraded)[0] for rung in rungs), target], columns, cell)


def wild_sheet(rungs: list[Sized], folder: Path, landmarks: FindsPoints, columns: int = 6, cell: int = 256) -> Image:
    """Really degraded faces: as they are | restored by each and blended by its mask.

    Raises FileNotFoundError if the folder holds no picture; a picture without a found face is resized whole.
    """
    crops = []
    for path in sorted(folder.glob("*.jpg")):
        try:
            image = decode(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        points = landmarks.find(image)
        if points is None:
            whole = cv2.resize(image, (REFERENCE, REFERENCE), interpolation=cv2.INTER_AREA)
            crops.append(np.asarray(whole, np.uint8))
        else:
            crops.append(alignment.crop(image, alignment.similarity(points, REFERENCE), REFERENCE))
    if not crops:
        raise FileNotFoundError(f"no .jpg in {folder}: set --data to the folder that holds wild/")
    images = torch.from_numpy(contract.to_tensor(crops))
    rows = [images]
    for rung in rungs:
        shown, mask = shown_by(*rung, images)
        rows.append(images + (shown - images) * mask)
    return tile(rows, min(columns, len(crops)), cell)


def write(path: Path, image: Image) -> None:
    """As PNG; OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong = f"cannot write {path}: is it a PNG name in a folder you may write to?"
    try:
        written = cv2.imwrite(str(path), image)
    except cv2.error as error:  # a suffix that OpenCV does not know
        raise OSError(wrong) from error
    if not written:
        raise OSError(wrong)

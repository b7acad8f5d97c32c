"""Sheets of faces to look at: degraded, restored and original in rows, by a weights file or a checkpoint's network."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from frrcam.faces import alignment
from frrcam.restore import contract
from train.common.images import Image, tile
from train.data.faces import Faces, decode
from train.evaluate.measure import REFERENCE, Restorer, held_out_pairs, shown_by

Sized = tuple[Restorer, int]
"""A restorer and the side of its crops (`train.evaluate.restorers.restorer`)."""


class FindsPoints(Protocol):
    """Five points of the largest face (`train.fit.mask_teacher.Landmarks`), or None."""

    def find(self, image: Image) -> alignment.Points | None: ...


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

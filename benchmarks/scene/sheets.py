"""Sheets to look at: for each kind, a row for every clip with input, published and clean picture."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scene.score import Sample
from frrcam.errors import SinkUnusable
from frrcam.frame import Image

HEIGHT = 360
"""Pixels of a row."""
WIDTH = 640
"""Pixels of a column; a wider picture is made smaller."""
BAND = 22
"""Pixels of the band with the label above a row."""
QUALITY = 90


def sheet(rows: Sequence[Image]) -> Image:
    """Rows of any widths under one another."""
    width = max(one.shape[1] for one in rows)
    return np.vstack([np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0))) for one in rows])


def write(path: Path, image: Image) -> None:
    """As the suffix says (.webp, .jpg, .png). Raises SinkUnusable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = {".webp": cv2.IMWRITE_WEBP_QUALITY, ".jpg": cv2.IMWRITE_JPEG_QUALITY}.get(path.suffix)
    if not cv2.imwrite(str(path), image, [] if quality is None else [quality, QUALITY]):
        raise SinkUnusable(f"{path} cannot be written")


def row(sample: Sample) -> Image:
    """input | published | clean, with a label; a sample without a truth has two pictures."""
    pictures = [sample.given, sample.published, *([] if sample.clean is None else [sample.clean])]
    small = np.hstack([_fitting(picture) for picture in pictures])
    band = np.zeros((BAND, small.shape[1], 3), np.uint8)
    label = f"{sample.label}: " + " | ".join(["input", "published", "clean"][: len(pictures)])
    cv2.putText(band, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack((band, small))


def _fitting(image: Image) -> Image:
    scale = min(HEIGHT / image.shape[0], WIDTH / image.shape[1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), np.uint8)

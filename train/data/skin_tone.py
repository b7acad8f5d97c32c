"""Skin tone as a picture shows it: the individual typology angle of the cheeks (Chardon et al., 1991).

ITA = atan2(L* − 50, b*) in degrees over CIELAB (sRGB, D65). It is the tone in this light, not the person's skin.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from torch import Tensor

from train.data.faces import STILL, Faces, batch

BINS = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -np.inf),
)
"""Names with the angle above which they begin (Del Bino and Bernerd, 2013)."""
ENOUGH = 8
"""Faces that a bin must have for its mean to count in the spread."""
CHEEKS = ((0.57, 0.69, 0.30, 0.42), (0.57, 0.69, 0.58, 0.70))
"""Top, bottom, left, right as fractions of our crop: beside the nose, below the eyes, above the mouth's corners."""


def angles(images: Tensor, mask: Tensor | None) -> Tensor:
    """ITA in degrees (N, float) of faces (N×3×S×S, RGB, [0,1]), from the median colour of the mask's (N×1×S×S) cheeks.

    A face whose cheeks lie outside its mask gets NaN.
    """
    side = images.shape[-1]
    rows = [tuple(round(edge * side) for edge in cheek) for cheek in CHEEKS]

    def skin(image: Tensor) -> Tensor:
        return torch.cat([image[:, top:bottom, left:right].flatten(1) for top, bottom, left, right in rows], 1)

    found = []
    for index, image in enumerate(images):
        pixels = skin(image)
        if mask is not None:
            pixels = pixels[:, skin(mask[index])[0] > 0.5]
        if not pixels.shape[1]:
            found.append(float("nan"))
            continue
        lightness, _, yellow = np.median(rgb2lab(pixels.T.numpy()), axis=0)
        found.append(typology_angle(lightness, yellow))
    return torch.tensor(found)


def typology_angle(lightness: float, yellow: float) -> float:
    """ITA in degrees of a colour's L* and b*."""
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def bin_of(angle: float) -> str | None:
    """The name of the bin; None for NaN."""
    return next((name for name, above in BINS if angle > above), None)


def members(found: Tensor) -> dict[str, Tensor]:
    """Positions (int64) of the faces in each bin, lightest first, empty bins too."""
    names = [bin_of(float(angle)) for angle in found]
    return {
        name: torch.tensor([i for i, own in enumerate(names) if own == name], dtype=torch.int64) for name, _ in BINS
    }


def comparable(bins: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The bins with `ENOUGH` faces."""
    return {name: rows for name, rows in bins.items() if len(rows) >= ENOUGH}


def even_lesson(faces: Faces, side: int = 96) -> NDArray[np.int64]:
    """Training positions, those of rarer tones several times: each tone about as often as the commonest.

    What a picture lacks in light is guessed from the faces seen: without this, dark skin is taken for light skin in
    the dark. Tones are those of crops of `side` pixels; a face without one counts once.
    """
    positions = faces.indices(training=True)
    chunks = np.array_split(positions, max(1, len(positions) // 64))
    crops = [batch(faces, chunk, side, STILL, np.random.default_rng(0)) for chunk in chunks if len(chunk)]
    found = torch.cat([angles(*crop) for crop in crops]) if crops else torch.empty(0)
    groups = members(found)
    most = max(len(group) for group in groups.values())
    times = np.ones(len(positions), np.int64)
    for group in groups.values():
        if len(group):
            times[group.numpy()] = round(most / len(group))
    return positions.repeat(times)

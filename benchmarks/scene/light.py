"""Pictures as linear light and back."""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from frrcam.frame import Image

Light = NDArray[np.float32]
"""Linear light, 0 black and 1 white: H×W×3 (BGR) or, where it says so, H×W."""

GAMMA = 2.2
LUMINANCE = np.array([[0.0722, 0.7152, 0.2126]], np.float32)
"""BT.709 weights of linear B, G and R."""

_DECODED = (np.arange(256, dtype=np.float32) / 255) ** np.float32(GAMMA)


def linear(image: Image) -> Light:
    """The light of a picture, H×W×3."""
    return cast(Light, cv2.LUT(image, _DECODED))


def encode(light: Light) -> Image:
    """The picture of a light; what is below black or above white is clipped."""
    levels = cv2.pow(np.clip(light, 0, 1), 1 / GAMMA)
    return cast(Image, cv2.convertScaleAbs(levels, alpha=255))


def luminance(light: Light) -> Light:
    """One plane, H×W, of a light."""
    return cast(Light, cv2.transform(light, LUMINANCE))

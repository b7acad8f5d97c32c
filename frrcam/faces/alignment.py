"""Face alignment: five points to a square crop, and back.

The template is the mean of the five points of 4,099 FFHQ-like crops, such as FRR-Net is trained on,
so that training and the live path look at a face through the same window.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
Affine = NDArray[np.float32]

TEMPLATE: Points = np.array(
    [(0.376, 0.475), (0.624, 0.474), (0.496, 0.620), (0.393, 0.729), (0.609, 0.728)], np.float32
)
"""Left eye, right eye, nose, left and right mouth corner as the viewer sees them (5×2, fractions of the side)."""


def similarity(points: Points, size: int) -> Affine:
    """Least-squares similarity (2×3) that takes five image points (5×2, pixels) onto the template of a size² crop.

    Closed form of Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns" (PAMI 1991), for two dimensions and no reflection: a point is a complex number, and the
    best rotation with scale is one complex factor. Raises ValueError if the points coincide or are not finite.
    """
    if not np.isfinite(points).all():
        raise ValueError(f"five distinct finite points are needed to align a face, not {points.tolist()}")
    source = points.astype(np.float64) @ (1, 1j)
    target = (TEMPLATE.astype(np.float64) * size) @ (1, 1j)
    source_centre, target_centre = source.mean(), target.mean()
    spread = np.vdot(source - source_centre, source - source_centre).real
    if spread < 1e-6:
        raise ValueError(f"five distinct finite points are needed to align a face, not {points.tolist()}")
    factor = np.vdot(source - source_centre, target - target_centre) / spread
    shift = target_centre - factor * source_centre
    return np.array([(factor.real, -factor.imag, shift.real), (factor.imag, factor.real, shift.imag)], np.float32)


def invert(affine: Affine) -> Affine:
    """The map (2×3) from the crop back to the image."""
    return np.asarray(cv2.invertAffineTransform(affine), np.float32)


def scale(affine: Affine) -> float:
    """Crop pixels per image pixel of a similarity."""
    return float(np.hypot(affine[0, 0], affine[1, 0]))


def crop(image: Image, affine: Affine, size: int) -> Image:
    """The aligned face (size×size×3 uint8) that `affine` cuts from an image (H×W×3 uint8).

    What lies outside the image repeats its edge, so that the network never sees a black wedge. A face
    much larger than the crop is averaged down (INTER_AREA on an upright box first) rather than aliased.
    """
    part, affine = _part(image, affine, size, max(int(1.0 / scale(affine)), 1))
    # OpenCV warps four channels in half the time of three, to the same values
    four = cv2.cvtColor(part, cv2.COLOR_BGR2BGRA)
    warped = cv2.warpAffine(four, affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR), np.uint8)


def _part(image: Image, affine: Affine, size: int, step: int) -> tuple[Image, Affine]:
    """The part of the image under the crop, with each step×step pixels averaged to one, and the affine from there."""
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)], np.float32) @ invert(affine).T
    limit = np.array([image.shape[1] // step, image.shape[0] // step])
    # whole steps from the image's corner, and two to spare, so that interpolation meets no edge but the image's own
    first = np.clip(np.floor(corners.min(axis=0) / step).astype(int) - 2, 0, np.maximum(limit - 1, 0))
    last = np.clip(np.ceil(corners.max(axis=0) / step).astype(int) + 2, first + 1, np.maximum(limit, 1))
    (left, top), (right, bottom) = first * step, last * step
    part = image[top:bottom, left:right]
    if step > 1:
        small = (int(last[0] - first[0]), int(last[1] - first[1]))
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
    # pixel centres: x = (x_small + 0.5) · step − 0.5 + left
    back = np.array([(step, 0, step / 2 - 0.5 + left), (0, step, step / 2 - 0.5 + top), (0, 0, 1)], np.float32)
    return part, (affine @ back).astype(np.float32)

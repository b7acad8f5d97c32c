"""What travels down the house: one picture with its place in time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""BGR, H×W×3, as OpenCV has it."""

Payload = NDArray[np.uint8]
"""A picture in the form that a sink takes: I420 (H·3/2 × W) for a virtual camera, BGR for the others."""

LUMA = np.array([0.114, 0.587, 0.299], np.float32)
"""BT.601 weights of B, G and R."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source. The image is shared, never written to after it is made."""

    image: Image
    index: int
    """0, 1, 2 … within one opening of the source; a gap is a picture that was dropped."""
    timestamp: float
    """Seconds on the monotonic clock when the picture was complete (live), or since the first picture (files)."""
    source: str
    """The source's name, as `SourceInfo.name`."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

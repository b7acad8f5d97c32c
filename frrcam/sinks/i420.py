"""Pictures as cameras give them: I420, of even sides, in a buffer that is used again."""

import cv2
import numpy as np

from frrcam.errors import SinkUnusable, UsageError
from frrcam.frame import Image, Payload
from frrcam.limits import SENT_SIDES


class I420Buffer:
    """Takes pictures of width×height; 4:2:0 needs even sides, and an odd one's last row or column is left out."""

    def __init__(self, width: int, height: int, whose: str) -> None:
        """`whose`: "virtual camera". Raises UsageError for sides that no camera has."""
        self._given = height, width
        self.width, self.height = width - width % 2, height - height % 2
        if self.width not in SENT_SIDES or self.height not in SENT_SIDES:
            raise UsageError(
                f"a {whose} cannot be {width}x{height}: each side {SENT_SIDES[0]} to {SENT_SIDES[-1]} pixels"
            )
        self._buffer = np.empty((self.height * 3 // 2, self.width), np.uint8)

    def convert(self, image: Image, name: str) -> Payload:
        """BT.601 limited range, H·3/2 × W. Raises SinkUnusable, with the sink's name, for another size."""
        if image.shape[:2] != self._given:
            height, width = self._given
            raise SinkUnusable(f"{name} is open for {width}x{height}, not {image.shape[1]}x{image.shape[0]}")
        cv2.cvtColor(image[: self.height, : self.width], cv2.COLOR_BGR2YUV_I420, dst=self._buffer)
        return self._buffer

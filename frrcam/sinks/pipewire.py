"""Publishes to PipeWire as a camera of its own: for browsers and sandboxed programs, which take their cameras there.

No kernel module is needed for it, and programs that open /dev/video* themselves do not see it.
"""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from frrcam.errors import SinkLost, SinkUnusable, UsageError
from frrcam.frame import Frame, Image
from frrcam.sinks.base import Payload, SinkInfo
from frrcam.sinks.pipewire_stream import PipeWireStream
from frrcam.sources.base import Closing

MAX_SIDE = 8192
"""Pixels."""


class Stream(Protocol):
    """A node of PipeWire that gives pictures; `pipewire_stream.PipeWireStream` is the one."""

    node: int

    @property
    def fault(self) -> str | None:
        """Why there is no node any more, or None."""

    def watching(self, timeout: float) -> bool:
        """True if somebody reads. Waits for that to change, or for a fault, `timeout` seconds at the most."""

    def offer(self, payload: Payload) -> bool:
        """Gives the picture to whoever reads; False if it was left out."""

    def close(self) -> None:
        """Takes the node away. Idempotent."""


StreamOpener = Callable[[str, int, int, float], Stream]
"""(label, width, height, fps) → an open stream; SinkError where there is none."""


class PipeWireSink(Closing):
    """A camera in PipeWire, called `label`. It knows by itself who reads it.

    4:2:0 needs even sides: of a picture with an odd one, the last row or column is left out.

    Raises SinkNotFound (no PipeWire: not installed, not running), SinkUnusable (it takes no stream), UsageError (size);
    send() raises SinkLost when PipeWire has gone.
    """

    how = "PipeWire tells who watches"

    def __init__(
        self, width: int, height: int, fps: float, label: str = "FRR Camera", *, opener: StreamOpener = PipeWireStream
    ) -> None:
        self._given = height, width
        self._width, self._height = width - width % 2, height - height % 2
        if not (2 <= self._width <= MAX_SIDE and 2 <= self._height <= MAX_SIDE):
            raise UsageError(f"a camera cannot be {width}x{height}: each side 2 to {MAX_SIDE} pixels")
        self._stream = opener(label, self._width, self._height, fps)
        self.info = SinkInfo(label, f"PipeWire node {self._stream.node}")
        self._buffer = np.empty((self._height * 3 // 2, self._width), np.uint8)

    def convert(self, image: Image) -> Payload:
        """I420, BT.601 limited range, H·3/2 × W. The buffer is used again by the next call."""
        if image.shape[:2] != self._given:
            height, width = self._given
            raise SinkUnusable(f"{self.info.name} is open for {width}x{height}, not {image.shape[1]}x{image.shape[0]}")
        cv2.cvtColor(image[: self._height, : self._width], cv2.COLOR_BGR2YUV_I420, dst=self._buffer)
        return self._buffer

    def send(self, payload: Payload, original: Frame) -> None:
        """Publishes one picture; without a reader, or where the reader is behind, it is left out."""
        self._check()
        self._stream.offer(payload)

    def watching(self, timeout: float) -> bool:
        """True if somebody reads now. Waits for that to change, `timeout` seconds at the most. Raises SinkLost."""
        self._check()
        return self._stream.watching(timeout)

    def close(self) -> None:
        self._stream.close()

    def _check(self) -> None:
        if fault := self._stream.fault:
            raise SinkLost(f"{self.info.name} ({self.info.where}) is gone: {fault}")

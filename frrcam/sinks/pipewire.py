"""Publishes to PipeWire as a camera of its own: for browsers and sandboxed programs, which take their cameras there.

No kernel module is needed for it, and programs that open /dev/video* themselves do not see it.
"""

from collections.abc import Callable
from typing import Protocol

from frrcam.closing import Closing
from frrcam.errors import SinkLost
from frrcam.frame import Frame, Image, Payload
from frrcam.linux.pipewire_stream import PipeWireStream
from frrcam.sinks.base import SinkInfo
from frrcam.sinks.i420 import I420Buffer


class Stream(Protocol):
    """A node of PipeWire that gives pictures; `pipewire_stream.PipeWireStream` is the one."""

    node: int

    @property
    def fault(self) -> str | None:
        """Why there is no node any more, or None."""

    def watching(self, timeout: float) -> bool:
        """True if a program reads. Waits for that to change, or for a fault, `timeout` seconds at the most."""

    def offer(self, payload: Payload) -> bool:
        """Gives the picture to the readers; False if it was left out."""

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
        self._pictures = I420Buffer(width, height, "camera")
        self._stream = opener(label, self._pictures.width, self._pictures.height, fps)
        self.info = SinkInfo(label, f"PipeWire node {self._stream.node}")

    def convert(self, image: Image) -> Payload:
        """I420, BT.601 limited range, H·3/2 × W. The buffer is used again by the next call."""
        return self._pictures.convert(image, self.info.name)

    def send(self, payload: Payload, original: Frame) -> None:
        """Publishes one picture; without a reader, or where the reader is behind, it is left out."""
        self._check()
        self._stream.offer(payload)

    def watching(self, timeout: float) -> bool:
        """True if a program reads now. Waits for that to change, `timeout` seconds at the most. Raises SinkLost."""
        self._check()
        return self._stream.watching(timeout)

    def close(self) -> None:
        self._stream.close()

    def _check(self) -> None:
        if fault := self._stream.fault:
            raise SinkLost(f"{self.info.name} ({self.info.where}) is gone: {fault}")

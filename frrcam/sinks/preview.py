"""The newest picture, before and after, kept for the preview page."""

import threading
from dataclasses import dataclass

from frrcam.closing import Closing
from frrcam.errors import SinkLost
from frrcam.frame import Frame, Image, Payload
from frrcam.sinks.base import SinkInfo


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture before and after; both BGR H×W×3, shared, never written to."""

    before: Image
    after: Image
    number: int
    """1, 2, 3 … in the order they were published; 0 is no picture."""


class PreviewSink(Closing):
    """Keeps the newest pair. Never encodes: that is the watcher's work.

    send() only swaps a reference under a lock, so a slow or absent watcher costs the daemon nothing.
    """

    def __init__(self, where: str = "memory") -> None:
        self.info = SinkInfo("preview", where)
        self._lock = threading.Lock()
        self._latest: Pair | None = None
        self._closed = False

    def convert(self, image: Image) -> Payload:
        return image

    def send(self, payload: Payload, original: Frame) -> None:
        """Makes (original, payload) the newest pair. Raises SinkLost once closed."""
        with self._lock:
            if self._closed:
                raise SinkLost("the preview is closed")
            number = self._latest.number + 1 if self._latest else 1
            self._latest = Pair(original.image, payload, number)

    def latest(self) -> Pair | None:
        """The newest pair, or None before the first."""
        return self._latest

    def close(self) -> None:
        with self._lock:
            self._closed = True

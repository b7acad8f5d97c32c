"""The contract of everything that pictures go to, and the fake that tests use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from frrcam.closing import Closing
from frrcam.errors import SinkLost
from frrcam.frame import Frame, Image, Payload


@dataclass(frozen=True, slots=True)
class SinkInfo:
    """Where the pictures go, for people."""

    name: str
    """For people: "FRR Camera", "out.mp4", "preview"."""
    where: str
    """The node, path or address."""
    keeps: int = 1
    """How many of the newest pictures the far end may keep, for others to see later."""
    reopens: bool = True
    """False for a file: reopened it would lose what it had. One that fails ends the run."""


class Sink(Protocol):
    """Something that is open and takes pictures of one size.

    Constructing opens it and raises a `SinkError` that says why it could not be opened.
    convert() and send() are apart so that each can be timed; both are called from one thread.
    """

    @property
    def info(self) -> SinkInfo:
        """Fixed for the life of the sink."""

    def convert(self, image: Image) -> Payload:
        """The picture (BGR H×W×3) in the sink's own form. Pure; may return its argument."""

    def send(self, payload: Payload, original: Frame) -> None:
        """Publishes one picture; `original` is the frame it was made from. Raises SinkLost when the far end is gone."""

    def close(self) -> None:
        """Lets go of the device, completes the file. Idempotent."""


@runtime_checkable
class WatchedSink(Protocol):
    """A sink that knows by itself who reads it. Its methods may be called from another thread than send()."""

    @property
    def how(self) -> str:
        """How it is known, for people: one phrase."""

    def watching(self, timeout: float) -> bool:
        """True if a program reads now. Waits for that to change, `timeout` seconds at the most; 0 does not wait.

        Raises SinkLost when the far end is gone.
        """


SinkFactory = Callable[[int, int, float], Sink]
"""Opens the same sink (again) for pictures of (width, height) at fps."""


class FakeSink(Closing):
    """Keeps what it is sent; raises SinkLost once `lost_after` pictures have come. For tests."""

    def __init__(self, lost_after: int | None = None, *, reopens: bool = True) -> None:
        self.info = SinkInfo("fake", "memory", reopens=reopens)
        self.sent: list[tuple[Payload, Frame]] = []
        self.closed = 0
        self._lost_after = lost_after

    def convert(self, image: Image) -> Payload:
        return image

    def send(self, payload: Payload, original: Frame) -> None:
        if self.closed or len(self.sent) == self._lost_after:
            raise SinkLost("fake: the virtual camera is gone")
        self.sent.append((payload, original))

    def close(self) -> None:
        self.closed += 1

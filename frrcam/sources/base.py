"""The contract of everything that pictures come from, and the fake that tests use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from frrcam.closing import Closing
from frrcam.errors import SourceLost
from frrcam.frame import Frame, Image


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source turned out to be once it was open."""

    name: str
    """For people and for finding it again: "Integrated Camera", "clip.mp4", "demo"."""
    width: int
    height: int
    fps: float
    """Pictures a second: what the camera agreed to, or what the file says."""
    live: bool
    """True if read() waits for the world; False if pictures are there at once and the player keeps time."""
    pixel_format: str = ""
    """The wire format where one is known, e.g. "MJPG"."""
    reopen_as: str | None = None
    """The --device that means this camera even after it came back under another number."""
    ends: bool = False
    """True for a file that is played once: where it breaks off, it ends too."""


class Source(Protocol):
    """Something that is open and gives pictures, newest last.

    Constructing opens it and raises a `SourceError` that says why it could not be opened.
    Sources have no threads and keep no time: the daemon does both.
    """

    @property
    def info(self) -> SourceInfo:
        """Fixed for the life of the source."""

    def read(self) -> Frame | None:
        """The next picture, or None at the end of a file. Blocks while live.

        Raises SourceLost when it worked and then stopped; the source must then be closed. Called from one thread.
        """

    def close(self) -> None:
        """Lets go of the device. Idempotent; may be called from another thread than read()."""


SourceFactory = Callable[[], Source]
"""Opens the same source again after it was lost: by name, not by number."""


class FakeSource(Closing):
    """Plays given pictures, then ends or raises; counts how often it was closed. For tests and demonstrations."""

    def __init__(
        self,
        images: Sequence[Image],
        fps: float = 30.0,
        *,
        live: bool = False,
        loop: bool = False,
        lost_after: int | None = None,
    ) -> None:
        height, width = images[0].shape[:2]
        self.info = SourceInfo("fake", width, height, fps, live, ends=not (live or loop))
        self.closed = 0
        self._images, self._loop, self._lost_after, self._index = images, loop, lost_after, 0

    def read(self) -> Frame | None:
        if self.closed or self._index == self._lost_after:
            raise SourceLost("fake: the camera was unplugged")
        if self._index >= len(self._images) and not self._loop:
            return None
        frame = Frame(self._images[self._index % len(self._images)], self._index, self._index / self.info.fps, "fake")
        self._index += 1
        return frame

    def close(self) -> None:
        self.closed += 1

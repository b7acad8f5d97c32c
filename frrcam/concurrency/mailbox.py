"""Between the thread that captures and the thread that processes: one place, the newest frame wins."""

from threading import Condition

from frrcam.frame import Frame


class Mailbox:
    """Holds at most one frame. put() never blocks; what is not taken in time is dropped, and counted."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._frame: Frame | None = None
        self._closed = False
        self.dropped = 0

    @property
    def closed(self) -> bool:
        """True once no more frames will come; one may still be waiting."""
        return self._closed

    def put(self, frame: Frame) -> None:
        """Leaves a frame, in place of one that was not taken."""
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, waiting up to `timeout` seconds; None if none came or the mailbox was closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None or self._closed, timeout)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        """Wakes the waiting thread; a frame that is there can still be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

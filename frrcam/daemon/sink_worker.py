"""Where pictures go out: the sink, opened again when it is lost (but a file), and waited for when it hangs."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor, Future

from frrcam.concurrency.deadline import HUNG_S, Aside, Overdue
from frrcam.concurrency.notices import Notices
from frrcam.concurrency.retry import Retry
from frrcam.errors import SinkError, SinkUnusable, one_line
from frrcam.frame import Frame, Image
from frrcam.pipeline.metrics import Stopwatch
from frrcam.sinks.base import Sink, SinkFactory, WatchedSink


class Outlet:
    """A sink that is sent to, opened and closed in a thread of its own, for a driver or a disk may hang in each.

    One that hangs is not opened a second time meanwhile: it still holds the device, or the file. Its pictures are
    left out until it comes back. Owned by one thread.
    """

    def __init__(
        self,
        sink: Sink,
        reopen: SinkFactory,
        size: tuple[int, int],
        fps: float,
        notices: Notices,
        clock: Callable[[], float],
        executor: Executor,
        patience_s: float,
    ) -> None:
        self.info = sink.info
        """The newest sink, lost or not: opened again, it may be under another number."""
        self._sink: Sink | None = sink
        self._reopen, self._size, self._fps = reopen, size, fps
        self._notices, self._clock = notices, clock
        self._aside: Aside | None = Aside(executor, clock, patience_s)
        self._retry = Retry()
        self._sent = False
        self._failed: SinkError | None = None
        self._closing: Future[None] | None = None

    @property
    def lost(self) -> bool:
        """True while there is nowhere to publish to."""
        return self._sink is None

    @property
    def failed(self) -> SinkError | None:
        """Why there is nothing to publish to any more, nor will be: a file that could not be written or completed."""
        if self._failed is None and self._closing and not self._closing.done():
            return SinkUnusable(f"{self.info.where}: the disk does not answer; the file is not complete")
        return self._failed

    @property
    def watched(self) -> WatchedSink | None:
        """The sink, if it knows by itself who reads it."""
        sink = self._sink
        return sink if isinstance(sink, WatchedSink) else None

    def published_since_asked(self) -> bool:
        """True if the sink has taken a picture since the last call: what a watchdog may be fed for."""
        sent, self._sent = self._sent, False
        return sent

    def publish(self, image: Image, frame: Frame, watch: Stopwatch | None = None) -> bool:
        """Sends a picture, if there is a sink and it does not hang. True if it was taken in time; raises nothing."""
        aside = self._aside
        if aside is None:
            return False
        try:
            if aside.overdue:
                self._came_back(aside)
            sink = self._sink or self._find(aside)
            if sink is None:
                return False
            payload = sink.convert(image)
            if watch:
                watch.lap("convert")
            aside.call(lambda: sink.send(payload, frame))
            if watch:
                watch.lap("publish")
        except Overdue:
            if aside.overdue_s >= HUNG_S:
                text = f"{self.info.name} has taken no picture for {aside.overdue_s:.0f} s; waiting for it"
                self._notices.raise_("sink", text)
            return False
        except Exception as error:  # SinkLost, or whatever a backend raises when its device is torn away
            self._lose(aside, error)
            return False
        self._sent = True
        if self._retry.worked(self._clock()):
            self._notices.clear("sink", f"{self.info.name} is back")
        return True

    def close(self) -> None:
        """Closes the sink, or leaves that to its thread, should it ever come back. Idempotent."""
        aside, self._aside = self._aside, None
        sink, self._sink = self._sink, None
        if aside is None:
            return
        if aside.overdue or sink is None:
            closing = aside.retire(lambda: self._close_late(aside, sink))
            self._closing = None if self.info.reopens else closing
        else:  # at its end a file takes the time that it takes
            self._close(sink)
            aside.retire(lambda: None)

    def _came_back(self, aside: Aside) -> None:
        """Takes the answer of what was overdue: Overdue if it still is, and the error that it ended with, if any."""
        took = aside.overdue_s
        aside.settle()
        if took >= HUNG_S:
            self._retry.failed(self._clock())  # so that it is proven before it is said to be back

    def _find(self, aside: Aside) -> Sink | None:
        """Opens the sink again, when that is due."""
        if self._failed or self._clock() < self._retry.due:
            return None
        try:
            aside.call(self._open)
        except Overdue:
            raise
        except Exception as error:  # SinkError, or whatever a backend raises while its device settles
            self._notices.raise_("sink", one_line(error))
            self._retry.failed(self._clock())
        return self._sink

    def _open(self) -> None:
        self._sink = self._reopen(*self._size, self._fps)
        self.info = self._sink.info

    def _lose(self, aside: Aside, error: Exception) -> None:
        if self.info.reopens:
            self._notices.raise_("sink", f"{one_line(error)}; trying to get {self.info.name} back")
            self._retry.failed(self._clock())
        else:
            self._fail(error)
        sink, self._sink = self._sink, None
        with contextlib.suppress(Overdue):
            aside.call(lambda: self._close(sink))

    def _close_late(self, aside: Aside, sink: Sink | None) -> None:
        try:
            if aside.overdue:
                aside.settle()
        except Exception as error:  # of the last picture; no later call would raise it
            if not self.info.reopens:
                self._fail(error)
        self._close(sink or self._sink)

    def _close(self, sink: Sink | None) -> None:
        if sink is None:
            return
        try:
            sink.close()
        except Exception as error:  # it is gone either way
            if sink.info.reopens:
                self._notices.tell(f"{sink.info.name}: closing it failed: {one_line(error)}")
            else:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        known = error if isinstance(error, SinkError) else None
        self._failed = self._failed or known or SinkUnusable(f"{self.info.where}: {one_line(error)}")

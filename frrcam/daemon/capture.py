"""Reading a source for as long as it lasts, and finding it again when it is lost; a file that is played once ends."""

import threading
from collections.abc import Callable
from dataclasses import replace

from frrcam.concurrency.mailbox import Mailbox
from frrcam.concurrency.notices import Notices
from frrcam.errors import SourceError, SourceLost, one_line
from frrcam.sources.base import Source, SourceFactory

BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each attempt to re-open; the last one repeats."""
STEADY_S = 5.0
"""Seconds of pictures after which the next loss is a new one: a camera that flaps is not re-opened without pause."""
REST_S = 2.0
"""Seconds at the most for which a resting capture does not look whether it is time to stop."""
BEHIND_S = 1.0
"""Seconds that a file may fall behind before its clock is reset (a suspend, a disk asleep) instead of racing."""


class Capture:
    """The capture thread's work, without the thread.

    `wait(seconds)` returns True when it is time to stop: an Event's wait in the daemon, a fake clock's in tests.
    """

    def __init__(
        self,
        opened: Source,
        reopen: SourceFactory,
        mailbox: Mailbox,
        notices: Notices,
        clock: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> None:
        self._source: Source | None = opened
        self._reopen, self._mailbox, self._notices = reopen, mailbox, notices
        self._clock, self._wait = clock, wait
        self._lock = threading.Lock()
        self._index = self._attempt = 0
        self._wanted, self._woken = threading.Event(), False
        self._wanted.set()
        self.read_s = 0.0
        """Seconds that the last read took; of a live source, the wait for the world included."""
        self.live = opened.info.live
        self.pausing = False
        """True while a file's own clock lets the next picture wait: nothing is wrong when none comes."""
        self.failed: SourceError | None = None
        """Why a file that is played once ended before its end."""

    def run(self) -> None:
        """Reads until stopped or the end of a file, then closes source and mailbox, whatever happens."""
        try:
            while not self._wait(0):
                if not self._wanted.wait(REST_S):
                    continue
                source = self._source or self._open_again()
                if source is not None and self._play(source):
                    return
        finally:
            self.close()
            self._mailbox.close()

    def rest(self) -> None:
        """Closes the source until wake(): no program watches, and the camera's lamp goes out. From any thread."""
        if self._wanted.is_set():
            self._wanted.clear()
            self.close()

    def wake(self) -> bool:
        """Opens it again, at once; or lets a resting capture see that it is time to stop. From any thread.

        True if it was resting.
        """
        if self._wanted.is_set():
            return False
        self._attempt, self._woken = 0, True
        self._wanted.set()
        return True

    def close(self) -> None:
        """Lets go of the source. Idempotent, and from any thread: closing is what wakes a read() that hangs."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            try:
                source.close()
            except Exception as error:  # it is gone either way
                self._notices.tell(f"{source.info.name}: closing it failed: {one_line(error)}")

    def _play(self, source: Source) -> bool:
        """Plays the open source. True at its end, False if it was lost and must be opened again."""
        opened = self._clock()
        started: float | None = None
        try:
            while not self._wait(0):
                self.pausing = False  # only now: until here the last picture was on its way
                if self._source is not source:
                    return False
                before = self._clock()
                frame = source.read()
                if frame is None:
                    return True
                now = self._clock()
                self.read_s = now - before
                if not source.info.live:
                    if started is None or now - (started + frame.timestamp) > BEHIND_S:
                        started = now - frame.timestamp
                    self.pausing = True
                    if self._wait(max(0.0, started + frame.timestamp - now)):
                        return True
                if now - opened >= STEADY_S:
                    self._attempt = 0
                self._notices.clear("camera", f"{source.info.name}: pictures again")
                self._mailbox.put(replace(frame, index=self._index, timestamp=self._clock()))
                self._index += 1
            return True
        except Exception as error:  # a broken driver may raise anything; the meeting goes on
            if self._source is source and not self._wait(0):  # else it is our own closing that read() complains of
                self._lose(source, error, started is not None)
            self.close()
            return self.failed is not None

    def _lose(self, source: Source, error: Exception, gave_pictures: bool) -> None:
        """What becomes of a source that failed: the end, the same file again, or a search for the camera."""
        if source.info.ends:
            known = error if isinstance(error, SourceError) else None
            self.failed = known or SourceLost(f"{source.info.name}: {one_line(error)}")
        elif gave_pictures and not source.info.live:
            self._attempt = 0
            # never cleared, and so said once: it is the same in each round
            self._notices.raise_("file", f"{one_line(error)}; it starts over there")
        else:
            self._notices.raise_("camera", f"{one_line(error)}; trying to get {source.info.name} back")

    def _open_again(self) -> Source | None:
        """Tries until the source opens; None when it is time to stop, or when no program watches any more."""
        while not self._wait(0.0 if self._woken else BACKOFF_S[min(self._attempt, len(BACKOFF_S) - 1)]):
            if not self._wanted.is_set():
                return None
            self._attempt, self._woken = self._attempt + 1, False
            try:
                source = self._reopen()
            except Exception as error:  # SourceError, or whatever a driver raises while it settles
                self._notices.raise_("camera", one_line(error))
                continue
            with self._lock:
                self._source = source
            if not self._wanted.is_set():  # no program watches any more
                self.close()
            return source
        return None

"""What the user reads while it runs: each problem once, and once more when it is over."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from frrcam.concurrency.deadline import InlineExecutor

log = logging.getLogger("frrcam")


@dataclass(frozen=True, slots=True)
class Notice:
    """One line to the user."""

    time: float
    """Seconds since the epoch."""
    text: str


class Notices:
    """Troubles by key. `raise_` says one that is new, `clear` says that it is over; both are silent otherwise.

    Any thread may call; a `say` that fails loses the line and nothing else.
    """

    def __init__(
        self,
        wall_clock: Callable[[], float],
        say: Callable[[str], None] = log.warning,
        keep: int = 50,
        *,
        executor: Executor | None = None,
    ) -> None:
        """`executor` calls `say`, which hangs while a terminal is held: by Ctrl-S, or in Windows by selecting text."""
        self._wall_clock, self._say, self._executor = wall_clock, say, executor or InlineExecutor()
        self._lock = threading.Lock()
        self._active: dict[str, bool] = {}
        """Whether the cause of each problem has not been shown yet."""
        self._said: deque[Notice] = deque(maxlen=keep)

    @property
    def active(self) -> frozenset[str]:
        """The keys of the troubles that last."""
        with self._lock:
            return frozenset(self._active)

    def history(self) -> list[Notice]:
        """What was said, oldest first."""
        with self._lock:
            return list(self._said)

    def tell(self, text: str) -> None:
        """Says something that is no lasting trouble."""
        with self._lock:
            self._said.append(Notice(self._wall_clock(), text))
        with contextlib.suppress(RuntimeError):  # no thread can be started: the line is lost
            self._executor.submit(self._speak, text)

    def _speak(self, text: str) -> None:
        try:
            self._say(text)
        except Exception:  # a closed terminal must not end the picture
            log.debug("could not be said: %s", text, exc_info=True)

    def raise_(self, key: str, text: str, *, cause_unknown: bool = False) -> None:
        """A trouble has begun, or goes on: then nothing is said, but for the cause, once, where it was unknown."""
        with self._lock:
            new = key not in self._active or (self._active[key] and not cause_unknown)
            if new:
                self._active[key] = cause_unknown
        if new:
            self.tell(text)

    def clear(self, key: str, text: str) -> None:
        """The trouble, if there was one, is over."""
        if key not in self._active:  # the usual case, once a frame: no lock
            return
        with self._lock:
            over = self._active.pop(key, None) is not None
        if over:
            self.tell(text)

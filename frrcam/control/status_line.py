"""What `frrcam start` shows of itself while it runs: on a terminal one line, for machines one line of JSON a second."""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Self, TextIO

from frrcam.daemon.status import Status
from frrcam.say import Say

CLEAR_LINE = "\r\x1b[K"
"""What a terminal takes for: back to the line's beginning, and empty to its end."""


def columns(terminal: TextIO) -> int:
    """How wide it is; 0 where that is not known."""
    try:
        return os.get_terminal_size(terminal.fileno()).columns
    except OSError:
        return 0


class StatusLine:
    """Every second: one JSON line on stdout, or a line that rewrites itself on a terminal, or nothing.

    What else is said goes through `say`, which takes that line away first.
    """

    def __init__(
        self,
        status: Callable[[], Status],
        as_json: bool,
        say: Say,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        every_s: float = 1.0,
        width: Callable[[TextIO], int] = columns,
    ) -> None:
        """`out` and `err`: instead of the standard ones, for tests; `width`: columns of `err`, 0 if unknown."""
        self._status, self._as_json, self._say, self._every_s = status, as_json, say, every_s
        self._out, self._err, self._width = out or sys.stdout, err or sys.stderr, width
        self._shown, self._lock = False, threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frrcam-status", daemon=True)

    def say(self, text: str) -> None:
        """One line to the person, on a line of its own."""
        with self._lock:
            if self._shown:
                print(CLEAR_LINE, end="", file=self._err, flush=True)
                self._shown = False
            self._say(text)

    def __enter__(self) -> Self:
        if self._as_json or self._err.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every_s):
                self._show(self._status())
            if self._shown:
                print(file=self._err)
        except OSError as error:  # its reader has gone; a meeting does not end for that
            if self._as_json:
                _to_nowhere(self._out)
            with contextlib.suppress(OSError):
                self.say(f"the status is no longer printed ({error.strerror or error}); the pictures go on")

    def _show(self, status: Status) -> None:
        if self._as_json:
            print(json.dumps(status.model_dump(mode="json")), file=self._out, flush=True)
            return
        # of a line that runs on into a second row only that one would be cleared: the first would stay, every second
        line = summary(status)[: max(self._width(self._err) - 1, 0) or None]
        with self._lock:
            print(f"{CLEAR_LINE}{line}", end="", file=self._err, flush=True)
            self._shown = True


def _to_nowhere(stream: TextIO) -> None:
    """What the stream still holds would fail once more when the interpreter closes it."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def summary(status: Status) -> str:
    """The status on one line."""
    work = f"{status.frame_ms.get('p50', 0):.0f}/{status.frame_ms.get('p95', 0):.0f} of {status.period_ms:.0f} ms"
    faces = f"{status.faces} face{'s' * (status.faces != 1)}"
    return f"{status.state}: {status.fps:.1f} fps, {faces}, {work}, rung {status.rung} ({status.rung_reason})"

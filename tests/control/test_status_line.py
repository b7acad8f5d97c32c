import io
import json
import os
import threading

import pytest

from frrcam.control.status_line import StatusLine, columns, summary
from frrcam.daemon.status import Status

LONG = "the processor is busy; a lighter network is tried before faces are left out"


class Asked:
    """Gives a status and lets a test wait until it was asked for it so often."""

    def __init__(self) -> None:
        self.again = threading.Semaphore(0)

    def __call__(self) -> Status:
        self.again.release()
        return Status(state="running", rung_reason=LONG)

    def wait(self, times: int) -> None:
        for _ in range(times):
            assert self.again.acquire(timeout=20.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_status_lines_for_machines() -> None:
    out, asked = io.StringIO(), Asked()
    with StatusLine(asked, True, print, out=out, every_s=0.0):
        asked.wait(3)
    assert [json.loads(line)["state"] for line in out.getvalue().splitlines()[:2]] == ["running", "running"]


def test_a_reader_that_goes_away_ends_the_status_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    said, warned = list[str](), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        warned.set()

    with os.fdopen(writing, "w") as out:
        with StatusLine(Asked(), True, say, out=out, every_s=0.0):
            assert warned.wait(20.0)
        out.flush()  # as the interpreter does at its end: what was left goes nowhere
    assert said == ["the status is no longer printed (Broken pipe); the pictures go on"]


def test_what_is_said_on_a_terminal_stands_on_a_line_of_its_own() -> None:
    terminal, asked = Terminal(), Asked()
    with StatusLine(asked, False, lambda text: print(text, file=terminal), err=terminal, every_s=0.0) as line:
        asked.wait(3)
        line.say("a notice")
        asked.wait(2)
    *before, notice = terminal.getvalue().partition("a notice\n")[0].split("\r\x1b[K")
    assert notice == ""
    assert len(before) >= 2
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize(("wide", "shown"), [(40, 39), (80, 79), (400, None), (0, None)])
def test_the_line_fits_into_the_terminal(wide: int, shown: int | None) -> None:
    terminal, asked = Terminal(), Asked()
    with StatusLine(asked, False, print, err=terminal, every_s=0.0, width=lambda _: wide):
        asked.wait(3)
    whole = summary(Status(state="running", rung_reason=LONG))
    assert len(whole) > 80
    assert terminal.getvalue().split("\r\x1b[K")[1] == whole[:shown]


def test_the_width_is_the_terminals_own() -> None:
    assert columns(io.StringIO()) == 0
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        assert columns(pipe) == 0


def test_without_a_status_line_nothing_is_cleared() -> None:
    err, said = io.StringIO(), list[str]()
    with StatusLine(Asked(), False, said.append, err=err) as line:
        line.say("a notice")
    assert (err.getvalue(), said) == ("", ["a notice"])

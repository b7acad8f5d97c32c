"""How far a training has come: a bar with the time that remains on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

Report = Callable[[str], None]
Advance = Callable[[float, str], None]
"""Takes the share that is done (0…1) and a few words."""
QUIET = 60.0
"""Seconds without a line after which a log gets one that says how far it is."""


def silent(share: float, text: str) -> None:
    """No bar."""


def counted(items: Iterable[T], what: str, console: Console | None = None) -> Iterator[T]:
    """The items, whose number is not known before: on a terminal's standard error, how many have."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total=None, description=what)


class Lines:
    """For a log: the lines that are reported and, after a minute without one, how far it is and what remains."""

    def __init__(self, say: Report, clock: Callable[[], float]) -> None:
        self.say, self.clock = say, clock
        self.said = clock()
        self.began: tuple[float, float] | None = None
        """When it advanced first, and what share was done: of a training that goes on, not none."""

    def report(self, line: str) -> None:
        self.say(line)
        self.said = self.clock()

    def advance(self, share: float, text: str) -> None:
        now = self.clock()
        self.began = since, first = self.began or (now, share)
        if now - self.said >= QUIET and share > first:
            left = (now - since) * (1 - share) / (share - first) / 60
            self.report(f"{text}, {left:.0f} min left")


@contextmanager
def shown(
    console: Console | None = None, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[Report, Advance]]:
    """Where a training reports lines and how far it is; the bar is gone when the training ends. quiet: nowhere."""
    console = console or Console(highlight=False, soft_wrap=True, quiet=quiet)
    if quiet or not console.is_terminal:
        lines = Lines(lambda line: console.print(line, markup=False), clock)
        yield lines.report, lines.advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def advance(share: float, text: str) -> None:
            bar.update(task, completed=share, description=text)

        yield lambda line: console.print(line, markup=False), advance


def stepped(steps: Sequence[int], what: str, console: Console | None = None) -> Iterator[int]:
    """The positions it is given; how far it is with them stands on standard error."""
    with shown(console or Console(stderr=True, highlight=False, soft_wrap=True)) as (_, advance):
        for done, step in enumerate(steps):
            advance(done / len(steps), what)
            yield step

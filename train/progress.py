"""How far a training has come: a bar with the time that remains on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterable, Iterator
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


def silent(share: float, text: str) -> None:
    """No bar."""


def counted(items: Iterable[T], what: str, console: Console | None = None) -> Iterator[T]:
    """The items, of which nobody knows how many will come: on a terminal's standard error, how many have."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total=None, description=what)


@contextmanager
def shown(console: Console | None = None, *, quiet: bool = False) -> Iterator[tuple[Report, Advance]]:
    """Where a training reports lines and how far it is; the bar is gone when the training ends. quiet: nowhere."""
    console = console or Console(highlight=False, soft_wrap=True, quiet=quiet)
    if quiet or not console.is_terminal:
        yield lambda line: console.print(line, markup=False), silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def advance(share: float, text: str) -> None:
            bar.update(task, completed=share, description=text)

        yield lambda line: console.print(line, markup=False), advance

"""What the user sees while `enhance` works: a bar on a terminal, nothing in a pipe."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from frrcam.closing import Closing


class Monitor(Protocol):
    """Gets every file and frame; used as a context manager around all of them."""

    def expect(self, files: int) -> None:
        """How many files follow; called once, before the first."""

    def begin(self, source: Path, frames: int | None) -> None:
        """A file is begun; `frames` is how many pictures it should have, None if that is not known."""

    def advance(self) -> None:
        """One more picture of it is done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent(Closing):
    """Shows nothing."""

    def expect(self, files: int) -> None:
        """Shows nothing."""

    def begin(self, source: Path, frames: int | None) -> None:
        """Shows nothing."""

    def advance(self) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Shows nothing."""


class Bar(Closing):
    """Frames done and to do, frames a second, time remaining; of several files, how many are done.

    Invisible where the console is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._progress.add_task("all files", visible=False, unit="files")
        self._task = self._progress.add_task("", visible=False)
        self._files, self._begun = 1, 0
        self._progress.start()

    def expect(self, files: int) -> None:
        self._files = files
        self._progress.update(self._all, total=files, visible=files > 1)

    def begin(self, source: Path, frames: int | None) -> None:
        self._progress.update(self._all, completed=self._begun)
        self._begun += 1
        name = f"{self._begun} of {self._files}: {source.name}" if self._files > 1 else source.name
        self._progress.reset(self._task, total=frames, description=name, visible=True)

    def advance(self) -> None:
        self._progress.advance(self._task)

    def close(self) -> None:
        self._progress.stop()


class _Speed(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed and "unit" not in task.fields else "")

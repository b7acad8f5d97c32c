"""What every command prints with, and the one way in which it fails."""

import contextlib
import json
from typing import NoReturn

import typer
from rich.console import Console, RenderableType

from frrcam.errors import FrrcamError


class _UserConsole(Console):
    """Raises BrokenPipeError when the reader has gone; rich would end the process, and the picture with it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out, err = Console(), _UserConsole(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to the user, on standard error. If that is closed, the line is lost."""
    with contextlib.suppress(OSError):
        err.print(f"frrcam: {text}", markup=False)


def say_error(text: str) -> None:
    """What is wrong, on one line."""
    say(f"error: {' '.join(text.split())}")


def fail(error: FrrcamError) -> NoReturn:
    """The one way in which a command fails: one line, and the error's exit code."""
    say_error(str(error))
    raise typer.Exit(error.exit_code)


def show(*lines: RenderableType) -> None:
    """What was asked for, to standard output; a line of text stays one, however narrow the terminal."""
    for line in lines:
        if isinstance(line, str):
            out.print(line, markup=False, soft_wrap=True)
        else:
            out.print(line)


def print_json(value: object) -> None:
    """To standard output, as it is."""
    out.file.write(json.dumps(value, indent=2, default=str) + "\n")
    out.file.flush()  # a full disk raises here, while the error can still be shown

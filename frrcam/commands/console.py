"""What every command prints with, and the one way in which it fails."""

import json
import sys
from typing import NoReturn

import typer
from rich.console import Console

from frrcam.errors import FrrcamError

out, err = Console(), Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to the person, beside whatever goes to standard output."""
    err.print(f"frrcam: {text}", markup=False)


def say_error(text: str) -> None:
    """What is wrong, on one line."""
    say(f"error: {' '.join(text.split())}")


def fail(error: FrrcamError) -> NoReturn:
    """The one way in which a command fails: one line, and the error's exit code."""
    say_error(str(error))
    raise typer.Exit(error.exit_code)


def print_json(value: object) -> None:
    """To standard output, as it is."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")

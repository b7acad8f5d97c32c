"""The console script: puts the commands together, and makes one line of whatever is wrong."""

import io
import logging
import os
import sys
from typing import Annotated

import typer

from frrcam.commands import live, machine, models, offline, service
from frrcam.commands.console import err, say_error, show
from frrcam.concurrency.deadline import any_hangs
from frrcam.errors import FrrcamError

app = typer.Typer(
    name="frrcam",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A virtual camera that restores and relights faces, live, on this machine alone.

    **First:** `frrcam start`, then choose **FRR Camera** as the camera in the meeting.

    `frrcam doctor` shows what is missing on this machine, and how to fix it.

    What is always to be so stands in `~/.config/frrcam/config.toml`: see README.""",
)
for command in (
    live.start,
    offline.bench,
    offline.enhance,
    machine.devices,
    machine.doctor,
    live.status,
    machine.setup,
):
    app.command()(command)
app.add_typer(models.app, name="models", help="The networks in weights/, with figures and licences.")
app.add_typer(service.app, name="service", help="frrcam as a service of your own systemd: there after every login.")


def _tell_version(asked: bool) -> None:
    if asked:
        from frrcam.daemon.status import version

        show(f"frrcam {version()}")
        raise typer.Exit


@app.callback()
def frrcam(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Takes what belongs to no command; its help is the app's."""


def main() -> None:
    """The console script: whatever is wrong is one line."""
    _open_what_is_closed()
    logging.basicConfig(format="frrcam: %(message)s")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: an arrow where there is none ends nothing
    try:
        code = app(standalone_mode=False)
    except FrrcamError as error:
        say_error(str(error))
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except OSError as error:  # what the system refuses is no fault of ours, such as standard output on a full disk
        nameless = "the current folder" if isinstance(error, FileNotFoundError) else "standard output"
        say_error(f"{error.filename or nameless}: {error.strerror or error}")
        code = 1
    except (ImportError, MemoryError) as error:
        code = _lacking(error)
    except Exception as error:
        code = _misuse(error)
    status = code if isinstance(code, int) else 0
    if any_hangs():  # in a driver or a network: it would abort the process when the interpreter is taken down
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _open_what_is_closed() -> None:
    """Else the first file opened gets the number of a standard stream that was closed, and what libraries print."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _lacking(error: ImportError | MemoryError) -> int:
    """Says in one line what the machine lacks: a library, or the memory for it."""
    if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # while a library was loaded
        return 130
    text = " ".join(str(error).split())
    line = f"a library cannot be loaded: {text}" if isinstance(error, ImportError) else "there is not enough memory"
    if isinstance(error, MemoryError) or "failed to map" in text:
        line += "; frrcam takes about 1 GB of address space (see: ulimit -v)"
    print(f"frrcam: error: {line}", file=sys.stderr)  # to print as usual takes more to be loaded
    return 1


def _misuse(error: Exception) -> int:
    """Says what is wrong with the command line in one line; anything but that is a fault of ours and goes on up."""
    message, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
    if message is None or code is None:  # typer carries a click of its own, whose error classes it does not export
        raise error
    context = getattr(error, "ctx", None)
    if len(sys.argv) > 1:
        command = context.command_path if context else "frrcam"
        say_error(f"{message().rstrip('.')}{_given(error)}. See: {command} --help")
    else:
        err.print(message(), markup=False)
    return int(code)


def _given(error: Exception) -> str:
    """The value that was refused, where its refusal does not tell it."""
    faults = getattr(error.__cause__, "errors", None)
    return f" (given: {faults()[0]['input']})" if faults else ""

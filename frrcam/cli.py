"""The console script: puts the commands together, and makes one line of whatever is wrong."""

import os
import sys

import typer

from frrcam.commands import live, machine, models, offline, service
from frrcam.commands.console import err, say_error
from frrcam.errors import FrrcamError
from frrcam.runtime.aside import any_hangs

app = typer.Typer(
    name="frrcam",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A virtual camera that restores and relights faces, live, on this machine alone.

    **First:** `frrcam start`, then choose **FRR Camera** as the camera in the meeting.

    `frrcam doctor` tells what is missing on this machine, and the command that mends it.""",
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


def main() -> None:
    """The console script: whatever is wrong is one line."""
    try:
        code = app(standalone_mode=False)
    except FrrcamError as error:
        say_error(str(error))
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Exception as error:
        code = _misuse(error)
    status = code if isinstance(code, int) else 0
    if any_hangs():  # in a driver or a network: it would abort the process when the interpreter is taken down
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _misuse(error: Exception) -> int:
    """Says what is wrong with the command line in one line; anything but that is a fault of ours and goes on up."""
    message, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
    if message is None or code is None:  # typer carries a click of its own, whose error classes it does not export
        raise error
    context = getattr(error, "ctx", None)
    if len(sys.argv) > 1:
        command = context.command_path if context else "frrcam"
        say_error(f"{message()} See: {command} --help")
    else:
        err.print(message(), markup=False)
    return int(code)

"""`frrcam service`: install, remove, status, logs."""

from typing import Annotated

import typer

from frrcam.commands.console import fail, print_json, say, show
from frrcam.commands.options import Json
from frrcam.errors import FrrcamError

app = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@app.callback()
def service(context: typer.Context) -> None:
    """The service; by itself, how it is."""
    if not context.invoked_subcommand:
        service_status()


@app.command("install")
def service_install() -> None:
    """Start frrcam now and after every login. It reads config.toml."""
    from frrcam.install.service import install

    try:
        install(say)
    except FrrcamError as error:
        fail(error)


@app.command("remove")
def service_remove() -> None:
    """Stop it, and take the unit away."""
    from frrcam.install.service import remove

    try:
        remove(say)
    except FrrcamError as error:
        fail(error)


@app.command("status")
def service_status(as_json: Json = False) -> None:
    """What systemd says of it, and the daemon of itself. Exit code 1 unless it runs."""
    from frrcam.control.status_line import summary
    from frrcam.install.service import status

    try:
        answer = status()
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(answer.as_json())
    else:
        show(str(answer), *([summary(answer.daemon)] if answer.daemon else []))
    raise typer.Exit(0 if answer.active else 1)


@app.command("logs")
def service_logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many, to begin with.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """What it has said."""
    from frrcam.install.service import logs

    try:
        logs(lines, follow)
    except FrrcamError as error:
        fail(error)

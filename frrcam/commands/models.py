"""`frrcam models`: what there is, and fetch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from frrcam.commands.console import err, fail, out, print_json, say, show
from frrcam.commands.options import Json
from frrcam.errors import DownloadError, FrrcamError

if TYPE_CHECKING:
    from frrcam.restore.download import Report

app = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """The networks in weights/, with figures and licences; `frrcam models fetch NAME` gets another detector."""
    if context.invoked_subcommand:
        return
    from frrcam.commands.tables import model_table
    from frrcam.restore import models as known

    try:
        entries = [*known.load_manifest().models.values(), *known.fetched()]
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(known.as_json(entries))
    else:
        show(model_table(entries, out.width))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="buffalo_s (128 MB) or buffalo_sc (15 MB): the same detector.")],
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence (non-commercial research only).")] = False,
    archive: Annotated[Path | None, typer.Option("--from", help="The pack's zip, brought by other means.")] = None,
) -> None:
    """Get InsightFace's detector, after showing its licence. frrcam does not need it.

    To find faces with it:

        frrcam models fetch buffalo_sc
        FRRCAM_FACES__DETECTOR=buffalo_sc frrcam start

    Only this command ever downloads anything.
    """
    from frrcam.restore import download

    def consent(text: str) -> bool:
        say(text)
        try:
            return yes or typer.confirm("Accept?", err=True)
        except typer.Abort as ended:
            if not isinstance(ended.__context__, EOFError):  # Ctrl-C
                raise
            typer.echo(err=True)
            raise DownloadError(
                f"{name} was not fetched: no answer to the licence question; --yes accepts it"
            ) from None

    try:
        with progress_bar(name, err) as report:
            path = download.fetch(download.find_pack(name), consent, archive=archive, report=report)
    except FrrcamError as error:
        fail(error)
    say(f"{name}: {path}")


@contextlib.contextmanager
def progress_bar(name: str, console: Console | None = None) -> Iterator["Report"]:
    """A bar with size, speed and remaining time, as `fetch`'s report; drawn only once bytes come."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)
    task = progress.add_task(name, total=None)

    def report(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        progress.stop()

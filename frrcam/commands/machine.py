"""The machine that it runs on: devices, doctor and setup."""

from typing import Annotated

import typer

from frrcam.commands.console import fail, print_json, say, show
from frrcam.commands.options import Json
from frrcam.errors import FrrcamError


def devices(as_json: Json = False) -> None:
    """List cameras (formats, sizes, rates, who uses them) and virtual cameras (label, node, state)."""
    from frrcam.commands.tables import device_tables
    from frrcam.linux import devices as found

    try:
        cameras, virtual = found.list_cameras(), found.list_virtual_cameras()
    except FrrcamError as error:
        fail(error)
    if as_json:
        print_json(found.as_json(cameras, virtual))
    else:
        show(*device_tables(cameras, virtual))


def doctor(as_json: Json = False) -> None:
    """Show what is right and wrong on this machine, and how to fix it. Exit code 1 if anything is wrong."""
    from frrcam.commands.tables import finding_table
    from frrcam.install import doctor as ward

    findings = ward.examine()
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        show(finding_table(findings))
    raise typer.Exit(1 if any(finding.status == "bad" for finding in findings) else 0)


def setup(
    remove: Annotated[bool, typer.Option("--remove", help="Undo all of it.")] = False,
    label: Annotated[
        str | None, typer.Option("--label", help='What meeting programs list; default "FRR Camera".')
    ] = None,
    video_nr: Annotated[int | None, typer.Option("--video-nr", help="N of /dev/videoN; default: free from 40.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    shown: Annotated[bool, typer.Option("--shown", hidden=True)] = False,
) -> None:
    """Make the virtual camera on Linux, now and for every boot: three files under /etc, and the kernel module.

    Shows each change first and asks for root only for that; `--remove` undoes all of it.
    """
    from frrcam.install.setup import SetupOptions
    from frrcam.install.setup import setup as run

    try:
        run(SetupOptions(label, video_nr, remove, dry_run, shown), say)
    except FrrcamError as error:
        fail(error)

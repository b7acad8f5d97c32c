"""`frrcam doctor`: what is right and wrong on this machine, and the command that mends it.

Each check looks at one thing through `Probes` and never changes anything; what it cannot look at, it says.
"""

from collections.abc import Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table

from frrcam.errors import FrrcamError
from frrcam.install.doctor import computer, linux
from frrcam.install.doctor.finding import Finding, Probes, Status

__all__ = ["Finding", "Probes", "Status", "as_table", "examine"]

CHECKS: Final = (
    linux.kernel,
    computer.cameras,
    computer.permissions,
    computer.processor,
    computer.providers,
    computer.models,
    computer.packages,
    linux.pipewire,
    linux.user_service,
)
"""In the order in which a person would mend what they find."""


def examine(probes: Probes | None = None) -> list[Finding]:
    """Everything worth knowing. Raises nothing."""
    probes = probes or Probes()
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings.extend(check(probes))
        except (FrrcamError, OSError) as error:
            findings.append(Finding(check.__name__, "bad", f"cannot be examined: {error}"))
    return findings


def as_table(findings: Sequence[Finding]) -> Table:
    """For people; each remedy stands under what it mends."""
    marks = {"ok": "[green]ok[/]", "info": "[dim]info[/]", "warn": "[yellow]warn[/]", "bad": "[red]bad[/]"}
    table = Table(show_header=False, box=None)
    for _ in range(3):
        table.add_column(overflow="fold")  # of a command, no letter may go
    for finding in findings:
        mend = f"\n[bold]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(marks[finding.status], escape(finding.title), escape(finding.detail) + mend)
    return table

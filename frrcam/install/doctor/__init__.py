"""`frrcam doctor`: what is right and wrong on this machine, and how to fix it.

Each check looks at one thing through `Probes` and never changes anything; what it cannot look at, it says.
"""

from typing import Final

from frrcam.errors import FrrcamError
from frrcam.install.doctor import computer, linux
from frrcam.install.doctor.finding import Finding, Probes, Status

__all__ = ["Finding", "Probes", "Status", "examine"]

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
"""In the order in which a user would fix what they find."""


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

"""Running other programs, where tests put their own answers."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where modprobe lies, which is on no ordinary user's PATH."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    code: int
    """0 is well; 127: there is no such program."""
    output: str = ""
    """What it printed, both streams, stripped; "" where it printed to the person."""

    @property
    def last_line(self) -> str:
        """The line that says why, as programs usually end with it."""
        return self.output.splitlines()[-1] if self.output else f"exit code {self.code}"


Runner = Callable[[Sequence[str], bool], Ran]
"""(command, captured): captured output comes back, other output goes to the person, who may be asked things."""


def run(command: Sequence[str], captured: bool = True) -> Ran:
    """Runs it to its end. Messages come in English: they are looked at."""
    path = find(command[0])
    if path is None:
        return Ran(127, f"{command[0]}: not found")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"} if captured else None
    pipe, errors = (subprocess.PIPE, subprocess.STDOUT) if captured else (None, None)
    try:
        done = subprocess.run(
            [path, *command[1:]], stdout=pipe, stderr=errors, env=environment, text=True, errors="replace", check=False
        )
    except OSError as error:
        return Ran(126, f"{command[0]}: {error.strerror}")
    return Ran(done.returncode, (done.stdout or "").strip())


def find(program: str) -> str | None:
    """Where a program lies, or None."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SBIN}")

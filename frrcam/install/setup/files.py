"""The files that frrcam puts on a system: made from the ones in systemd/, written whole, taken away exactly.

Each carries a marker line; a file without it was not written by frrcam and is never touched.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from frrcam.atomic import replacing
from frrcam.errors import SinkForbidden, SinkUnusable
from frrcam.linux.v4l2 import System

MARKER: Final = "# Written by frrcam; "
"""How the first line of every such file begins."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file that is to become another."""

    path: str
    """Absolute, on the machine that is set up."""
    before: str | None
    """None: it is not there."""
    after: str | None
    """None: it is taken away."""

    def __str__(self) -> str:
        """For people: what happens to which file, and how its lines change."""
        if self.after is None:
            return f"remove {self.path}"
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        if self.before is None:
            return "\n".join([f"write {self.path}", *(f"    {line}" for line in new)])
        lines = [line for line in difflib.ndiff(old, new) if line[:1] in "+-"]
        return "\n".join([f"change {self.path}", *(f"    {line}" for line in lines)])


def template(name: str) -> str:
    """A file of systemd/: inside the installed package, or the checkout's. Raises SinkUnusable if it is not there."""
    packaged = Path(__file__).parents[2] / "_systemd"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "systemd"
    try:
        return (folder / name).read_text("utf-8")
    except OSError:
        raise SinkUnusable(f"{folder / name} is missing from this installation: reinstall frrcam") from None


def ours(text: str | None) -> bool:
    """True if frrcam wrote it."""
    return text is not None and text.startswith(MARKER)


def writing(path: str, text: str, system: System) -> Change | None:
    """The change that makes the file read `text`; None if it does. Raises SinkUnusable if frrcam did not write it."""
    before = read(path, system)
    if before == text:
        return None
    if before is not None and not ours(before):
        raise SinkUnusable(f"{path} is there and was not written by frrcam: move it away first, then try again")
    return Change(path, before, text)


def removing(path: str, system: System) -> Change | None:
    """The change that takes the file away; None if it is not there or frrcam did not write it."""
    before = read(path, system)
    return Change(path, before, None) if ours(before) else None


def read(path: str, system: System) -> str | None:
    """The file as it is, or None. Raises SinkForbidden if it is there and cannot be read."""
    try:
        return system.path(path).read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkForbidden(f"{path}: cannot be read: {error.strerror}") from error


def apply(change: Change, system: System) -> None:
    """Makes it so: whole or not at all, mode 0644. Raises SinkForbidden with the system's reason."""
    place = system.path(change.path)
    try:
        if change.after is None:
            place.unlink(missing_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, change.after)
    except OSError as error:
        verb = "removed" if change.after is None else "written"
        raise SinkForbidden(f"{change.path}: cannot be {verb}: {error.strerror}") from error


def _write(place: Path, text: str) -> None:
    # the part file is not named *.conf or *.rules: the system does not read it before it is complete
    with replacing(place, durable=True) as part:
        part.chmod(0o644)
        part.write_text(text, encoding="utf-8")

"""What Linux tells of its video devices without being asked by ioctl: the trees under /sys, /dev/v4l and /proc.

Standard library only, read through the same `System` as v4l2.py.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from frrcam.linux.v4l2 import LINUX, System

SOUND_SINCE: Final = (0, 13)
"""The first v4l2loopback that loses no ability, and tells who watches."""


@dataclass(frozen=True, slots=True)
class Node:
    """One /dev/videoN."""

    number: int
    path: str
    """ "/dev/video0" """
    name: str
    """What the driver calls it; several nodes of one device may share it."""
    index: int
    """Which of its device's nodes it is; 0 is the one with the pictures."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a node open, whether or not it streams."""

    pid: int
    program: str

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Loopback:
    """What v4l2loopback tells of one device; "" where this version does not."""

    state: str
    """"capture" while a producer holds it, else "output"."""
    format: str


@dataclass(frozen=True, slots=True)
class Module:
    """The kernel module v4l2loopback as it is loaded."""

    version: str
    """"" where the module does not say."""
    parameters: dict[str, str]

    @property
    def release(self) -> tuple[int, ...]:
        """(0, 13) of "0.13.2"; () where it does not say, which is less than any."""
        return tuple(int(digits) for digits in re.findall(r"\d+", self.version)[:2])


def nodes(system: System = LINUX) -> tuple[Node, ...]:
    """All video nodes by number, metadata nodes included; none where there is no Video4Linux."""
    folder = system.path("/sys/class/video4linux")
    found = []
    for entry in _entries(folder):
        digits = entry.name.removeprefix("video")
        if entry.name.startswith("video") and digits.isdecimal():
            home = f"/sys/class/video4linux/{entry.name}"
            found.append(
                Node(
                    number=int(digits),
                    path=f"/dev/{entry.name}",
                    name=system.read(f"{home}/name") or entry.name,
                    index=_integer(system.read(f"{home}/index")) or 0,
                )
            )
    return tuple(sorted(found, key=lambda node: node.number))


def links(node: str, system: System = LINUX) -> tuple[str, ...]:
    """The names under /dev/v4l/by-id, then by-path, that lead to the node and stay its own when numbers change."""
    target = os.path.realpath(system.path(node))
    return tuple(
        f"/dev/v4l/{kind}/{entry.name}"
        for kind in ("by-id", "by-path")
        for entry in sorted(_entries(system.path(f"/dev/v4l/{kind}")))
        if os.path.realpath(entry) == target
    )


def holders(node: str, system: System = LINUX) -> tuple[Holder, ...]:
    """The other processes that have the node open, as far as /proc may be read: for most users, their own."""
    found = []
    for process in _entries(system.path("/proc")):
        if process.name.isdecimal() and int(process.name) != system.pid and _holds(process, node):
            name = system.read(f"/proc/{process.name}/comm") or "a program"
            found.append(Holder(int(process.name), name))
    return tuple(sorted(found, key=lambda holder: holder.pid))


def loopback(number: int, system: System = LINUX) -> Loopback | None:
    """The attributes v4l2loopback gives its device videoN; None if another driver's device or none is there."""
    home = f"/sys/devices/virtual/video4linux/video{number}"
    carried = system.read(f"{home}/format")
    if carried is None and system.read(f"{home}/max_openers") is None:
        return None
    return Loopback(system.read(f"{home}/state") or "", carried or "")


def module(name: str = "v4l2loopback", system: System = LINUX) -> Module | None:
    """The kernel module and its parameters; None while it is not loaded."""
    home = system.path(f"/sys/module/{name}")
    if not home.is_dir():
        return None
    values = {
        entry.name: system.read(f"/sys/module/{name}/parameters/{entry.name}")
        for entry in _entries(home / "parameters")
    }
    return Module(
        system.read(f"/sys/module/{name}/version") or "",
        {name: value for name, value in sorted(values.items()) if value is not None},
    )


def _holds(process: Path, node: str) -> bool:
    for descriptor in _entries(process / "fd"):
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) == node:
                return True
    return False


def _entries(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing where it is not there or may not be read."""
    with contextlib.suppress(OSError):
        yield from folder.iterdir()


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None

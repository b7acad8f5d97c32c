"""Does anybody watch the virtual camera? And, from that, is the real camera to run?

v4l2loopback 0.13 and later tells it by a private event: sent when a reader starts or stops to stream, and not to a
program that only opens the device to list it. For older ones, the open descriptors of other programs are looked at.
Where even those cannot be seen, somebody is taken to be watching.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Final, Protocol

from frrcam.errors import SinkLost
from frrcam.sources.base import Closing
from frrcam.sysfs import holders
from frrcam.v4l2 import LINUX, System, dequeue_event, subscribe_event, wait_for_event

CLIENT_USAGE: Final = 0x0800_0000 + 0x08E0_0000 + 1
"""V4L2_EVENT_PRI_CLIENT_USAGE of v4l2loopback.c: V4L2_EVENT_PRIVATE_START, its own offset, one. In no header."""
LOOK_S: Final = 1.0
"""Seconds between looks at who has the device open, while nobody has."""
SURE_S: Final = 0.25
"""Seconds after which whoever has just opened it must still have it open to count."""
BYSTANDERS: Final = frozenset({"wireplumber", "pipewire-media-"})
"""Programs that keep cameras open to list them (their names in /proc end after 15 letters)."""
GRACE_S: Final = 10.0
"""Seconds for which the camera goes on after the last reader: a meeting program that changes a setting comes back."""


class Consumers(Protocol):
    """Who reads the virtual camera. Asked from one thread."""

    @property
    def how(self) -> str:
        """How it is known, for people: one phrase."""

    def watching(self, timeout: float) -> bool:
        """True if somebody reads now. Waits up to `timeout` seconds for that to change; 0 does not wait.

        Raises SinkLost when the device is gone.
        """

    def close(self) -> None:
        """Lets go of the device. Idempotent."""


def open_consumers(
    node: str,
    system: System = LINUX,
    *,
    wait_for_event: Callable[[int, float], bool] = wait_for_event,
    wait: Callable[[float], object],
    clock: Callable[[], float],
) -> Consumers:
    """The best that this machine can tell about the readers of `node`, e.g. /dev/video10; always something.

    `wait(seconds)` may come back early, as an Event's does when it is time to stop.
    """
    try:
        return ClientEvents(node, system, wait_for_event)
    except OSError:  # the module is too old, or has no room for another opener
        if sees_others(system):
            return Holders(node, system, wait, clock)
        return AlwaysWatched(wait)


class ClientEvents(Closing):
    """Told by v4l2loopback 0.13 and later, through a descriptor of its own that never streams."""

    how = "v4l2loopback tells who watches"

    def __init__(
        self, node: str, system: System = LINUX, wait_for_event: Callable[[int, float], bool] = wait_for_event
    ) -> None:
        """Raises OSError: EINVAL from an older module, EBUSY where max_openers is reached."""
        self._node, self._system, self._wait = node, system, wait_for_event
        self._readers = 0
        self._fd = system.open(str(system.path(node)), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            subscribe_event(system, self._fd, CLIENT_USAGE)
        except OSError:
            self.close()
            raise

    def watching(self, timeout: float) -> bool:
        if self._fd < 0:
            raise SinkLost(f"{self._node}: is closed")
        try:
            if not self._wait(self._fd, timeout):
                return self._readers > 0
            while (event := dequeue_event(self._system, self._fd)) is not None:
                self._readers = event.value
        except OSError as error:
            raise SinkLost(f"{self._node} is gone: {os.strerror(error.errno or errno.ENODEV)}") from error
        return self._readers > 0

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._system.close(fd)


class Holders(Closing):
    """Guessed for older modules: a program that has the device open at two looks in a row is watching.

    Sees what /proc shows to this user: not the programs of others.
    """

    how = "who has it open is looked at; v4l2loopback 0.13 would tell"

    def __init__(
        self, node: str, system: System = LINUX, *, wait: Callable[[float], object], clock: Callable[[], float]
    ) -> None:
        self._node, self._system, self._wait, self._clock = node, system, wait, clock
        self._seen: frozenset[int] = frozenset()
        self._watching = False
        self._due = clock()

    def watching(self, timeout: float) -> bool:
        until = self._clock() + timeout
        while (now := self._clock()) < self._due and now < until:
            before = self._watching
            self._wait(min(self._due, until) - now)
            if self._clock() <= now:  # told to stop waiting
                return before
        if self._clock() >= self._due:
            self._look()
        return self._watching

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        if not self._system.path(self._node).exists():
            raise SinkLost(f"{self._node} is gone")
        found = holders(self._node, self._system)
        now = frozenset(holder.pid for holder in found if holder.program not in BYSTANDERS)
        self._watching = bool(now & self._seen)
        unsure = bool(now) != self._watching
        self._seen = now
        self._due = self._clock() + (SURE_S if unsure else LOOK_S)


class AlwaysWatched(Closing):
    """Nothing can be known, so somebody is."""

    how = "it cannot be told who watches, so the camera stays on"

    def __init__(self, wait: Callable[[float], object]) -> None:
        """`wait` is never called: what cannot change need not be waited for."""
        self._wait = wait

    def watching(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""

"""Does anybody watch the virtual camera? And, from that, is the real camera to run?

v4l2loopback 0.13 and later tells it by a private event: sent when a reader starts or stops to stream, and not to a
program that only opens the device to list it. For older ones, the open descriptors of other programs are looked at.
Where even those cannot be seen, a reader is assumed.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from frrcam.closing import Closing
from frrcam.errors import SinkLost
from frrcam.linux.v4l2 import LINUX, System, dequeue_event, subscribe_event, wait_for_event
from frrcam.sinks.base import WatchedSink

CLIENT_USAGE: Final = 0x0800_0000 + 0x08E0_0000 + 1
"""V4L2_EVENT_PRI_CLIENT_USAGE of v4l2loopback.c: V4L2_EVENT_PRIVATE_START, its own offset, one. In no header."""
LOOK_S: Final = 1.0
"""Seconds between looks at who has the device open; more where a look takes longer than LOOK_SHARE of that."""
LOOK_SHARE: Final = 0.008
"""Share of a core that looking may take."""
SURE_S: Final = 0.25
"""Seconds after which a program that has just opened it must still have it open to count."""
BYSTANDERS: Final = frozenset({"wireplumber", "pipewire-media-"})
"""Programs that may keep cameras open to list them; the kernel cuts names after 15 letters."""
GRACE_S: Final = 10.0
"""Seconds for which the camera goes on after the last reader: a meeting program that changes a setting comes back."""


class Consumers(Protocol):
    """Who reads the virtual camera. Asked from one thread."""

    @property
    def how(self) -> str:
        """How it is known, for people: one phrase."""

    def watching(self, timeout: float) -> bool:
        """True if a program reads now. Waits for that to change, `timeout` seconds at the most; 0 does not wait.

        Raises SinkLost when the device is gone.
        """

    def close(self) -> None:
        """Lets go of the device. Idempotent."""


def open_consumers(
    node: str,
    system: System = LINUX,
    *,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> "ClientEvents | Openers | AlwaysWatched":
    """The best that this machine can tell about the readers of `node`, e.g. /dev/video10; always something.

    `wait(seconds)` may come back early, as an Event's does when it is time to stop.
    """
    try:
        return ClientEvents(node, system)
    except OSError:  # the module is too old, or has no room for another opener
        if sees_others(system):
            return Openers(node, system, wait, clock)
        return AlwaysWatched()


class ClientEvents(Closing):
    """Events of v4l2loopback 0.13 and later, through a descriptor of its own that never streams."""

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


class Openers(Closing):
    """Guessed for older modules: a program that has the device open at two looks in a row is watching.

    Sees what /proc shows to this user: not the programs of others.
    """

    how = "who has it open is looked at, since v4l2loopback does not tell"

    def __init__(self, node: str, system: System, wait: Callable[[float], object], clock: Callable[[], float]) -> None:
        self._node, self._system, self._wait, self._clock = node, system, wait, clock
        self._seen: frozenset[int] = frozenset()
        self._watching = False
        self._due = clock()

    def watching(self, timeout: float) -> bool:
        rest = min(self._due - self._clock(), timeout)
        if rest > 0:
            self._wait(rest)
        if self._clock() >= self._due:
            self._look()
        return self._watching

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        if not self._system.path(self._node).exists():
            raise SinkLost(f"{self._node} is gone")
        before = self._clock()
        try:
            now = frozenset(openers(self._node, self._system))
        except OSError:  # to look takes a descriptor, and none may be left: then it is as it was
            now = self._seen
        after = self._clock()
        self._watching = bool(now & self._seen)
        sure = bool(now) == self._watching
        self._due = after + max(LOOK_S if sure else SURE_S, (after - before) / LOOK_SHARE)
        self._seen = now


class AlwaysWatched(Closing):
    """Nothing can be known, so a reader is assumed."""

    how = "it is not known which programs watch, so the camera stays on"

    def watching(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


class SinkReaders(Closing):
    """Asks the sink itself, which the sink worker closes."""

    def __init__(self, sink: WatchedSink) -> None:
        self.how = sink.how
        self._sink = sink

    def watching(self, timeout: float) -> bool:
        return self._sink.watching(timeout)

    def close(self) -> None:
        """Nothing is held."""


class FakeConsumers(Closing):
    """A program watches while `readers` says so; the device is gone once `gone` does. For tests."""

    how = "fake"

    def __init__(self, readers: bool = False, wait: Callable[[float], object] = lambda _: None) -> None:
        """`wait` is called with each timeout: a test's clock may turn there, or a program begin to watch."""
        self.readers, self.gone, self.closed = readers, False, 0
        self._wait = wait

    def watching(self, timeout: float) -> bool:
        if timeout > 0:
            self._wait(timeout)
        if self.gone or self.closed:
            raise SinkLost("fake: the virtual camera is gone")
        return self.readers

    def close(self) -> None:
        self.closed += 1


class OnDemand:
    """Whether the camera must run: at once when a program watches, and for a grace time after the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, grace_s: float = GRACE_S) -> None:
        self.on = False
        """What update() said last."""
        self._clock, self._grace_s = clock, grace_s
        self._watching = False
        self._since = clock()

    def update(self, watching: bool) -> bool:
        """Takes what Consumers.watching() says, as often as it is known; True while the camera is to run."""
        now = self._clock()
        if watching != self._watching:
            self._watching, self._since = watching, now
        if watching or now - self._since >= self._grace_s:
            self.on = watching
        return self.on


def openers(node: str, system: System = LINUX) -> Iterator[int]:
    """The other processes that have the node open and may be watching: process ids, as far as /proc may be read.

    The same as sysfs.holders() without its objects: this is asked every second, of thousands of descriptors.
    """
    proc = str(system.path("/proc"))
    for process in os.listdir(proc):
        if not process.isdecimal() or int(process) == system.pid:
            continue
        if node in _targets(f"{proc}/{process}/fd") and system.read(f"/proc/{process}/comm") not in BYSTANDERS:
            yield int(process)


def sees_others(system: System = LINUX) -> bool:
    """True if the open descriptors of at least one other process can be seen; in a sandbox they cannot."""
    proc = system.path("/proc")
    try:
        processes = [entry for entry in os.listdir(proc) if entry.isdecimal() and int(entry) != system.pid]
    except OSError:
        return False
    return any(any(_targets(f"{proc}/{process}/fd")) for process in processes)


def _targets(folder: str) -> Iterator[str]:
    """Where the links of a folder lead; nothing where it may not be read or goes while we look."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(f"{folder}/{entry}")

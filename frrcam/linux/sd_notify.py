"""Notifications to systemd: the datagrams of sd_notify(3), the watchdog of sd_watchdog_enabled(3); no library."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from frrcam.closing import Closing

log = logging.getLogger("frrcam")

FEEDS: Final = 2
"""Signs of life in one watchdog interval, as sd_watchdog_enabled(3) advises."""


class Notifier(Protocol):
    """Tells the service manager; never raises and never blocks for long. Called from one thread."""

    @property
    def watchdog_s(self) -> float | None:
        """Seconds without a sign of life after which the manager kills us; None: it does not watch."""

    def ready(self) -> None:
        """The service is up: pictures are published. Said once."""

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""

    def alive(self) -> None:
        """Feeds the watchdog."""

    def stopping(self) -> None:
        """The service goes down because it was asked to."""

    def close(self) -> None:
        """Lets go of the socket. Idempotent."""


def open_notifier(
    environment: Mapping[str, str] | None = None, pid: int | None = None
) -> "SystemdNotifier | NullNotifier":
    """For the manager that started this process; one that says nothing where none did, or in a way we cannot answer."""
    environment = os.environ if environment is None else environment
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or len(address) < 2 or not hasattr(socket, "AF_UNIX"):
        return NullNotifier()
    return SystemdNotifier(address, watchdog_interval(environment, os.getpid() if pid is None else pid))


def watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds, from WATCHDOG_USEC; None if it is not set, makes no sense, or is for another process (WATCHDOG_PID)."""
    microseconds, meant = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(pid))
    if not (microseconds.isascii() and microseconds.isdecimal()) or meant != str(pid) or int(microseconds) == 0:
        return None
    return int(microseconds) / 1e6


class NullNotifier(Closing):
    """For a run that systemd did not start: notifies nothing."""

    watchdog_s: float | None = None

    def ready(self) -> None:
        """Says nothing."""

    def status(self, text: str) -> None:
        """Says nothing."""

    def alive(self) -> None:
        """Says nothing."""

    def stopping(self) -> None:
        """Says nothing."""

    def close(self) -> None:
        """Nothing is held."""


class SystemdNotifier(Closing):
    """Sends each notification as one datagram. What cannot be sent is lost: a picture is worth more than a message."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        """`address`: NOTIFY_SOCKET's value, a path or an abstract name ("@…"). Raises OSError for no socket at all."""
        self.watchdog_s = watchdog_s
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, text: str) -> None:
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def close(self) -> None:
        self._socket.close()

    def _send(self, line: str) -> None:
        try:
            self._socket.sendto(line.encode(), self._address)
        except OSError as error:  # the manager is gone, or its queue is full: the next one may arrive
            log.debug("systemd was not notified of %s: %s", line, error)


class FakeNotifier(Closing):
    """Keeps what is sent, as systemd would read it. For tests."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self.sent: list[str] = []
        self.closed = 0

    def ready(self) -> None:
        self.sent.append("READY=1")

    def status(self, text: str) -> None:
        self.sent.append(f"STATUS={text}")

    def alive(self) -> None:
        self.sent.append("WATCHDOG=1")

    def stopping(self) -> None:
        self.sent.append("STOPPING=1")

    def close(self) -> None:
        self.closed += 1


class Watchdog:
    """When to feed the watchdog: only for pictures really published, or for having rightly published none.

    A loop that turns without publishing leaves no mark, so it is not due, and systemd restarts the daemon.
    """

    def __init__(self, interval_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`interval_s`: the notifier's `watchdog_s`; None means that it is never due."""
        self._every_s = None if interval_s is None else interval_s / FEEDS
        self._clock = clock
        self._fed = -float("inf")
        self._alive = False

    def published(self) -> None:
        """A picture has gone out."""
        self._alive = True

    def idle(self) -> None:
        """No picture was due: no program watches, a clip pauses, or the virtual camera is gone and looked for."""
        self._alive = True

    def due(self) -> bool:
        """True if the watchdog must be fed now; the mark is used up by that."""
        if self._every_s is None or not self._alive or self._clock() - self._fed < self._every_s:
            return False
        self._fed, self._alive = self._clock(), False
        return True

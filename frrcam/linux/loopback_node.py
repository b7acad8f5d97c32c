"""A video device node looked at through a descriptor of our own, beside the one that publishes."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from frrcam.linux.sysfs import SOUND_SINCE, holders, module
from frrcam.linux.v4l2 import LINUX, BufferType, Capability, System, query_capability, stream_on

SILENT_S: Final = 3.0
"""Seconds without a picture after which no program publishes: frrcam sends one every two seconds even when idle."""
LOOK_S: Final = 0.1


class VideoNode:
    """What a node is, and whether it is still the same one. Linux only."""

    def __init__(self, path: str, system: System = LINUX, wait: Callable[[float], object] = time.sleep) -> None:
        """Opens it for looking (OSError as the system says) and asks for its capabilities (ENOTTY if it has none)."""
        self._name, self._path, self._system, self._wait = path, system.path(path), system, wait
        self._descriptor = system.open(str(self._path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            self._identity = _identity(self._path.stat())
            self._ask()
        except OSError:
            self.close()
            raise

    def _ask(self) -> None:
        info = query_capability(self._system, self._descriptor)
        self.driver, self.card = info.driver, info.card
        self.output = Capability.VIDEO_OUTPUT in info.capabilities
        self.capture = Capability.VIDEO_CAPTURE in info.capabilities

    def revive(self) -> None:
        """Gives v4l2loopback up to 0.12.7 the output ability back that it loses when a program that wrote to it ends.

        To say that one streams, whatever the answer is, and to close makes it think of the ability. While a meeting
        program keeps the device open it looks as if it were published to: then only if no picture comes.
        """
        if self.output or (self.capture and not (self._old() and self._silent())):
            return
        with contextlib.suppress(OSError), self._system.opened(self._name) as descriptor:
            stream_on(self._system, descriptor, BufferType.VIDEO_OUTPUT)
        with contextlib.suppress(OSError):
            self._ask()

    def fault(self) -> str | None:
        """Why the node can no longer be published to, or None: two system calls, microseconds."""
        try:
            if _identity(self._path.stat()) != self._identity:
                return "another device has taken its place"
            query_capability(self._system, self._descriptor)
        except OSError as error:
            return os.strerror(error.errno or 0)
        return None

    def announce(self) -> None:
        """Tells udev that the node's abilities have changed, as the kernel does not: what lists cameras by udev (SDL,
        WirePlumber) lists it from now on, or no longer. Where `frrcam setup` has let us.
        """
        with contextlib.suppress(OSError):
            device = os.fstat(self._descriptor).st_rdev
            place = self._system.path(f"/sys/dev/char/{os.major(device)}:{os.minor(device)}/uevent")
            descriptor = os.open(place, os.O_WRONLY)
            try:
                os.write(descriptor, b"change")
            finally:
                os.close(descriptor)

    def users(self) -> tuple[str, ...]:
        """The other programs that have it open, as far as /proc may be read."""
        return tuple(str(holder) for holder in holders(self._name, self._system))

    def _old(self) -> bool:
        loaded = module(system=self._system)
        return loaded is not None and loaded.release < SOUND_SINCE  # 0.12.7 tells no version at all

    def _silent(self) -> bool:
        """True if no picture comes. One that lies there already may be of a program that has ended."""
        while _took(self._descriptor):
            pass
        for _ in range(round(SILENT_S / LOOK_S)):
            self._wait(LOOK_S)
            if _took(self._descriptor):
                return False
        return True

    def close(self) -> None:
        """Lets go of the descriptor. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor)


def _took(descriptor: int) -> bool:
    """True if there was a picture to read."""
    try:
        return bool(os.read(descriptor, 1))
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_rdev

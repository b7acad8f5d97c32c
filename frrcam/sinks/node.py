"""A video device node looked at through a descriptor of our own, beside the one that publishes."""

import os

from frrcam.sysfs import holders
from frrcam.v4l2 import LINUX, Capability, System, query_capability


class VideoNode:
    """What a node is, and whether it is still the same one. Linux only."""

    def __init__(self, path: str, system: System = LINUX) -> None:
        """Opens it for looking (OSError as the system says) and asks for its capabilities (ENOTTY if it has none)."""
        self._name, self._path, self._system = path, system.path(path), system
        self._descriptor = system.open(str(self._path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            self._identity = _identity(self._path.stat())
            info = query_capability(system, self._descriptor)
        except OSError:
            self.close()
            raise
        self.driver, self.card = info.driver, info.card
        self.output = Capability.VIDEO_OUTPUT in info.capabilities
        self.capture = Capability.VIDEO_CAPTURE in info.capabilities

    def fault(self) -> str | None:
        """Why the node can no longer be published to, or None: two system calls, microseconds."""
        try:
            if _identity(self._path.stat()) != self._identity:
                return "another device has taken its place"
            query_capability(self._system, self._descriptor)
        except OSError as error:
            return os.strerror(error.errno or 0)
        return None

    def users(self) -> tuple[str, ...]:
        """The other programs that have it open, as far as /proc may be read."""
        return tuple(str(holder) for holder in holders(self._name, self._system))

    def close(self) -> None:
        """Lets go of the descriptor. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_rdev

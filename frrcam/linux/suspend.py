"""Whether the machine was asleep. After a suspend a camera may hang, or have another number: it is reopened."""

import time
from collections.abc import Callable
from typing import Final

SLEPT_S: Final = 0.5
"""Seconds between the two clocks below which nothing is made of it."""


class SuspendWatch:
    """CLOCK_BOOTTIME goes on through a suspend, the monotonic clock does not; no hook and no right is needed for it."""

    def __init__(self, awake: Callable[[], float] = time.monotonic, always: Callable[[], float] | None = None) -> None:
        """`always`: seconds, suspends included; where the system has no such clock, no suspend is ever seen."""
        self._awake, self._always = awake, always or _boot_clock() or awake
        self._behind = self._gap()

    def slept(self) -> float:
        """Seconds of suspend since the last call; 0.0 if there was none."""
        # to be interrupted between the two clocks makes the gap look smaller, never larger
        before, self._behind = self._behind, max(self._behind, self._gap())
        asleep = self._behind - before
        return asleep if asleep > SLEPT_S else 0.0

    def _gap(self) -> float:
        always = self._always()
        return always - self._awake()


def _boot_clock() -> Callable[[], float] | None:
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return None if boot is None else lambda: time.clock_gettime(boot)

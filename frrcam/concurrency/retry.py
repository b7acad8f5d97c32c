"""When to try a failing thing again, and when to believe that it works."""

from dataclasses import dataclass

PROVEN_S = 1.0
"""Seconds for which what had failed must work before that is said, so that what comes and goes is no chatter."""
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds of plain pictures before enhancement, or a lost sink, is tried again; the last one repeats."""


@dataclass(slots=True)
class Retry:
    """When to try a failing thing again."""

    failures: int = 0
    due: float = 0.0

    def failed(self, now: float) -> None:
        """Postpones the next attempt, by more each time."""
        self.due = now + RETRY_S[min(self.failures, len(RETRY_S) - 1)]
        self.failures += 1

    def worked(self, now: float) -> bool:
        """Forgets the failures, if there were any, once it has worked for long enough: True then."""
        if not self.failures or now - self.due < PROVEN_S:
            return False
        self.failures, self.due = 0, 0.0
        return True

"""What the live path measured: a window for the status, everything for the bench."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STAGES = ("capture", "detect", "track", "align", "restore", "light", "compose", "convert", "publish")
"""The stages of one frame, in the order in which it takes them."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame that was due for publishing. Times in seconds."""

    stages: Mapping[str, float]
    total: float
    """The work that this frame took, capture to publish."""
    latency: float
    """From the picture being complete to its being published."""
    published: float
    """When, on the monotonic clock."""
    rung: str
    faces: int
    """Faces followed."""
    fresh: int
    """Faces with a network result of this very frame."""
    wanted: int
    """Faces that the plan's rung serves; on a plain picture in place of an enhanced one, those that went without."""
    late: bool
    taken: bool = True
    """The sink took it in time; False while it is lost or hangs."""


class Metrics:
    """Counts and keeps frame records. Owned by the processing thread; `window()` may be read from others."""

    def __init__(self, keep: int | None = 300) -> None:
        """`keep`: how many records the window holds; None keeps all."""
        self._records: deque[FrameRecord] = deque(maxlen=keep)
        self._lock = threading.Lock()
        self.published = 0
        self.dropped = 0

    def add(self, record: FrameRecord) -> None:
        """Takes one frame; it counts as published if the sink took it."""
        with self._lock:
            self._records.append(record)
            self.published += record.taken

    def forget(self) -> None:
        """Begins a new window: a rate over a pause is none. The counts go on."""
        with self._lock:
            self._records.clear()

    def window(self) -> list[FrameRecord]:
        """The records kept, oldest first."""
        with self._lock:
            return list(self._records)


def percentiles(seconds: Sequence[float], *ranks: int) -> tuple[float, ...]:
    """The given percentiles in milliseconds, to 0.01; zeros for no values."""
    if not seconds:
        return (0.0,) * len(ranks)
    return tuple(round(1000 * float(value), 2) for value in np.percentile(np.asarray(seconds), ranks))


def rate(records: Sequence[FrameRecord]) -> float:
    """Published frames per second over the records."""
    times = [record.published for record in records if record.taken]
    span = times[-1] - times[0] if times else 0.0
    return round((len(times) - 1) / span, 2) if span > 0 else 0.0


def stages_ms(records: Sequence[FrameRecord]) -> dict[str, dict[str, float]]:
    """p50 and p95 in milliseconds of each stage, over the frames in which it ran."""
    table = {}
    for stage in STAGES:
        taken = [record.stages[stage] for record in records if stage in record.stages]
        if taken:
            p50, p95 = percentiles(taken, 50, 95)
            table[stage] = {"p50": p50, "p95": p95}
    return table


def rung_shares(records: Sequence[FrameRecord]) -> dict[str, float]:
    """The share of frames spent on each rung, most used first."""
    counts = Counter(record.rung for record in records)
    return {rung: round(count / len(records), 4) for rung, count in counts.most_common()}


def fresh_share(records: Sequence[FrameRecord]) -> float:
    """The share of the frames with a face to serve in which each of them had a network result of that very frame."""
    wanting = [record for record in records if record.wanted]
    return round(sum(record.fresh >= record.wanted for record in wanting) / len(wanting), 4) if wanting else 0.0


def late_share(records: Sequence[FrameRecord]) -> float:
    """The share of frames that took longer than the period."""
    return round(sum(record.late for record in records) / len(records), 4) if records else 0.0


class Stopwatch:
    """Laps of one frame, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.laps: dict[str, float] = {}
        self._clock, self._last = clock, clock()

    def lap(self, stage: str) -> None:
        """Ends the stage: adds the time since the last lap to it."""
        now = self._clock()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now

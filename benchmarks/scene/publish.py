"""The product's own pipeline, built as `frrcam start` builds it, with a level that is chosen and a clip's clock.

The only module here that knows how the product is put together.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from frrcam.config import Settings
from frrcam.errors import UsageError
from frrcam.faces.types import Detector
from frrcam.frame import Frame, Image
from frrcam.pipeline.budget import DETECT_S, longest_gap
from frrcam.pipeline.engine import load_detector
from frrcam.pipeline.levels import Plan, Rung, ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.rungs import load_family
from frrcam.restore.types import Restorer

BEST = "best"


@dataclass(frozen=True, slots=True)
class Networks:
    """Loaded, and used from one thread."""

    detector: Detector
    restorers: dict[str, Restorer]
    level: Rung


@dataclass(frozen=True, slots=True)
class Published:
    """One frame, as it would be published, and what it took."""

    image: Image
    wall_ms: float
    cpu_ms: float
    """Of all of the process's threads."""


def build_pipeline(networks: Networks, fps: float, settings: Settings) -> Pipeline:
    """As `frrcam.pipeline.engine.load_engine` builds it."""
    return Pipeline(networks.detector, networks.restorers, min_size=settings.faces.min_size, gap_s=longest_gap(1 / fps))


@contextmanager
def open_networks(settings: Settings, level: str) -> Iterator[Networks]:
    """The detector and the restorers of a level of work: `BEST`, or a name of `frrcam.pipeline.levels`.

    Raises ModelError, ProviderError, or UsageError for a level that there is not.
    """
    restore = settings.restore
    with ExitStack() as opened:
        detector = load_detector(settings)
        opened.callback(detector.close)
        limit = 1 if level == BEST else None
        family = load_family(restore.model, restore.provider, restore.threads, limit=limit)
        for restorer in family:
            opened.callback(restorer.close)
        levels = ladder([restorer.name for restorer in family])
        chosen = levels[0] if level == BEST else next((one for one in levels if one.name == level), None)
        if chosen is None:
            names = ", ".join([BEST, *(one.name for one in levels)])
            raise UsageError(f"there is no level {level!r}; there are {names}")
        yield Networks(detector, {restorer.name: restorer for restorer in family}, chosen)


class Publisher:
    """One clip's pipeline at one level: no budget, so that a slow machine gives the same pictures."""

    def __init__(self, networks: Networks, fps: float, settings: Settings) -> None:
        self._pipeline = build_pipeline(networks, fps, settings)
        self._level, self._settings = networks.level, settings
        self._detect_every = max(round(DETECT_S * fps), 1)

    def publish(self, frame: Frame) -> Published:
        """The next frame. Its index counts from 0; its timestamp is the clip's clock in seconds."""
        level, most = self._level, self._settings.restore.max_faces
        faces = level.serves(most)
        fresh = faces if frame.index % level.every == 0 else 0
        detect = frame.index % self._detect_every == 0 or self._pipeline.urgent
        plan = Plan(level.name, "chosen", level.model, faces, fresh, detect)
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = self._pipeline.process(frame, plan, self._settings.restore.strength, self._settings.light.amounts)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Published(outcome.image, 1e3 * wall, 1e3 * cpu)

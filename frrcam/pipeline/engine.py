"""The engine: detector, family of restorers, and a budget that knows their cost; loaded, warm and measured."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np

from frrcam.concurrency.deadline import HangableExecutor
from frrcam.concurrency.notices import Notices
from frrcam.config import Settings
from frrcam.faces.detector import InsightFaceDetector
from frrcam.faces.types import Detector
from frrcam.frame import Image
from frrcam.pipeline.budget import Budget, longest_gap
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.models import resolve, verify
from frrcam.restore.rungs import load_family
from frrcam.restore.types import Restorer

WARM_RUNS = 5


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that enhancement needs, loaded and warm."""

    pipeline: Pipeline
    budget: Budget
    describe: Callable[[str], tuple[str, str]]
    """(model, provider) of a restorer by its name, for the status."""
    close: Callable[[], None] = lambda: None
    """Frees sessions and threads. Called once, when nothing runs on them."""


def check_models(settings: Settings) -> None:
    """Raises ModelError now, in the foreground, for what a look at the files of the chosen models can tell."""
    verify(resolve(settings.restore.model, "restorer"))
    verify(resolve(settings.faces.detector, "detector"))


def load_detector(settings: Settings) -> InsightFaceDetector:
    """The chosen detector, checked and warm. Raises ModelError."""
    entry = resolve(settings.faces.detector, "detector")
    verify(entry)
    return InsightFaceDetector(entry.path, threshold=settings.faces.threshold, threads=settings.restore.threads)


def load_engine(settings: Settings, period: float, notices: Notices) -> Engine:
    """Loads, warms and measures. Takes a second or so; a daemon does it beside its first, plain pictures.

    Raises ModelError or ProviderError for what cannot be used.
    """
    loading = HangableExecutor("frrcam-load-detector")
    detecting = loading.submit(load_detector, settings)
    loading.shutdown(wait=False)
    restore = settings.restore
    with ExitStack() as opened:
        beside = HangableExecutor("frrcam-restore") if restore.threads > 1 else None
        if beside:
            opened.callback(beside.shutdown)
        family = load_family(restore.model, restore.provider, restore.threads, beside=beside, notices=notices.tell)
        for restorer in family:
            opened.callback(restorer.close)
        detector = detecting.result()  # before anything is measured
        opened.callback(detector.close)
        by_name: dict[str, Restorer] = {restorer.name: restorer for restorer in family}
        costs = {name: restore_time(restorer) for name, restorer in by_name.items()}
        lightest = family[-1]
        together = restore_time(lightest, 2) / (2 * costs[lightest.name])
        pipeline = Pipeline(detector, by_name, min_size=settings.faces.min_size, gap_s=longest_gap(period))
        budget = Budget(
            ladder(list(by_name)),
            period,
            costs,
            settings.restore.max_faces,
            detect_time(detector),
            min(max(together, 0.5), 1.0),
        )
        return Engine(pipeline, budget, lambda name: (name, by_name[name].provider), opened.pop_all().close)


def loaded(engine: Engine, load: Callable[[float], Engine]) -> Callable[[float], Engine]:
    """A loader that gives what is loaded already, once; after that, should that engine hang, it loads another."""
    ready = [engine]
    return lambda period: ready.pop() if ready else load(period)


def restore_time(restorer: Restorer, faces: int = 1) -> float:
    """Seconds that `faces` faces of one frame take on the restorer."""
    crop: Image = np.random.default_rng(0).integers(0, 255, (restorer.size, restorer.size, 3), np.uint8)
    return _median_time(lambda: restorer.restore([crop] * faces))


def detect_time(detector: Detector) -> float:
    """Seconds that the detector takes on a picture of 1280×720."""
    picture: Image = np.full((720, 1280, 3), 96, np.uint8)
    return _median_time(lambda: detector.detect(picture))


def _median_time(run: Callable[[], object]) -> float:
    taken = []
    for _ in range(WARM_RUNS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return median(taken)

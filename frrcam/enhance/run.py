"""Enhances files one after the other: every face of every frame, fresh from the best network."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from frrcam.config import Settings
from frrcam.enhance.jobs import Job, make_folder, plan_jobs
from frrcam.enhance.networks import Networks, load_networks
from frrcam.enhance.progress import Bar, Monitor
from frrcam.faces.confirm import OFFLINE
from frrcam.faces.tracker import Tracker
from frrcam.frame import Frame, Image
from frrcam.pipeline.budget import GAP_S
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.pipeline import Outcome, Pipeline
from frrcam.say import Say
from frrcam.sinks.picture import read_extras, write_picture
from frrcam.sinks.video import VideoSink
from frrcam.sources.picture import count_pictures, is_picture, read_picture
from frrcam.sources.video import VideoSource

_log = logging.getLogger(__name__)

MAX_FACES = sys.maxsize
"""Faces enhanced in one picture where no setting says how many: here there is time for all."""
SETTLE_S = (0.5, 0.25)
"""Seconds before a file's first picture at which it is held up already: a doubtful face is believed when it is seen
twice, and its effect then takes a moment to come up, which suits a call and not a file. The same after a gap, where
the pipeline starts over."""


@dataclass(frozen=True, slots=True)
class EnhanceOptions:
    """What only one run is asked for; everything lasting stands in Settings."""

    compare: bool = False
    """Write before | after side by side."""
    recursive: bool = False
    """Take in the subfolders of a folder."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    source: Path
    target: Path
    frames: int = 0
    faces: int = 0
    """The most faces enhanced in one frame."""
    seconds: float = 0.0
    left_out: int = 0
    """Pictures of the source that are not in the output: the further pages of a TIFF, or frames of an animation."""
    error: str | None = None
    """Why there is no output, or None."""

    def __str__(self) -> str:
        faces = f"up to {self.faces}" if self.frames > 1 and self.faces > 1 else str(self.faces or "no")
        rate = f", {self.frames / self.seconds:.1f} fps" if self.frames > 1 and self.seconds else ""
        return (
            f"{self.target}: {_count(self.frames, 'picture')}, {faces} face{'s' * (self.faces != 1)}"
            f"{'; unchanged' * (not self.faces)}{rate}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all files, in the order in which they were worked on."""

    files: list[FileResult]

    @property
    def failed(self) -> int:
        """How many files have no output."""
        return sum(file.error is not None for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """What `frrcam enhance --json` prints."""
        files = [
            {**asdict(file), "source": str(file.source), "target": str(file.target), "seconds": round(file.seconds, 3)}
            for file in self.files
        ]
        return {"files": files, "done": len(files) - self.failed, "failed": self.failed}


def enhance(
    source: Path,
    target: str | Path,
    settings: Settings,
    options: EnhanceOptions,
    say: Say,
    *,
    load: Callable[[Settings, Say], Networks] = load_networks,
    monitor: Callable[[], Monitor] = lambda: Bar(Console(stderr=True)),
) -> Report:
    """Enhances a picture, a clip, or those of a folder (what IN and OUT may be: `plan_jobs`).

    A clip keeps its frame count, size, timing and sound; a turned one comes out upright, with the turn in its pixels.
    A file appears under its final name only when it is whole, and one that is there already is replaced only then.

    A single file raises what is wrong with it (SourceError, SinkError, ModelError). In a folder it is said and
    reported, and the next file follows; an interrupt ends all, and leaves nothing of the file at hand.
    """
    jobs = plan_jobs(source, target, recursive=options.recursive)
    networks = load(settings, say)
    files = []
    with monitor() as shown, _ended_by_signals():
        for job in jobs:
            try:
                file = _enhance_file(
                    job, Enhancer(networks, settings, options.compare, still=is_picture(job.source)), shown, say
                )
                files.append(file)
                if file.left_out:
                    say(f"{job.source} holds {1 + file.left_out} pictures; only the first is in {job.target}")
            except Exception as error:
                if not source.is_dir():
                    raise
                reason = str(error) or type(error).__name__
                _log.debug("%s failed", job.source, exc_info=True)
                say(f"error: {reason}")
                files.append(FileResult(job.source, job.target, error=reason))
    report = Report(files)
    say(_summary(report, Path(target)) if source.is_dir() else str(files[0]))
    return report


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, unwind as Ctrl-C does, so that no part file is left behind.

    Python allows it in the main thread only. What is ignored, as by nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Enhancer:
    """One file's pipeline under a fixed plan, the best; a new one for each file, for faces are followed over frames."""

    def __init__(self, networks: Networks, settings: Settings, compare: bool = False, *, still: bool = False) -> None:
        self.faces = 0
        """The most faces enhanced in one frame so far."""
        self.compare = compare
        restorer, restore = networks.restorer, settings.restore
        self._strength, self._amounts = restore.strength, settings.light.amounts
        faces = restore.max_faces if "max_faces" in restore.model_fields_set else MAX_FACES
        self._plan = Plan("best", "offline", restorer.name, faces, faces, True)
        self._pipeline = Pipeline(
            networks.detector,
            {restorer.name: restorer},
            Tracker(OFFLINE),
            min_size=settings.faces.min_size,
            still=still,
        )
        self._last: float | None = None

    def enhance(self, frame: Frame) -> Image:
        """The frame enhanced (H×W×3), or before | after (H×2W×3)."""
        if self._last is None or frame.timestamp - self._last > GAP_S:
            self._settle(frame)
        self._last = frame.timestamp
        outcome = self._run(frame)
        self.faces = max(self.faces, outcome.fresh)
        return np.hstack((frame.image, outcome.image)) if self.compare else outcome.image

    def _settle(self, frame: Frame) -> None:
        self._pipeline.reset()
        for seconds in SETTLE_S:
            self._run(replace(frame, timestamp=frame.timestamp - seconds))

    def _run(self, frame: Frame) -> Outcome:
        return self._pipeline.process(frame, self._plan, self._strength, self._amounts)


def _enhance_file(job: Job, enhancer: Enhancer, shown: Monitor, say: Say) -> FileResult:
    started = time.monotonic()
    make_folder(job.target.parent)
    still = is_picture(job.source)
    frames = _enhance_picture(job, enhancer, shown) if still else _enhance_clip(job, enhancer, shown, say)
    left_out = count_pictures(job.source) - 1 if still else 0
    return FileResult(job.source, job.target, frames, enhancer.faces, time.monotonic() - started, left_out)


def _enhance_picture(job: Job, enhancer: Enhancer, shown: Monitor) -> int:
    shown.begin(job.source, 1)
    before = read_picture(job.source)
    after = enhancer.enhance(Frame(before, 0, 0.0, job.source.name))
    extras = read_extras(job.source, before)
    write_picture(job.target, after, extras._replace(alpha=None) if enhancer.compare else extras)
    shown.advance()
    return 1


def _enhance_clip(job: Job, enhancer: Enhancer, shown: Monitor, say: Say) -> int:
    frames = 0
    with VideoSource(job.source, exact=True) as clip:
        shown.begin(job.source, clip.frames)
        for loss in clip.lost:  # before it, while there is time to do otherwise
            say(f"{job.source}: {loss}")
        width, height, fps = clip.info.width * (1 + enhancer.compare), clip.info.height, clip.info.fps
        with VideoSink(
            job.target,
            width,
            height,
            fps,
            audio_from=job.source,
            audio_start=clip.start,
            look=clip.look,
        ) as sink:
            while (frame := clip.read()) is not None:
                sink.send(sink.convert(enhancer.enhance(frame)), frame)
                frames += 1
                shown.advance()
    return frames


def _summary(report: Report, target: Path) -> str:
    failed = f", {report.failed} failed" if report.failed else ""
    return f"{target}: {_count(len(report.files) - report.failed, 'file')} enhanced{failed}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"

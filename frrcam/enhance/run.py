"""Enhances files one after the other: every face of every frame, fresh from the best network."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from frrcam.config import Settings
from frrcam.enhance.jobs import Existing, Job, make_folder, plan_jobs
from frrcam.enhance.networks import Networks, load_networks
from frrcam.enhance.progress import Bar, Monitor
from frrcam.enhance.tone import in_tone
from frrcam.enhance.turning import QuarterTurns, RememberingDetector
from frrcam.errors import SourceLost
from frrcam.faces.confirm import OFFLINE
from frrcam.faces.tracker import Tracker
from frrcam.frame import Frame, Image
from frrcam.media.clip import Look
from frrcam.pipeline.budget import GAP_S
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.pipeline import Outcome, Pipeline
from frrcam.say import Say
from frrcam.sinks.copy import copy_clip, copy_file, same_format
from frrcam.sinks.picture import write_picture
from frrcam.sinks.video import VideoSink
from frrcam.sources.picture import is_picture
from frrcam.sources.still import Picture, open_picture
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
    existing: Existing = "overwrite"
    """What to do where an output is there already."""
    keep_partial: bool = False
    """Keep what came before the place where a clip breaks off."""
    rotate: int = 0
    """Quarter turns, clockwise, that the pictures are turned by and come out with: 0 to 3."""


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
    copied: bool = False
    """Nothing was changed, and the output is a copy."""
    turned: int = 0
    """Degrees, counter-clockwise, that the picture was turned by to find its faces; it was turned back again."""
    error: str | None = None
    """Why there is no output, or None."""

    def __str__(self) -> str:
        faces = f"up to {self.faces}" if self.frames > 1 and self.faces > 1 else str(self.faces or "no")
        rate = f", {self.frames / self.seconds:.1f} fps" if self.frames > 1 and self.seconds else ""
        turned = f" (it lies on its side: found in the picture turned by {self.turned}°)" if self.turned else ""
        unchanged = "; unchanged" + ", a copy" * self.copied if self.copied or not self.faces else ""
        return (
            f"{self.target}: {_count(self.frames, 'picture')}, {faces} face{'s' * (self.faces != 1)}"
            f"{turned}{unchanged}{rate}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all files, in the order in which they were worked on."""

    files: list[FileResult]
    skipped: int = 0
    """Files that were left out because their output was there already."""

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
        done = len(files) - self.failed
        return {"files": files, "done": done, "failed": self.failed, "skipped": self.skipped}


def enhance(
    sources: Sequence[Path],
    target: str | Path,
    settings: Settings,
    options: EnhanceOptions,
    say: Say,
    *,
    load: Callable[[Settings, Say], Networks] = load_networks,
    monitor: Callable[[], Monitor] = lambda: Bar(Console(stderr=True)),
) -> Report:
    """Enhances pictures, clips, and those of folders (what IN... and OUT may be: `plan_jobs`).

    A clip keeps its frame count, size, timing and sound; a turned one comes out upright, with the turn in its pixels.
    A file in which nothing changes is copied. A file appears under its final name only when it is whole, and one that
    is there already is replaced only then.

    A single file raises what is wrong with it (SourceError, SinkError, ModelError). Of a folder or several files it is
    said and reported, and the next file follows; an interrupt ends all, and leaves nothing of the file at hand.
    """
    planned = plan_jobs(sources, target, recursive=options.recursive, existing=options.existing)
    if planned.passed_over:
        say(f"passed over: {planned.passed_over}")
    files = []
    if planned.jobs:
        networks = load(settings, say)
        with monitor() as shown, _ended_by_signals():
            shown.expect(len(planned.jobs))
            for job in planned.jobs:
                try:
                    files.append(_enhance_file(job, networks, settings, options, shown, say))
                except Exception as error:
                    if not planned.many:
                        raise
                    reason = str(error) or type(error).__name__
                    _log.debug("%s failed", job.source, exc_info=True)
                    say(f"error: {reason if str(job.source) in reason else f'{job.source}: {reason}'}")
                    files.append(FileResult(job.source, job.target, error=reason))
    report = Report(files, planned.skipped)
    say(str(files[0]) if files and not planned.many else _summary(report, Path(target)))
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
        self.changed = False
        """True once a pixel has changed."""
        self.turned = 0
        """Degrees, counter-clockwise, that the pictures were turned by in which faces were found."""
        self.compare = compare
        detector = RememberingDetector(networks.detector, settings.faces.min_size)
        self._turns = QuarterTurns(detector)
        restorer, restore = networks.restorer, settings.restore
        self._strength, self._amounts = restore.strength, settings.light.amounts
        faces = restore.max_faces if "max_faces" in restore.model_fields_set else MAX_FACES
        self._plan = Plan("best", "offline", restorer.name, faces, faces, True)
        self._pipeline = Pipeline(
            detector,
            {restorer.name: restorer},
            Tracker(OFFLINE),
            min_size=settings.faces.min_size,
            still=still,
        )
        self._last: float | None = None

    def enhance(self, frame: Frame) -> Image:
        """The frame enhanced (H×W×3), or before | after (H×2W×3).

        Where no sure face is found, the other quarter turns are looked at: faces may lie on their side.
        """
        outcome = self._run_turned(frame)
        if self._turns.look(frame.image, frame.timestamp):
            self._last = None
            outcome = self._run_turned(frame)
        self.faces = max(self.faces, outcome.fresh)
        if outcome.fresh:
            self.turned = 90 * self._turns.turns
        after = self._turns.back(outcome.image)
        if outcome.image is not frame.image:
            after = in_tone(frame.image, after)
            self.changed |= not np.array_equal(after, frame.image)
        return np.hstack((frame.image, after)) if self.compare else after

    def _run_turned(self, frame: Frame) -> Outcome:
        if self._turns.turns:
            frame = replace(frame, image=self._turns.turned(frame.image))
        if self._last is None or frame.timestamp - self._last > GAP_S:
            self._settle(frame)
        self._last = frame.timestamp
        return self._run(frame)

    def _settle(self, frame: Frame) -> None:
        self._pipeline.reset()
        for seconds in SETTLE_S:
            self._run(replace(frame, timestamp=frame.timestamp - seconds))

    def _run(self, frame: Frame) -> Outcome:
        return self._pipeline.process(frame, self._plan, self._strength, self._amounts)


def _enhance_file(
    job: Job, networks: Networks, settings: Settings, options: EnhanceOptions, shown: Monitor, say: Say
) -> FileResult:
    started = time.monotonic()
    still = is_picture(job.source)
    enhancer = Enhancer(networks, settings, options.compare, still=still)
    make_folder(job.target.parent)
    of_kind = _enhance_picture if still else _enhance_clip
    result = of_kind(job, enhancer, options, shown, say)
    return replace(result, faces=enhancer.faces, turned=enhancer.turned, seconds=time.monotonic() - started)


def _enhance_picture(job: Job, enhancer: Enhancer, options: EnhanceOptions, shown: Monitor, say: Say) -> FileResult:
    shown.begin(job.source, 1)
    picture = open_picture(job.source)
    if options.rotate:
        picture = picture.turned(options.rotate)
    before = picture.view
    after = enhancer.enhance(Frame(before, 0, 0.0, job.source.name))
    copied = not (enhancer.changed or options.compare or options.rotate) and same_format(job.source, job.target)
    left_out = 0
    if copied:
        copy_file(job.source, job.target)
    else:
        if options.compare:
            picture = replace(picture.beside_itself(), original=b"")
            before = np.hstack((before, before))
        lost = [*picture.lost, *write_picture(job.target, picture.changed(before, after))]
        for loss in lost:
            say(f"{job.source}: {loss}")
        left_out = _tell_pages(job, picture, say)
    shown.advance()
    return FileResult(job.source, job.target, 1, left_out=left_out, copied=copied)


def _tell_pages(job: Job, picture: Picture, say: Say) -> int:
    """Says what becomes of a file's further pictures; how many are left out."""
    if picture.pages < 2:
        return 0
    if picture.original and same_format(job.source, job.target):
        say(f"{job.source} holds {picture.pages} pictures; only the first is enhanced, the rest is kept as it was")
        return 0
    say(f"{job.source} holds {picture.pages} pictures; only the first is in {job.target}")
    return picture.pages - 1


def _enhance_clip(job: Job, enhancer: Enhancer, options: EnhanceOptions, shown: Monitor, say: Say) -> FileResult:
    frames, partial = 0, False
    with VideoSource(job.source, exact=True) as clip:
        shown.begin(job.source, clip.frames)
        for loss in clip.lost:  # before it, while there is time to do otherwise
            say(f"{job.source}: {loss}")
        width, height, look = _turned_size(clip, options.rotate)
        width *= 1 + enhancer.compare
        if width % 2 or height % 2:
            even = f"{width + width % 2}x{height + height % 2}"
            say(f"{job.source}: its odd size becomes {even}, the last column or row twice: players need even sides")
        with VideoSink(
            job.target,
            width,
            height,
            clip.info.fps,
            audio_from=job.source,
            audio_start=clip.start,
            look=look,
        ) as sink:
            while True:
                try:
                    frame = clip.read()
                except SourceLost as error:
                    if not options.keep_partial:
                        raise SourceLost(f"{error}; --keep-partial keeps what comes before") from error
                    say(f"{error}; {_count(frames, 'picture')} kept")
                    partial = True
                    break
                if frame is None:
                    break
                if options.rotate:
                    frame = replace(frame, image=np.ascontiguousarray(np.rot90(frame.image, -options.rotate)))
                sink.send(sink.convert(enhancer.enhance(frame)), frame)
                frames += 1
                shown.advance()
            unchanged = not (enhancer.changed or options.compare or options.rotate or partial)
            if copied := unchanged and copy_clip(job.source, job.target):
                sink.abort()
    return FileResult(job.source, job.target, frames, copied=copied)


def _turned_size(clip: VideoSource, turns: int) -> tuple[int, int, Look]:
    """Width, height and look of a clip that is turned by this number of quarter turns."""
    if turns % 2 == 0:
        return clip.info.width, clip.info.height, clip.look
    return clip.info.height, clip.info.width, replace(clip.look, pixel_aspect=1 / clip.look.pixel_aspect)


def _summary(report: Report, target: Path) -> str:
    failed = f", {report.failed} failed" if report.failed else ""
    skipped = f", {report.skipped} there already" if report.skipped else ""
    return f"{target}: {_count(len(report.files) - report.failed, 'file')} enhanced{failed}{skipped}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"

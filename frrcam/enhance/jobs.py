"""Which file becomes which: everything about IN and OUT that can be wrong before a network is loaded."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from frrcam.errors import SinkForbidden, SinkUnusable, SourceForbidden, SourceUnusable, UsageError
from frrcam.sinks.files import no_folder
from frrcam.sinks.picture import WRITABLE
from frrcam.sinks.video import MUXERS
from frrcam.sources.files import check_file
from frrcam.sources.picture import SUFFIXES as PICTURES
from frrcam.sources.picture import is_picture
from frrcam.sources.still import open_picture
from frrcam.sources.video import VideoSource

CLIPS = frozenset(MUXERS) | {
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
}
"""What is taken for a clip when a folder is gone through; a file named by the user may be called anything."""

Existing = Literal["refuse", "overwrite", "skip"]
"""What to do where an output is there already."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to enhance."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Jobs:
    """What IN... and OUT stand for."""

    jobs: list[Job]
    many: bool
    """True for a folder or several inputs: then a file that fails is reported, and the next one follows."""
    skipped: int = 0
    """Files left out because their output is there already."""
    passed_over: str = ""
    """What in the folders is not enhanced, for people; empty if nothing."""


def plan_jobs(
    sources: Sequence[Path], target: str | Path, *, recursive: bool = False, existing: Existing = "overwrite"
) -> Jobs:
    """The files that IN... and OUT stand for, in the order of their names. Writes nothing.

    sources    pictures, clips and folders: of a folder its pictures and clips, those of its subfolders if `recursive`
    target     a file name, or a folder: one that exists, or any name that ends with "/"; for a folder or several
               inputs, a folder
    existing   what to do about outputs that are there already

    In an output folder files keep their names; what cannot be written under its own ending becomes .png, or .mkv
    (which holds almost any sound). A folder given by itself is written to `target`, one of several to a subfolder.

    Raises UsageError (input and output are the same, or do not go together; an output is there already), SourceError
    (nothing there, nothing to enhance), SinkError (no folder to write to).
    """
    sources = list(dict.fromkeys(sources))
    # os.path throughout: for it too long a name is not there, where Path raises
    into_folder = str(target).endswith(("/", os.sep)) or os.path.isdir(target)
    target = Path(target)
    many = len(sources) > 1 or os.path.isdir(sources[0])
    seen = PassedOver()
    if many:
        _check_folder(sources, target)
        files: list[tuple[Path, Path]] = []
        for source in sources:
            if os.path.isdir(source):
                below = source.name if len(sources) > 1 else ""
                inside = _media_in(source, recursive, target, seen)
                files += [(file, below / file.relative_to(source)) for file in inside]
            else:
                check_file(source, "picture or clip")
                files.append((source, Path(source.name)))
        if not files:
            raise _nothing_in(sources, recursive, seen)
        jobs = [Job(file, target / name) for (file, _), name in zip(files, _output_names(files), strict=True)]
        _check_apart(jobs)
    else:
        (source,) = sources
        check_file(source, "picture or clip")
        _check_parent(target)
        if into_folder:
            target = target / _output_names([(source, Path(source.name))])[0]
        _check_pair(source, target)
        jobs = [Job(source, target)]
    left = _without_existing(jobs, existing)
    if left and not many:
        _check_readable(left[0].source)
    return Jobs(left, many, len(jobs) - len(left), str(seen))


def make_folder(folder: Path) -> None:
    """Makes the folder, and those between it and one that is there. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SinkUnusable(f"{folder}: is a file, not a folder; name another one") from None
    except OSError as error:
        raise SinkForbidden(f"{folder}: cannot be made: {error.strerror}; pick another folder") from None


class PassedOver:
    """Counts what a folder holds and is not enhanced: `str()` is a line about it, empty if there is nothing."""

    def __init__(self) -> None:
        self.folders = 0
        self.endings: Counter[str] = Counter()

    def __str__(self) -> str:
        parts = []
        if self.folders:
            parts.append(f"{self.folders} subfolder{'s' * (self.folders > 1)} (-r takes them in)")
        if number := self.endings.total():
            endings = ", ".join(sorted(self.endings))
            parts.append(f"{number} file{'s' * (number > 1)} of other kinds ({endings})")
        return " and ".join(parts)


def _media_in(folder: Path, recursive: bool, target: Path, seen: PassedOver) -> list[Path]:
    """Without what lies in `target`, where that is a folder inside: it comes from an earlier run."""
    output = target.resolve()
    inside = folder.resolve() in output.parents
    media = []
    try:
        for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
            if path.name.startswith(".") or (inside and path.resolve().is_relative_to(output)):
                continue
            if path.is_dir():
                seen.folders += not recursive
            elif path.suffix.lower() not in PICTURES | CLIPS:
                seen.endings[path.suffix.lower() or "no ending"] += 1
            elif path.is_file():
                media.append(path)
    except OSError as error:
        raise SourceForbidden(f"{folder}: cannot be looked into: {error.strerror}") from None
    return media


def _nothing_in(sources: Sequence[Path], recursive: bool, seen: PassedOver) -> SourceUnusable:
    where = "it or its subfolders" if recursive else "it"
    there = f"; passed over: {seen}" if str(seen) else ""
    return SourceUnusable(f"{', '.join(map(str, sources))}: a folder with no picture and no clip in {where}{there}")


def _output_names(files: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Of files and the names they would have in the output folder, the names they get there.

    Where two would fall together (a.avi, a.mp4), the one that changes keeps its old ending too.
    """
    taken = {name for _, name in files}
    result = []
    for file, name in files:
        if name.suffix.lower() not in WRITABLE | frozenset(MUXERS):
            ending = ".png" if is_picture(file) else ".mkv"
            changed = name.with_suffix(ending)
            name = name.with_name(name.name + ending) if changed in taken else changed
            taken.add(name)
        result.append(name)
    return result


def _check_apart(jobs: Sequence[Job]) -> None:
    owners: dict[Path, Path] = {}
    for job in jobs:
        other = owners.setdefault(job.target, job.source)
        if other != job.source:
            raise UsageError(f"{other} and {job.source} would both become {job.target}; enhance them apart")
        if os.path.exists(job.target) and job.target.samefile(job.source):
            raise UsageError(f"{job.target} is the input itself; name another folder, originals are never overwritten")


def _without_existing(jobs: Sequence[Job], existing: Existing) -> list[Job]:
    """The jobs to do. Raises UsageError where outputs are there and nothing was said about them."""
    there = [job for job in jobs if os.path.isfile(job.target)]
    if existing == "refuse" and there:
        if len(jobs) == 1:
            raise UsageError(f"{there[0].target}: is there already; --overwrite replaces it, or name another file")
        raise UsageError(
            f"{len(there)} of {len(jobs)} outputs are there already, {there[0].target} first; "
            "--skip-existing does the others, --overwrite does all"
        )
    return [job for job in jobs if existing != "skip" or job not in there]


def _check_folder(sources: Sequence[Path], target: Path) -> None:
    if not os.path.isdir(target) and (os.path.exists(target) or target.suffix.lower() in PICTURES | CLIPS):
        what = f"{sources[0]} is a folder" if len(sources) == 1 else f"there are {len(sources)} inputs"
        raise UsageError(f"{what} and {target} names a file; name a folder to write to")
    for source in sources:
        if os.path.isdir(source) and os.path.exists(target) and target.samefile(source):
            raise UsageError(f"{target} is the input folder itself; name another, the originals are never overwritten")
    _check_parent(target)


def _check_pair(source: Path, target: Path) -> None:
    if os.path.exists(target) and target.samefile(source):
        raise UsageError(f"{target} is the input itself; name another file, the original is never overwritten")
    kind, endings = ("picture", WRITABLE) if is_picture(source) else ("clip", frozenset(MUXERS))
    if target.suffix.lower() not in endings:
        ending = target.suffix or "a name without ending"
        raise UsageError(f"{source} is a {kind} and cannot be written as {ending}; use {', '.join(sorted(endings))}")


def _check_readable(source: Path) -> None:
    """Raises what opening it raises: a bad file is refused before the networks are loaded, which takes a second."""
    if is_picture(source):
        open_picture(source)
    else:
        VideoSource(source).close()


def _check_parent(target: Path) -> None:
    if not os.path.isdir(target.parent):
        raise no_folder(target)

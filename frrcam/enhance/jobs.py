"""Which file becomes which: everything about IN and OUT that can be wrong before a network is loaded."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frrcam.errors import SinkForbidden, SinkUnusable, SourceForbidden, SourceUnusable, UsageError
from frrcam.sinks.files import no_folder
from frrcam.sinks.picture import WRITABLE
from frrcam.sinks.video import MUXERS
from frrcam.sources.files import check_file
from frrcam.sources.picture import SUFFIXES as PICTURES
from frrcam.sources.picture import is_picture, read_picture
from frrcam.sources.video import VideoSource

CLIPS = frozenset(MUXERS) | {".3gp", ".avi", ".gif", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
"""What is taken for a clip when a folder is gone through; a file named by the user may be called anything."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to enhance."""

    source: Path
    target: Path


def plan_jobs(source: Path, target: str | Path, *, recursive: bool = False) -> list[Job]:
    """The files that IN and OUT stand for, in the order of their names. Writes nothing.

    source     a picture, a clip, or a folder: then its pictures and clips, those of its subfolders if `recursive`
    target     a file name, or a folder: one that exists, or any name that ends with "/"; for a folder, a folder

    In an output folder files keep their names; what cannot be written under its own ending becomes .png, or .mkv
    (which holds almost any sound).

    Raises UsageError (input and output are the same, or do not go together), SourceError (nothing there, nothing to
    enhance), SinkError (no folder to write to).
    """
    # os.path throughout: for it too long a name is not there, where Path raises
    into_folder = str(target).endswith(("/", os.sep)) or os.path.isdir(target)
    target = Path(target)
    if os.path.isdir(source):
        _check_folders(source, target)
        files = _media_in(source, recursive, target)
        names = _output_names(source, [file.relative_to(source) for file in files])
        return [Job(file, target / name) for file, name in zip(files, names, strict=True)]
    check_file(source, "picture or clip")
    _check_parent(target)
    if into_folder:
        target = target / _output_names(source.parent, [Path(source.name)])[0]
    _check_pair(source, target)
    _check_readable(source)
    return [Job(source, target)]


def make_folder(folder: Path) -> None:
    """Makes the folder, and those between it and one that is there. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SinkUnusable(f"{folder}: is a file, not a folder; name another one") from None
    except OSError as error:
        raise SinkForbidden(f"{folder}: cannot be made: {error.strerror}; pick another folder") from None


def _media_in(folder: Path, recursive: bool, target: Path) -> list[Path]:
    """Without what lies in `target`, where that is a folder inside: it comes from an earlier run."""
    output = target.resolve()
    inside = folder.resolve() in output.parents
    try:
        media = [
            path
            for path in sorted(folder.rglob("*") if recursive else folder.iterdir())
            if path.suffix.lower() in PICTURES | CLIPS
            and not path.name.startswith(".")
            and not (inside and path.parent.resolve().is_relative_to(output))
            and path.is_file()
        ]
    except OSError as error:
        raise SourceForbidden(f"{folder}: cannot be looked into: {error.strerror}") from None
    if not media:
        where = "it or its subfolders" if recursive else "it"
        raise SourceUnusable(f"{folder}: a folder with no picture and no clip in {where}")
    return media


def _output_names(folder: Path, names: Sequence[Path]) -> list[Path]:
    """Of the files in `folder`, each name once.

    Where two would fall together (a.avi, a.mp4), the one that changes keeps its old ending too.
    """
    taken = set(names)
    result = []
    for name in names:
        if name.suffix.lower() not in WRITABLE | frozenset(MUXERS):
            ending = ".png" if is_picture(folder / name) else ".mkv"
            changed = name.with_suffix(ending)
            name = name.with_name(name.name + ending) if changed in taken else changed
            taken.add(name)
        result.append(name)
    return result


def _check_folders(source: Path, target: Path) -> None:
    if not os.path.isdir(target) and (os.path.exists(target) or target.suffix.lower() in PICTURES | CLIPS):
        raise UsageError(f"{source} is a folder and {target} names a file; name a folder to write to")
    if os.path.exists(target) and target.samefile(source):
        raise UsageError(f"{target} is the input folder itself; name another one, the originals are never overwritten")
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
        read_picture(source)
    else:
        VideoSource(source).close()


def _check_parent(target: Path) -> None:
    if not os.path.isdir(target.parent):
        raise no_folder(target)

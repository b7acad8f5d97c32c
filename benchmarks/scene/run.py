"""All clips, all kinds: one run of the benchmark."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scene import sheets
from benchmarks.scene.clips import Clip, find_faces
from benchmarks.scene.publish import Networks, Publisher
from benchmarks.scene.regions import Box
from benchmarks.scene.report import Report
from benchmarks.scene.score import score
from benchmarks.scene.spoil import KINDS
from frrcam.config import Settings
from frrcam.frame import Image

NOT_CLEAN = ("car_glasses_yawn", "dim_water", "low_quality")
"""Beginnings of the names of clips that are no truth: unless a kind is asked for, they are published as they are."""
FRAMES = 40
AS_IS_FRAMES = 120
SETTLE_S = 0.8
"""Seconds for which the first picture is shown before it is scored: a call's first second is another matter."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is run, and how much of it."""

    kinds: Sequence[str] = ()
    """Names of `KINDS`; none for the usual ones."""
    every: int = 4
    """One frame in this number is scored."""
    seed: int = 0
    json: Path | None = None
    """Written after every kind, so that a run that is cut short is not lost."""
    out: Path | None = None
    """Folder of the sheets."""


def run(
    clips: Iterable[Callable[[], Clip]],
    networks: Networks,
    settings: Settings,
    options: Options,
    report: Report,
    faces: dict[str, list[list[Box]]],
    say: Callable[[str], None],
) -> None:
    """Adds the scores of clips, which are loaded one after the other, to a report; writes it and the sheets.

    faces: known faces of clips by their names; of other clips, and where the number of frames is another, they are
    found. say: gets a line before each step.
    """
    rows: dict[str, list[Image]] = {}
    for load in clips:
        clip = load()
        known = faces.get(clip.name, [])
        is_known = len(known) == len(clip.images)
        clip = replace(clip, faces=known) if is_known else find_faces(clip, networks.detector)
        report.faces[clip.name] = clip.faces
        for kind in options.kinds or usual_kinds(clip.name):
            say(f"{clip.name}: {kind}")
            publish = Publisher(networks, clip.fps, settings).publish
            settle = round(SETTLE_S * clip.fps)
            one, sample = score(clip, kind, publish, seed=options.seed, every=options.every, settle=settle)
            report.scores.append(one)
            rows.setdefault(kind, []).append(sheets.row(sample))
            if options.json:
                report.write(options.json)
    for kind, of_kind in rows.items():
        if options.out:
            sheets.write(options.out / f"{kind}.webp", sheets.sheet(of_kind))


def usual_frames(clip: str, kinds: Sequence[str]) -> int:
    """How many frames of a clip of this name are published: more where steadiness over time is the question."""
    return AS_IS_FRAMES if list(kinds or usual_kinds(clip)) == ["as_is"] else FRAMES


def usual_kinds(clip: str) -> list[str]:
    """The kinds that make sense for a clip of this name."""
    return ["as_is"] if clip.startswith(NOT_CLEAN) else [name for name in KINDS if name != "as_is"]

"""The figures as tables and as JSON, and two runs compared cell by cell."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.scene.regions import Box
from benchmarks.scene.score import Score
from frrcam.errors import UsageError


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a score."""

    about: str
    title: str = ""
    """Of its column; none for what only JSON holds."""
    form: str = ".1f"
    better: int = 0
    """1 if more is better, -1 if less is; 0 for neither."""
    least: float = 0.0
    """The smallest difference between two runs that is worth a colour."""


FIGURES = {
    "face_in": Figure("PSNR of the input on the faces, dB", "face in"),
    "face_out": Figure("of the published picture", "out", better=1, least=0.1),
    "head_in": Figure("PSNR of the input on heads and shoulders, dB", "head in"),
    "head_out": Figure("of the published picture", "out", better=1, least=0.1),
    "background_in": Figure("PSNR of the input on the rest, dB", "rest in"),
    "background_out": Figure("of the published picture", "out", better=1, least=0.1),
    "whole_in": Figure("PSNR of the input on the whole picture, dB"),
    "whole_out": Figure("of the published picture", "whole", better=1, least=0.1),
    "gain": Figure("linear luminance of the faces, published / input", "gain", ".2f"),
    "around": Figure("the same on head and shoulders beside the face", "beside", ".2f"),
    "gain_spread": Figure("95th by 5th percentile of the coarse gain over a face", "spread", ".2f", -1, 0.02),
    "returned": Figure("linear luminance of the faces, published / clean: 1 is right", "of right", ".2f"),
    "returned_spread": Figure("its 95th by 5th percentile over a face: 1 is right", "spread", ".2f", -1, 0.02),
    "gain_sd": Figure("deviation over time of the gain (of the input's level)", "sd", ".3f", -1, 0.005),
    "level_in_sd": Figure("deviation over time of the input's luminance on the faces, by its mean"),
    "level_out_sd": Figure("of the published picture's luminance, by the mean of the input"),
    "level_in": Figure("linear luminance of the faces in the input"),
    "level_out": Figure("in the published picture"),
    "change": Figure("mean absolute change on the faces, levels", "change", ".1f"),
    "noise_face_in": Figure("noise on the faces where the clean picture is flat, and lit if it is: input, levels"),
    "noise_face_out": Figure("of the published picture there"),
    "noise_face_gain": Figure("linear gain there"),
    "noise_face": Figure("published / input", "noise face", ".2f", -1, 0.03),
    "noise_face_by_gain": Figure("divided by what the gain alone would make of it", "by gain", ".2f", -1, 0.03),
    "noise_rest_in": Figure("the same beside the faces"),
    "noise_rest_out": Figure("of the published picture there"),
    "noise_rest_gain": Figure("linear gain there", "at gain", ".2f"),
    "noise_rest": Figure("published / input", "noise rest", ".2f", -1, 0.03),
    "noise_rest_by_gain": Figure("divided by what the gain alone would make of it", "by gain", ".2f", -1, 0.03),
    "flicker_face_in": Figure("a still: deviation of each pixel over time by its mean, input, on the face boxes"),
    "flicker_face": Figure("published / input", "flicker face", ".2f", -1, 0.02),
    "flicker_around_in": Figure("the same beside the faces, on head and shoulders"),
    "flicker_around": Figure("published / input", "beside", ".2f", -1, 0.02),
    "flicker_background_in": Figure("the same on the rest"),
    "flicker_background": Figure("published / input", "rest", ".2f", -1, 0.02),
    "wall_p50": Figure("milliseconds of a frame, median", "ms p50", ".0f", -1, 2),
    "wall_p95": Figure("95th percentile", "p95", ".0f", -1, 4),
    "cpu_p50": Figure("milliseconds of processor time of a frame, median", "", ".0f", -1),
    "cpu_p95": Figure("95th percentile", "", ".0f", -1),
}

GROUPS = {
    "distance from the truth, dB (100: identical)": ("face_in", "whole_out"),
    "light on the faces": ("gain", "change"),
    "noise, flicker, time": ("noise_face_in", "cpu_p95"),
}
"""Tables, each from one figure to another."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run: how it was made, and its scores."""

    settings: dict[str, Any]
    scores: list[Score]
    faces: dict[str, list[list[Box]]] = field(default_factory=dict)
    """Of each clip, the boxes of every frame: a later run scores the same regions, whatever its detector finds."""

    def find(self, clip: str, kind: str) -> Score | None:
        return next((one for one in self.scores if (one.clip, one.kind) == (clip, kind)), None)

    def write(self, path: Path) -> None:
        """As JSON that `read` takes."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


def read(path: Path) -> Report:
    """What `Report.write` wrote. Raises UsageError for anything else."""
    try:
        content = json.loads(path.read_text("utf-8"))
        faces = {
            clip: [[(box[0], box[1], box[2], box[3]) for box in frame] for frame in frames]
            for clip, frames in content.get("faces", {}).items()
        }
        return Report(dict(content["settings"]), [Score(**score) for score in content["scores"]], faces)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no report of this benchmark: {error}") from None


def tables(report: Report, baseline: Report | None = None) -> list[Table]:
    """By kind, then clip; against a baseline, each cell with its difference: green is better, red is worse."""
    return [_table(title, names, report.scores, baseline) for title, names in _groups(report.scores)]


def differing_settings(report: Report, baseline: Report) -> list[str]:
    """What makes two runs hard to compare, one line each."""
    return [
        f"{key}: {baseline.settings.get(key)} in the baseline, {value} now"
        for key, value in report.settings.items()
        if key not in ("made", "threads") and baseline.settings.get(key) != value
    ]


def cell(figure: Figure, now: float | None, before: float | None = None) -> Text:
    """A value and, in brackets, its difference from the baseline's."""
    if now is None:
        return Text("–", style="dim")
    text = Text(format(now, figure.form))
    if before is not None:
        change = now - before
        good = figure.better * change
        style = "dim" if not figure.better or abs(change) < figure.least else "green" if good > 0 else "red"
        text.append(f" ({change:+{figure.form}})", style)
    return text


def _groups(scores: Sequence[Score]) -> Iterable[tuple[str, list[str]]]:
    """The tables' titles, and the names of their figures that a score has."""
    every = list(FIGURES)
    for title, (first, last) in GROUPS.items():
        names = every[every.index(first) : every.index(last) + 1]
        yield title, [name for name in names if FIGURES[name].title and any(name in one.figures for one in scores)]


def _table(title: str, names: Sequence[str], scores: Sequence[Score], baseline: Report | None) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("kind", "clip"):
        table.add_column(column, no_wrap=True)
    for name in names:
        table.add_column(FIGURES[name].title, justify="right")
    kinds = list(dict.fromkeys(one.kind for one in scores))
    for kind in kinds:
        of_kind = [one for one in scores if one.kind == kind and any(name in one.figures for name in names)]
        for one in of_kind:
            old = baseline.find(one.clip, kind) if baseline else None
            was = old.figures if old else {}
            cells = [cell(FIGURES[name], one.figures.get(name), was.get(name)) for name in names]
            table.add_row(kind, one.clip, *cells)
        if of_kind:
            table.add_section()
    return table

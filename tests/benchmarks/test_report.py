"""Reports are written and read, shown, and compared with an earlier one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.scene.report import FIGURES, Report, cell, differing_settings, read, tables
from benchmarks.scene.score import Score
from frrcam.errors import UsageError


def report(face: float = 18.3, **settings: object) -> Report:
    figures = {"face_in": 11.9, "face_out": face, "gain": 3.8, "wall_p50": 25.0}
    scores = [Score("one_face", "dim", 40, 10, figures), Score("rooms", "nothing", 40, 10, {"background_out": 100.0})]
    return Report({"frames": 40, "made": "today", **settings}, scores, {"one_face": [[(1.0, 2.0, 3.5, 4.0)], []]})


def text(found: Report, baseline: Report | None = None) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*tables(found, baseline))
    return console.export_text()


def test_report_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    report().write(tmp_path / "report.json")
    assert read(tmp_path / "report.json") == report()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}, "scores": [{"clip": 1}]}', "\0"])
def test_file_that_is_no_report_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(UsageError, match=r"other\.json"):
        read(tmp_path / "other.json")


def test_missing_report_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json"):
        read(tmp_path / "none.json")


def test_tables_hold_each_clip_with_its_figures() -> None:
    shown = text(report())
    assert "one_face" in shown
    assert "18.3" in shown
    assert "3.80" in shown


def test_figure_that_is_missing_is_a_dash() -> None:
    assert cell(FIGURES["face_out"], None).plain == "–"


def test_baseline_shows_differences_cell_by_cell() -> None:
    shown = text(report(20.0), report(18.3))
    assert "20.0 (+1.7)" in shown
    assert "25 (+0)" in shown


def test_clip_that_the_baseline_lacks_has_no_difference() -> None:
    assert "(" not in text(report(), Report({}, [])).replace("(100: identical)", "")


@pytest.mark.parametrize(
    ("name", "now", "before", "style"),
    [
        ("face_out", 20.0, 18.0, "green"),
        ("face_out", 18.0, 20.0, "red"),
        ("face_out", 20.0, 19.99, "dim"),
        ("gain_spread", 1.1, 3.5, "green"),
        ("gain_spread", 3.5, 1.1, "red"),
        ("gain", 3.0, 1.0, "dim"),
    ],
)
def test_difference_is_green_where_it_is_better(name: str, now: float, before: float, style: str) -> None:
    assert [str(span.style) for span in cell(FIGURES[name], now, before).spans] == [style]


def test_other_settings_are_said_and_the_date_is_not() -> None:
    now, before = report(frames=20, made="tomorrow"), report()
    assert differing_settings(now, before) == ["frames: 40 in the baseline, 20 now"]

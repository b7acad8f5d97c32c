"""A whole run with fake networks: figures, sheets and the command line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.drawn.moving_head import Pose, picture, wall
from benchmarks.scene.__main__ import app
from benchmarks.scene.clips import Clip
from benchmarks.scene.publish import BEST, Networks, Publisher, open_networks
from benchmarks.scene.report import Report, read
from benchmarks.scene.run import AS_IS_FRAMES, FRAMES, Options, run, usual_frames, usual_kinds
from frrcam.config import Settings
from frrcam.errors import UsageError
from frrcam.faces.detector import FakeDetector
from frrcam.frame import Frame
from frrcam.pipeline.levels import Rung
from frrcam.restore.types import FakeRestorer

POSE = Pose(320, 180, 120)


def networks(every: int = 1) -> Networks:
    restorer = FakeRestorer()
    return Networks(FakeDetector([POSE.detection()]), {restorer.name: restorer}, Rung(BEST, restorer.name, every))


def clip(frames: int = 8) -> Clip:
    images = [picture(wall(), POSE) for _ in range(frames)]
    return Clip("invented", 25, images, [index / 25 for index in range(frames)])


def frame(index: int) -> Frame:
    return Frame(picture(wall(), POSE), index, index / 25, "invented")


def test_publisher_enhances_the_face_as_the_product_does() -> None:
    publisher = Publisher(networks(), 25, Settings(light={"where": "face"}))
    published = [publisher.publish(frame(index)) for index in range(12)]
    x1, y1, x2, y2 = (round(side) for side in POSE.detection().box)
    inside = np.s_[y1 + 30 : y2 - 30, x1 + 30 : x2 - 30]
    change = np.abs(published[-1].image[inside].astype(float) - frame(0).image[inside])
    assert change.mean() > 5
    np.testing.assert_array_equal(published[-1].image[:40], frame(0).image[:40])
    assert published[-1].wall_ms > 0


def test_level_with_seldom_results_runs_the_network_seldom() -> None:
    calls = []
    for every in (1, 3):
        given = networks(every)
        publisher = Publisher(given, 25, Settings())
        for index in range(18):
            publisher.publish(frame(index))
        calls.append(sum(restorer.calls for restorer in given.restorers.values() if isinstance(restorer, FakeRestorer)))
    assert calls[1] < calls[0] / 2


def test_run_writes_figures_and_a_sheet_for_each_kind(tmp_path: Path) -> None:
    options = Options(["dim", "as_is"], every=4, json=tmp_path / "report.json", out=tmp_path / "sheets")
    said: list[str] = []
    report = Report({}, [])
    run([clip], networks(), Settings(), options, report, {}, said.append)
    assert [(one.clip, one.kind, one.scored) for one in report.scores] == [
        ("invented", "dim", 2),
        ("invented", "as_is", 2),
    ]
    assert read(tmp_path / "report.json") == report
    assert said == ["invented: dim", "invented: as_is"]
    assert cv2.imread(str(tmp_path / "sheets" / "dim.webp")).shape[1] == 3 * 640
    assert cv2.imread(str(tmp_path / "sheets" / "as_is.webp")).shape[1] == 2 * 640


def test_known_faces_are_scored_whatever_the_detector_finds() -> None:
    elsewhere = [[(20.0, 20.0, 100.0, 120.0)]] * 8
    report = Report({}, [])
    run([clip], networks(), Settings(), Options(["nothing"]), report, {"invented": elsewhere}, lambda text: None)
    assert report.faces["invented"] == elsewhere


def test_clip_that_is_no_truth_is_published_as_it_is() -> None:
    assert usual_kinds("dim_water_338x640") == ["as_is"]
    assert "dim" in usual_kinds("one_face_1280x720")
    assert "as_is" not in usual_kinds("one_face_1280x720")


def test_more_frames_are_taken_where_steadiness_is_the_question() -> None:
    assert usual_frames("dim_water_338x640", []) == AS_IS_FRAMES
    assert usual_frames("one_face_1280x720", ["as_is"]) == AS_IS_FRAMES
    assert usual_frames("one_face_1280x720", ["as_is", "dim"]) == usual_frames("one_face_1280x720", []) == FRAMES


def test_unknown_level_names_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"best, .*half"), open_networks(Settings(), "splendid"):
        pass


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--kind", "fog"], "no kind 'fog'"),
        (["--set", "strength"], "SECTION.KEY=VALUE"),
        (["--clips", "nowhere"], "no .mp4"),
        (["--baseline", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_argument_is_named(arguments: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "one.mp4").touch()
    result = CliRunner().invoke(app, ["--data", str(tmp_path), *arguments])
    assert isinstance(result.exception, UsageError)
    assert reason in str(result.exception)


def test_report_is_shown_again_without_a_run(tmp_path: Path) -> None:
    report = Report({}, [])
    run([clip], networks(), Settings(), Options(["nothing"], json=tmp_path / "a.json"), report, {}, lambda text: None)
    result = CliRunner().invoke(app, ["--read", str(tmp_path / "a.json"), "--baseline", str(tmp_path / "a.json")])
    assert result.exit_code == 0
    assert "invented" in result.output


def test_legend_describes_the_figures() -> None:
    result = CliRunner().invoke(app, ["--legend"])
    assert "gain_spread 95th by 5th percentile" in result.output

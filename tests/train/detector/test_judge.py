from pathlib import Path

import numpy as np
import pytest
import torch

from frrcam.faces.types import Detection
from tests.train.detector.test_fit import TINY
from train.detector import fit
from train.detector.anchors import make_anchors
from train.detector.data.composites import Scene
from train.detector.data.real import Photograph
from train.detector.export import Calibration
from train.detector.fit import FitSettings, new_state
from train.detector.judging import exam
from train.detector.judging import report as exam_report
from train.detector.judging.calibrate import Sample, calibration, collect, logit, platt
from train.detector.judging.verdict import Verdict, as_dict, curve, judge, turn_of
from train.detector.network import FaceDetector, Predictions

FIVE = np.array([(120, 140), (180, 140), (150, 170), (130, 195), (170, 195)], np.float32)
BOX = (100.0, 100.0, 200.0, 220.0)
IMAGE = np.full((300, 400, 3), 120, np.uint8)


def person(doubtful: tuple[float, ...] = ()) -> Photograph:
    return Photograph(
        "p", IMAGE, np.array([BOX], np.float32), FIVE[None], np.array(doubtful, np.float32).reshape(-1, 4)
    )


def said(score: float, box: tuple[float, float, float, float] = BOX, shift: float = 0.0) -> Detection:
    return Detection(box, score, FIVE + np.float32(shift))


def verdict(*found: Detection, doubtful: tuple[float, ...] = ()) -> Verdict:
    return judge("set", lambda _image: list(found), [person(doubtful)])


def test_a_face_found_has_its_score_and_error() -> None:
    result = verdict(said(0.8, shift=3.0))
    assert result.recall(0.5) == 1
    assert result.recall(0.9) == 0
    assert result.wanted[0].error == pytest.approx(3 * np.sqrt(2) / 60)
    assert result.false(0.5) == 0


def test_a_second_box_on_a_face_is_false_and_the_better_one_is_right() -> None:
    result = verdict(said(0.6), said(0.9))
    assert result.wanted[0].score == 0.9
    assert result.false(0.5) == 1
    assert result.false(0.7) == 0


def test_a_detection_on_a_doubtful_box_is_neither() -> None:
    elsewhere = (300.0, 100.0, 360.0, 170.0)
    assert verdict(said(0.9, elsewhere)).false(0.5) == 1
    assert verdict(said(0.9, elsewhere), doubtful=elsewhere).said == []


def test_a_missed_face_has_no_score() -> None:
    figures = as_dict(verdict(), 0.5)
    assert figures["recall"] == 0
    assert figures["points_frontal"] is None


def test_a_turned_head_has_its_nose_beside_the_middle() -> None:
    turned = FIVE.copy()
    turned[2, 0] = 120
    assert turn_of(FIVE) == pytest.approx(0.0)
    assert turn_of(turned) == pytest.approx(0.5)


def test_the_curve_counts_what_is_right_by_score() -> None:
    rows = curve(verdict(said(0.7), said(0.7, (300.0, 100.0, 360.0, 170.0))).said)
    (row,) = [row for row in rows if row["detections"]]
    assert row["from"] < 0.7 < row["to"]
    assert row["right"] == 0.5


def test_platt_finds_the_chances_it_was_drawn_from() -> None:
    random = np.random.default_rng(0)
    raw, levels = random.uniform(-1.3, 4, 40_000), random.integers(0, 3, 40_000)
    offsets = np.array((-2.0, -1.2, -0.8))
    right = random.random(len(raw)) < 1 / (1 + np.exp(-(1.7 * raw + offsets[levels])))
    rows = zip(raw.tolist(), levels.tolist(), right.tolist(), strict=True)
    slope, found = platt([Sample(1 / (1 + float(np.exp(-x))), level, own) for x, level, own in rows])
    assert slope == pytest.approx(1.7, abs=0.1)
    assert found == pytest.approx(offsets, abs=0.12)


def test_a_calibrated_score_is_right_as_often_as_it_should() -> None:
    """Where the chance is 95 % the score is 0.7, where it is 80 % it is 0.5."""
    slope, offsets = 1.7, (-1.2, -1.0, -0.5)
    found = calibration(slope, offsets)
    for offset, shift in zip(offsets, found.shifts, strict=True):
        for score, chance in ((0.5, 0.8), (0.7, 0.95)):
            raw = (float(logit(chance)) - offset) / slope
            assert 1 / (1 + np.exp(-(found.scale * raw + shift))) == pytest.approx(score, abs=1e-6)


def test_platt_needs_right_and_wrong_detections() -> None:
    with pytest.raises(ValueError, match="too few of either kind"):
        platt([Sample(0.8, 0, True)] * 5)


class Scripted(FaceDetector):
    """Sees two boxes on the face at stride 32, the second weaker, and one elsewhere at stride 8."""

    def forward(self, images: torch.Tensor) -> Predictions:
        anchors = make_anchors(*images.shape[-2:])
        count = len(anchors.centres)
        scores, distances = torch.full((1, count), -9.0), torch.zeros(1, count, 4)
        face = int((anchors.levels == 2).nonzero()[20])
        for index, logits, size in ((face, 2.0, 48), (face + 1, 1.0, 47), (0, 0.5, 8)):
            scores[0, index], distances[0, index] = logits, size / anchors.strides[index]
        return Predictions(scores, distances, torch.zeros(1, count, 10))


def test_detections_are_collected_with_their_stride_and_whether_they_are_right() -> None:
    anchors = make_anchors(192, 192)
    centre = anchors.centres[anchors.levels == 2][20].numpy()
    scene = Scene(np.zeros((192, 192, 3), np.uint8))
    scene.boxes = np.concatenate((centre - 48, centre + 48))[None].astype(np.float32)
    first, other = collect(Scripted(TINY), [scene])
    assert (first.level, first.right) == (2, True)
    assert first.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert (other.level, other.right) == (0, False)


def test_a_checkpoint_keeps_its_calibration(tmp_path: Path) -> None:
    fit.save(new_state(TINY, FitSettings()), tmp_path / "last.pt")
    assert fit.load_calibration(tmp_path / "last.pt") == Calibration()
    fit.keep_calibrated(tmp_path / "last.pt", tmp_path / "kept.pt", Calibration(1.5, (-0.25, 0.0, 0.5)))
    assert fit.load_calibration(tmp_path / "kept.pt") == Calibration(1.5, (-0.25, 0.0, 0.5))
    first, other = (fit.load_averaged(tmp_path / name)[0].state_dict() for name in ("last.pt", "kept.pt"))
    assert all(torch.equal(first[name], other[name]) for name in first)


def test_verdicts_add_up_and_fill_the_tables() -> None:
    found, missed = verdict(said(0.8)), verdict()
    result = exam.Result(found, missed, [found, missed], found, found)
    both = exam.all_of("both", [found, missed])
    assert (both.pictures, both.recall(0.5)) == (2, 0.5)
    assert [face.picture for face in both.wanted] == [0, 1]
    tables = exam_report.tables(
        "model", {**result.as_dict(0.5), "ghost_tracks": {"rooms": 1, "frames": 2, "tracks": 0}}
    )
    assert [table.row_count > 0 for table in tables] == [True] * 4


def test_failures_are_drawn_and_none_is_no_sheet() -> None:
    sheet = exam.failures([person()], verdict(said(0.9, (300.0, 100.0, 360.0, 170.0))), 0.5)
    assert sheet is not None
    assert exam.failures([person()], verdict(said(0.9)), 0.5) is None


def test_a_pan_shows_the_photograph_only() -> None:
    random = np.random.default_rng(0)
    image = random.integers(50, 200, (120, 200, 3), dtype=np.uint8)
    frames = list(exam.pan(image, random, (96, 64)))
    assert len(frames) == exam.PAN_FRAMES
    assert all(frame.shape == (64, 96, 3) and frame.min() >= 40 for frame in frames)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1

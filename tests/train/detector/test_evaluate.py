import numpy as np
import pytest

from train.detector.evaluate import compare_frame, iou, summarise
from train.detector.sheet import TILE, sheet

FACE = np.array([(100, 100, 200, 220, 0.9)], np.float32)
FIVE = np.array([[(120, 140), (180, 140), (150, 170), (130, 195), (170, 195)]], np.float32)
NO_FACES = (np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32))


class Scripted:
    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return FACE, FIVE


def test_the_same_face_is_found_without_error() -> None:
    same = compare_frame((FACE, FIVE), (FACE, FIVE))
    assert (same.wanted, same.found, same.false) == (1, 1, 0)
    assert not same.errors.any()


def test_a_missed_face_and_a_false_one() -> None:
    missed = compare_frame((FACE, FIVE), NO_FACES)
    assert (missed.wanted, missed.found, missed.false) == (1, 0, 0)
    elsewhere = compare_frame((FACE, FIVE), (FACE + np.float32(150), FIVE))
    assert (elsewhere.found, elsewhere.false) == (0, 1)
    assert compare_frame(NO_FACES, (FACE, FIVE)).false == 1


def test_two_boxes_on_one_face_are_one_found_and_one_false() -> None:
    twice = compare_frame((FACE, FIVE), (np.repeat(FACE, 2, 0), np.repeat(FIVE, 2, 0)))
    assert (twice.found, twice.false) == (1, 1)


def test_a_small_face_need_not_be_found_but_is_not_false() -> None:
    small = (FACE * np.array((0.4, 0.4, 0.4, 0.4, 1), np.float32), FIVE * np.float32(0.4))
    assert compare_frame(small, NO_FACES).wanted == 0
    assert compare_frame(small, small).false == 0


def test_errors_are_in_eye_distances_and_bias_is_separate() -> None:
    shifted = FIVE + np.array((6, 0), np.float32)  # a tenth of the 60 px between the eyes
    figures = summarise("clip", [compare_frame((FACE, FIVE), (FACE, shifted))] * 3)
    assert figures.points_error == pytest.approx(0.1)
    assert figures.steady_error == pytest.approx(0, abs=1e-6)
    assert figures.bias[0] == (0.1, 0.0)
    assert figures.recall == 1
    assert figures.as_dict()["false_per_300_frames"] == 0


def test_nothing_at_all_can_be_summarised() -> None:
    figures = summarise("empty", [compare_frame(NO_FACES, NO_FACES)])
    assert figures.wanted == 0
    assert np.isnan(figures.points_error)


def test_iou() -> None:
    boxes = np.array(((0, 0, 10, 10), (5, 0, 15, 10), (50, 50, 60, 60)), np.float32)
    np.testing.assert_allclose(iou(boxes[:1], boxes)[0], (1, 1 / 3, 0), rtol=1e-5)


def test_a_sheet_has_rows_of_tiles() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    assert sheet([image] * 3, Scripted(), columns=2).shape == (2 * TILE[1], 2 * TILE[0], 3)


def test_only_faces_of_the_asked_size_are_wanted() -> None:
    assert compare_frame((FACE, FIVE), NO_FACES, sides=(24, 48)).wanted == 0
    assert compare_frame((FACE, FIVE), (FACE, FIVE), sides=(24, 48)).false == 0


def test_what_lies_on_an_ignored_box_is_not_false() -> None:
    assert compare_frame(NO_FACES, (FACE, FIVE), ignored=FACE[:, :4] + np.float32(10)).false == 0
    assert compare_frame(NO_FACES, (FACE, FIVE), ignored=FACE[:, :4] + np.float32(90)).false == 1

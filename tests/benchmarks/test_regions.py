"""Faces found frame by frame become steady boxes, and boxes become parts of the picture."""

import pytest

from benchmarks.scene.regions import INSET, MARGIN, grown, overlap, regions, steady_boxes

BOX = (100.0, 100.0, 200.0, 220.0)


def test_grown_box_has_its_share_on_each_side() -> None:
    assert grown(BOX, 0.5) == (50.0, 40.0, 250.0, 280.0)


def test_overlap_of_a_box_with_itself_its_half_and_another() -> None:
    assert overlap(BOX, BOX) == 1
    assert overlap(BOX, (100.0, 100.0, 150.0, 220.0)) == pytest.approx(0.5)
    assert overlap(BOX, (300.0, 300.0, 350.0, 350.0)) == 0


def test_regions_have_the_sizes_that_their_margins_say() -> None:
    parts = regions([BOX], (400, 400))
    assert parts.box.sum() == 100 * 120
    assert parts.face.sum() == pytest.approx(100 * 120 * (1 - 2 * INSET) ** 2, rel=0.03)
    assert parts.head.sum() == pytest.approx(100 * 120 * (1 + 2 * MARGIN) ** 2, rel=0.01)
    assert not (parts.head & parts.background).any()
    assert (parts.head | parts.background).all()
    assert not (parts.around & parts.box).any()


def test_picture_without_faces_is_background() -> None:
    assert regions([], (40, 60)).background.all()


def test_face_that_is_missed_once_keeps_its_place() -> None:
    found = [[BOX], [BOX], [], [BOX], [BOX]]
    assert [len(boxes) for boxes in steady_boxes(found)] == [1] * 5
    assert steady_boxes(found)[2][0] == pytest.approx(BOX)


def test_trembling_box_becomes_steady() -> None:
    found = [[(100.0 + 4 * (index % 2), 100.0, 200.0 + 4 * (index % 2), 220.0)] for index in range(30)]
    left = [boxes[0][0] for boxes in steady_boxes(found)][5:-5]
    assert max(left) - min(left) < 0.5


def test_seldom_and_small_faces_are_dropped() -> None:
    false, small = (300.0, 10.0, 360.0, 70.0), (10.0, 10.0, 40.0, 45.0)
    found = [[BOX, small, *([false] if index == 7 else [])] for index in range(12)]
    assert [len(boxes) for boxes in steady_boxes(found)] == [1] * 12


def test_two_faces_are_distinguished_and_sorted_by_size() -> None:
    other = (250.0, 100.0, 310.0, 170.0)
    found = [[other, BOX] for _ in range(6)]
    assert [[round(box[0]) for box in boxes] for boxes in steady_boxes(found)] == [[100, 250]] * 6


def test_clip_without_faces_has_none_in_every_frame() -> None:
    assert steady_boxes([[], [], []]) == [[], [], []]

import numpy as np
import pytest

from train.detector.data import paste
from train.detector.data.composites import POSITIVE, SMALLEST, Composer, Scene
from train.detector.data.faces import FaceBank
from train.detector.data.geometry import Pose, affine, map_box, visible_share

FIVE = np.array([(20, 20), (30, 20), (25, 25), (21, 30), (29, 30)], np.float32)


@pytest.mark.parametrize("size", [(192, 320), (256, 256)])
def test_scenes_hold_what_their_labels_say(composer: Composer, size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    found = 0
    for _ in range(60):
        scene = composer.scene(*size, random)
        assert scene.image.shape == (*size, 3)
        assert scene.image.dtype == np.uint8
        assert len(scene.boxes) == len(scene.points) <= 6
        for box, points in zip(scene.boxes, scene.points, strict=True):
            assert box[3] - box[1] >= SMALLEST
            assert visible_share(box, *size) >= POSITIVE
            assert ((points > box[:2]) & (points < box[2:])).all()
        found += len(scene.boxes)
    assert found > 30


def test_the_same_seed_draws_the_same_scene(composer: Composer) -> None:
    first, second = (composer.scene(96, 160, np.random.default_rng(11)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes, second.boxes)


@pytest.mark.parametrize(("left", "found", "ignored"), [(10, 1, 0), (-10, 1, 0), (-18, 0, 1), (-30, 0, 0)], ids=str)
def test_a_face_cut_by_the_edge_counts_by_its_visible_share(left: int, found: int, ignored: int) -> None:
    scene = Scene(np.zeros((64, 64, 3), np.uint8))
    box = np.array((left, 10, left + 40, 60), np.float32)
    scene.add(box, FIVE)
    assert (len(scene.boxes), len(scene.ignored)) == (found, ignored)


def test_a_face_without_its_mouth_is_ignored() -> None:
    scene = Scene(np.zeros((64, 64, 3), np.uint8))
    scene.add(np.array((10, 20, 50, 70), np.float32), FIVE + np.array((0, 40), np.float32))
    assert len(scene.boxes) == 0
    assert len(scene.ignored) == 1


def test_what_is_too_small_is_ignored() -> None:
    scene = Scene(np.zeros((64, 64, 3), np.uint8))
    scene.add(np.array((20, 20, 24, 25), np.float32), FIVE)
    assert (len(scene.boxes), len(scene.ignored)) == (0, 1)


def test_a_pasted_face_lies_where_its_box_says(bank: FaceBank) -> None:
    frame = np.full((120, 160, 3), 90, np.uint8)
    matrix = affine(bank.boxes[3], Pose(60.0), (70.0, 50.0))
    paste.paste(frame, bank.level(3, 128), paste.rectangle_mask(), matrix)
    changed = np.argwhere(np.abs(frame.astype(int) - 90).max(2) > 25)
    x1, y1, x2, y2 = map_box(bank.boxes[3], matrix)
    np.testing.assert_allclose(changed.min(0), (y1, x1), atol=1.5)
    np.testing.assert_allclose(changed.max(0) + 1, (y2, x2), atol=1.5)


def test_a_face_outside_the_frame_changes_nothing(bank: FaceBank) -> None:
    frame = np.full((40, 40, 3), 7, np.uint8)
    matrix = affine(bank.boxes[0], Pose(20.0), (400.0, -300.0))
    paste.paste(frame, bank.level(0, 32), paste.rectangle_mask(), matrix)
    assert (frame == 7).all()

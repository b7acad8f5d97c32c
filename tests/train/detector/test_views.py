from pathlib import Path

import numpy as np
import pytest

from frrcam.faces.types import Detection
from train.degrade.occluders import CutOuts
from train.detector.data.composites import Composer, Scene
from train.detector.data.faces import FaceBank
from train.detector.data.mine import load, mine, misses, save
from train.detector.data.real import Part, Photograph, difference_hash, part_of, with_doubts, without_copies
from train.detector.data.spoil import TONES, spoil
from train.detector.data.views import Mixture, People, Rooms, map_all, similarity, warp

NOTHING = CutOuts([])


def plain(image: np.ndarray, _random: np.random.Generator) -> np.ndarray:
    return image


def room(seed: int = 0, height: int = 120, width: int = 160) -> Photograph:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Photograph(f"room-{seed}", np.repeat(np.repeat(coarse, 8, 0), 8, 1))


@pytest.fixture
def person(bank: FaceBank) -> Photograph:
    """The bank's brightest face in a larger picture."""
    image = np.full((300, 400, 3), 90, np.uint8)
    image[20:276, 60:316] = bank.pictures[0][3]
    shift = np.array((60, 20), np.float32)
    box = bank.boxes[3] * 256 + np.tile(shift, 2)
    return Photograph("person", image, box[None], (bank.points[3] * 256 + shift)[None])


def test_parts_are_disjoint_and_of_about_their_sizes() -> None:
    parts = [part_of(f"key {i}") for i in range(4000)]
    shares = {part: parts.count(part) / len(parts) for part in Part}
    assert shares[Part.HELD_OUT] == pytest.approx(1 / 8, abs=0.02)
    assert shares[Part.CALIBRATION] == pytest.approx(1 / 16, abs=0.015)


def test_a_near_copy_of_a_held_out_picture_is_left_out() -> None:
    copy = np.clip(room(1).image.astype(int) + 3, 0, 255).astype(np.uint8)
    kept = without_copies([room(1), room(2)], [copy])
    assert [one.key for one in kept] == ["room-2"]
    assert len(without_copies([room(1)], [])) == 1
    assert difference_hash(room(1).image) == difference_hash(room(1).image)


def test_what_the_labels_lack_is_doubtful_and_what_they_have_is_not() -> None:
    labelled = Photograph("a", room().image, np.array([(10, 10, 50, 60)], np.float32), np.zeros((1, 5, 2), np.float32))

    def find(_image: np.ndarray) -> np.ndarray:
        return np.array([(11, 11, 40, 50, 0), (100, 20, 20, 25, 0)], np.float32)

    (found,) = with_doubts([labelled], find)
    np.testing.assert_allclose(found.doubtful, [(100, 20, 120, 45)])


def test_a_room_has_no_face() -> None:
    rooms = Rooms([room(0), room(1)], plain, NOTHING, [(0, np.array((40, 30, 60, 55), np.float32))])
    random = np.random.default_rng(0)
    for _ in range(20):
        scene = rooms.scene(96, 160, random)
        assert scene.image.shape == (96, 160, 3)
        assert len(scene.boxes) == len(scene.ignored) == 0


@pytest.mark.parametrize("size", [(96, 160), (160, 96)])
def test_people_are_where_their_labels_say(person: Photograph, size: tuple[int, int]) -> None:
    """The brightest pixels of a drawn face lie inside the mapped box, and the points on its dark features."""
    people = People([person], [Photograph("dark", np.zeros((80, 80, 3), np.uint8))], plain, NOTHING)
    random, seen = np.random.default_rng(4), 0
    for _ in range(40):
        scene = people.scene(*size, random)
        for box, points in zip(scene.boxes, scene.points, strict=True):
            if box[3] - box[1] < 30 or (box[:2] < 0).any() or (box[2:] > size[::-1]).any():
                continue
            bright = np.argwhere(scene.image[..., 2] > 180)
            if len(bright) < 100:  # a thing is in front of it
                continue
            middle = np.median(bright, 0)[::-1]
            assert np.abs(middle - (box[:2] + box[2:]) / 2).max() < 0.2 * (box[3] - box[1])
            assert ((points > box[:2] - 2) & (points < box[2:] + 2)).all()
            seen += 1
    assert seen > 8


def test_a_mirror_keeps_left_on_the_left(person: Photograph) -> None:
    scene = Scene(np.zeros((300, 400, 3), np.uint8))
    matrix = np.column_stack((similarity(0.0, 1.0, True), (400.0, 0.0)))
    map_all(person, matrix, scene)
    assert scene.points[0, 0, 0] < scene.points[0, 1, 0]
    assert scene.points[0, 3, 0] < scene.points[0, 4, 0]


def test_warp_by_the_identity_changes_nothing_and_averages_what_shrinks() -> None:
    image = room().image
    frame = np.zeros_like(image)
    warp(image, np.array([(1, 0, 0), (0, 1, 0)], np.float64), frame)
    np.testing.assert_array_equal(frame, image)
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = np.zeros((16, 16, 3), np.uint8)
    warp(stripes, np.array([(0.25, 0, 0), (0, 0.25, 0)], np.float64), small)
    assert np.abs(small.astype(int) - 100).max() <= 2


def test_a_mixture_draws_from_all_its_sources(composer: Composer) -> None:
    mixture = Mixture([(1.0, composer), (1.0, Rooms([room()], plain, NOTHING))])
    random = np.random.default_rng(1)
    faces = [len(mixture.scene(96, 160, random).boxes) for _ in range(30)]
    assert 0 < sum(count > 0 for count in faces) < 30


def test_spoiling_keeps_shape_and_depends_on_the_seed_alone() -> None:
    image = room(3, 96, 160).image
    for seed in range(12):
        one, other = (spoil(image.copy(), np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["grey", "infrared"])
def test_a_tone_has_no_colour(name: str) -> None:
    toned = TONES[name](room(5).image)
    assert np.ptp(toned.astype(int), axis=2).max() == 0


class Seeing:
    """Sees one face at the top left of every picture that is as large as the room."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        box = (4.0, 4.0, 20.0, 24.0)
        return [Detection(box, 0.5, np.zeros((5, 2), np.float32))] if image.shape[0] == 120 else []


def test_what_is_mined_is_found_again(tmp_path: Path) -> None:
    found = mine(Seeing(), [room(0), room(1)])
    assert [key for key, _ in found] == ["room-0", "room-1"]
    save(tmp_path / "hard.npz", found)
    ((index, box),) = load(tmp_path / "hard.npz", [room(1)])
    assert index == 0
    np.testing.assert_allclose(box, (4, 4, 20, 24))
    assert load(tmp_path / "none.npz", [room(1)]) == []


def test_a_face_that_is_not_seen_is_missed_and_drawn_more_often(person: Photograph, tmp_path: Path) -> None:
    missed = misses(Seeing(), [person])
    assert [key for key, _ in missed] == ["person"]
    save(tmp_path / "hard.npz", [], missed)
    hard = load(tmp_path / "hard.npz", [person], "missed")
    twin = Photograph("twin", person.image, person.boxes, person.points)
    people = People([person, twin], [room()], plain, NOTHING, hard)
    _, chances = people._faces
    assert chances[0] == pytest.approx(3 * chances[1])

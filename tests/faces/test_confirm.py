import cv2
import numpy as np
import pytest

from frrcam.faces.alignment import TEMPLATE
from frrcam.faces.confirm import Confirmation, Evidence, MaskBounds, plausible

RULE = Confirmation(sure=0.85, sightings=2, apart=0.1, score=0.55, overlap=0.45)
SIDE = 100


def evidence(*looks: tuple[float, float, float]) -> bool:
    """Looks are (score, age, overlap)."""
    found = Evidence(RULE)
    for score, age, overlap in looks:
        found.add(score, age, overlap)
    return found.enough


def test_no_detection_is_not_enough() -> None:
    assert not evidence()


def test_one_sure_detection_is_enough() -> None:
    assert evidence((0.85, 0.0, 1.0))


@pytest.mark.parametrize(
    ("second", "enough"),
    [((0.6, 0.1, 0.8), True), ((0.6, 0.05, 0.8), False), ((0.6, 0.1, 0.3), False), ((0.45, 0.1, 0.8), False)],
    ids=["agrees", "too soon", "elsewhere", "too weak"],
)
def test_a_second_detection_must_agree_later_and_well(second: tuple[float, float, float], enough: bool) -> None:
    assert evidence((0.6, 0.0, 1.0), second) is enough


def test_a_detection_that_disagrees_begins_the_count_again() -> None:
    assert not evidence((0.6, 0.0, 1.0), (0.6, 0.2, 0.1))
    assert evidence((0.6, 0.0, 1.0), (0.6, 0.2, 0.1), (0.6, 0.3, 0.9))


def oval(share: float, centre: tuple[float, float] = (0.5, 0.55)) -> np.ndarray:
    """A mask of that share of the crop."""
    radius = np.sqrt(share / np.pi) * SIDE
    mask = np.zeros((SIDE, SIDE), np.float32)
    middle = int(centre[0] * SIDE), int(centre[1] * SIDE)
    return np.asarray(cv2.ellipse(mask, middle, (round(radius * 0.9), round(radius * 1.1)), 0, 0, 360, 1.0, -1))


POINTS = TEMPLATE * SIDE


@pytest.mark.parametrize(("share", "is_one"), [(0.3, True), (0.05, False), (0.75, False), (0.0, False)])
def test_a_faces_mask_covers_a_part_of_the_crop(share: float, is_one: bool) -> None:
    assert plausible(oval(share), POINTS) is is_one


def test_a_mask_beside_the_points_is_no_face() -> None:
    assert not plausible(oval(0.2, (0.1, 0.1)), POINTS)


def test_a_hand_over_the_mouth_leaves_a_face() -> None:
    mask = oval(0.35)
    mask[int(0.68 * SIDE) :] = 0
    assert plausible(mask, POINTS)
    assert not plausible(mask, POINTS, MaskBounds(points=5))


def test_points_outside_the_crop_are_not_in_the_mask() -> None:
    assert not plausible(np.ones((SIDE, SIDE), np.float32) * 0.6, POINTS + SIDE, MaskBounds(most_share=1.0))

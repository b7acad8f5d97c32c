import cv2
import numpy as np
import pytest

from frrcam.compose.monochrome import coloured, in_tone
from frrcam.faces.alignment import crop
from frrcam.frame import Image
from tests.compose.scenes import scene, seen

SEPIA = np.array([[0.131, 0.534, 0.272], [0.168, 0.686, 0.349], [0.189, 0.769, 0.393]])


def face() -> Image:
    one = seen(scene(0.2, 0.3))
    return crop(scene(0.2, 0.3), one.affine, 64)


def grey() -> Image:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(face(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def sepia() -> Image:
    return np.asarray(np.clip(face() @ SEPIA.T, 0, 255), np.uint8)


def test_a_face_in_colours_is_left_to_the_network():
    change = np.random.default_rng(0).normal(0, 10, (64, 64, 3)).astype(np.float32)
    assert coloured(face()) == 1.0
    assert in_tone(change, face()) is change


@pytest.mark.parametrize("toned", [grey, sepia])
def test_one_tone_is_recognised(toned) -> None:  # type: ignore[no-untyped-def]
    assert coloured(toned()) == 0.0


@pytest.mark.parametrize("toned", [grey, sepia])
def test_a_toned_face_keeps_its_tone(toned) -> None:  # type: ignore[no-untyped-def]
    picture = toned()
    change = np.full((64, 64, 3), (-12, 4, 20), np.float32)
    change[20:40] *= -1
    after = picture + in_tone(change, picture)
    rise = (after - picture) @ (0.114, 0.587, 0.299)
    assert np.abs(rise).max() > 3
    before_lab, after_lab = (cv2.cvtColor(np.float32(p) / 255, cv2.COLOR_BGR2LAB) for p in (picture, after))
    middle = np.s_[20:50, 20:44]
    assert np.abs(np.median(after_lab[middle][..., 1:] - before_lab[middle][..., 1:], axis=(0, 1))).max() < 2


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_crop_is_of_one_tone(level: int) -> None:
    assert coloured(np.full((64, 64, 3), level, np.uint8)) == 0.0

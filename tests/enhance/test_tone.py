"""Pictures of one tone stay in it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from frrcam.enhance.tone import in_tone, tone_of
from frrcam.frame import Image
from frrcam.restore.types import FakeRestorer, Restored
from tests.enhance.test_enhance import run, scene, write

TONES = {
    "grey": (1.0, 1.0, 1.0),
    "sepia": (0.7, 0.95, 1.15),
    "cyanotype": (1.2, 1.0, 0.8),
    "night vision": (0.3, 1.0, 0.3),
}


def toned(tone: str) -> Image:
    grey = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.clip(np.rint(grey[..., None] * np.array(TONES[tone], np.float32)), 0, 255).astype(np.uint8)


class Painter(FakeRestorer):
    """Paints skin: much more red than blue, as networks that know faces in colours do."""

    def restore(self, crops: list[Image]) -> Restored:
        result = super().restore(crops)
        result.restored[:, 0] += 0.12
        result.restored[:, 2] -= 0.08
        return result


def lab(image: Image) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB))


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_toned_picture_stays_in_its_tone_over_the_whole_face(tmp_path: Path, tone: str, ending: str) -> None:
    before = toned(tone)
    run(write(tmp_path / f"a.{ending}", before), tmp_path / "b.png", restorer=Painter())
    after = cv2.imread(str(tmp_path / "b.png"))
    assert after is not None
    assert np.abs(after.astype(int) - before)[56:72, 72:88].max() > 5, "the face did change"
    levels = np.arange(256, dtype=np.float32)[:, None] * np.array(TONES[tone], np.float32)
    ramp = lab(np.clip(levels, 0, 255).astype(np.uint8)[None])[0]
    found = lab(after)[50:78, 66:94].reshape(-1, 3)
    for channel in (1, 2):
        expected = np.interp(found[:, 0], ramp[:, 0], ramp[:, channel])
        assert np.abs(found[:, channel] - expected).mean() < 2


def test_a_picture_in_colours_is_left_as_it_is() -> None:
    after = np.clip(scene().astype(int) + 9, 0, 255).astype(np.uint8)
    assert tone_of(scene()) is None
    assert in_tone(scene(), after) is after


def test_a_grey_picture_with_something_coloured_is_in_colours() -> None:
    image = toned("grey")
    image[20:50, 20:50, 2] += 40
    assert tone_of(image) is None


@pytest.mark.parametrize("tone", TONES)
def test_pixels_that_do_not_change_keep_their_bits(tone: str) -> None:
    before = toned(tone)
    after = before.copy()
    after[40:60] += 10
    result = in_tone(before, after)
    np.testing.assert_array_equal(result[:40], before[:40])
    np.testing.assert_array_equal(result[60:], before[60:])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_breaks_nothing(level: int) -> None:
    flat = np.full((64, 64, 3), level, np.uint8)
    np.testing.assert_array_equal(in_tone(flat, flat), flat)

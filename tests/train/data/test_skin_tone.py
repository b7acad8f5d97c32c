import math

import pytest
import torch
from skimage.color import lab2rgb

from train.data import skin_tone
from train.data.faces import Faces


def face(lightness: float, yellow: float) -> torch.Tensor:
    colour = torch.from_numpy(lab2rgb([[[lightness, 12.0, yellow]]])[0, 0]).float()
    return colour[:, None, None].expand(3, 40, 40)


@pytest.mark.parametrize(
    ("lightness", "yellow", "name"),
    [(82, 14, "very light"), (66, 16, "light"), (61, 18, "intermediate"), (56, 18, "tan"), (47, 18, "brown")],
)
def test_the_angle_and_its_bin(lightness: float, yellow: float, name: str) -> None:
    found = skin_tone.angles(face(lightness, yellow)[None], None)
    assert float(found) == pytest.approx(math.degrees(math.atan2(lightness - 50, yellow)), abs=0.3)
    assert skin_tone.bin_of(float(found)) == name


def test_dark_and_unknown() -> None:
    assert skin_tone.bin_of(-50) == "dark"
    assert skin_tone.bin_of(math.nan) is None


def test_only_the_masked_cheeks_count() -> None:
    image = face(35, 10)[None].clone()
    image[:, :, 24:27, 13:16] = face(82, 14)[:, :3, :3]
    mask = torch.zeros(1, 1, 40, 40)
    mask[:, :, 24:27, 13:16] = 1
    assert skin_tone.bin_of(float(skin_tone.angles(image, mask))) == "very light"
    assert skin_tone.bin_of(float(skin_tone.angles(image, None))) == "dark"
    assert bool(skin_tone.angles(image, torch.zeros_like(mask)).isnan().all())


def test_members_of_every_bin() -> None:
    rows = skin_tone.members(torch.tensor([60.0, -70, 5, 61, math.nan]))
    assert {name: own.tolist() for name, own in rows.items()} == {
        "very light": [0, 3],
        "light": [],
        "intermediate": [],
        "tan": [],
        "brown": [2],
        "dark": [1],
    }


def test_a_rare_tone_is_shown_as_often_as_the_commonest() -> None:
    # 64 px faces in one colour each: 30 light, 10 dark
    tones = [face(66, 16)] * 30 + [face(30, 10)] * 10
    canvases = torch.stack(tones)[:, :, :1, :1].mul(255).round().byte().permute(0, 2, 3, 1).expand(40, 72, 72, 3)
    shown = Faces(canvases.numpy(), 64, tuple(f"face-{i}" for i in range(40)))
    training = shown.indices(training=True)
    lesson = skin_tone.even_lesson(shown)
    assert set(lesson) == set(training)
    dark, light = (lesson >= 30).sum(), (lesson < 30).sum()
    assert light == (training < 30).sum()
    assert abs(dark - light) <= (training >= 30).sum() / 2

"""The comparison of tones, on faces of one colour and on restorers whose fault is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.color import lab2rgb
from torch import Tensor

from train.data.faces import Faces
from train.evaluate import skin_tone_gap
from train.evaluate.skin_tone_gap import Restorer

LIGHT, DARK = (66, 16), (30, 10)


def painted(colours: list[tuple[float, float]]) -> Faces:
    """64 px faces of one colour each, with noise of the same kind in all."""
    noise = np.random.default_rng(0).normal(0, 6, (len(colours), 72, 72, 1))
    skin = np.array([255 * lab2rgb([[[lightness, 12.0, yellow]]])[0, 0] for lightness, yellow in colours])
    canvases = np.clip(skin[:, None, None] + noise, 0, 255).round().astype(np.uint8)
    return Faces(canvases, 64, tuple(f"face-{i}" for i in range(len(colours))))


def outputs(restored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return restored, torch.ones_like(restored[:, :1]), torch.zeros(len(restored), 3)


def looked_at(restore: Restorer) -> skin_tone_gap.Tones:
    faces = painted([LIGHT, DARK] * 24)
    angles, (values,) = skin_tone_gap.psnr([(restore, 336)], faces, np.arange(48), 1)
    return skin_tone_gap.compare("it", 336, angles, values)


def test_who_serves_all_alike_does_not_differ_from_chance() -> None:
    values = {"restored": 20 + torch.randn(48, generator=torch.Generator().manual_seed(1)), "blurred": torch.zeros(48)}
    angles = torch.tensor([50.0, -50.0] * 24)
    contrast = skin_tone_gap.compare("it", 336, angles, values).contrast["beyond"]
    assert contrast.share > 0.05
    assert contrast.spread < 3 * contrast.chance


def test_who_serves_one_tone_worse_is_outputs() -> None:
    """What it gives is the mean of all skins: the farther from it, the worse."""
    found = looked_at(lambda images: outputs(torch.full_like(images, 0.55)))
    assert list(found.faces) == ["light", "dark"]
    assert set(found.faces.values()) == {24}
    light, dark = (found.means["restored"][name].value for name in ("light", "dark"))
    assert light > dark + 2.0
    assert found.contrast["beyond"].share == 0.0
    assert found.contrast["beyond"].spread == pytest.approx(light - dark, abs=1.5)


def test_every_restorer_sees_the_same_pictures() -> None:
    seen: list[list[Tensor]] = [[], []]

    def look(at: int, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen[at].append(images)
        return outputs(images)

    faces = painted([LIGHT, DARK] * 8)
    skin_tone_gap.psnr(
        [(lambda images: look(0, images), 336), (lambda images: look(1, images), 336)], faces, np.arange(16), 2
    )
    assert len(seen[0]) == 2 * 2
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_too_few_faces_are_an_error() -> None:
    values = {"restored": torch.zeros(9), "blurred": torch.zeros(9)}
    with pytest.raises(ValueError, match="of 9 faces fewer than two tones have 8"):
        skin_tone_gap.compare("it", 336, torch.full((9,), 50.0), values)


def test_too_few_faces_are_reported_before_one_is_restored() -> None:
    with pytest.raises(ValueError, match="of 14 faces fewer than two tones have 8"):
        skin_tone_gap.psnr(
            [(lambda images: pytest.fail("restored"), 336)], painted([LIGHT, DARK] * 7), np.arange(14), 1
        )


def test_the_page_and_its_picture(tmp_path: Path) -> None:
    values = {"restored": torch.linspace(20, 30, 16), "blurred": torch.full((16,), 33.0)}
    found = skin_tone_gap.compare("it.onnx", 224, torch.tensor([50.0] * 8 + [-50.0] * 8), values)
    written = skin_tone_gap.page([found], "python -m train tones", "16 faces")
    assert "| light | 8 | 22.33 [" in written
    assert "| spread, dB | | 5.33 | 0.00 | 5.33 |" in written
    skin_tone_gap.draw([found], tmp_path / "new" / "tones.png")
    picture = cv2.imread(str(tmp_path / "new" / "tones.png"))
    assert picture is not None
    assert picture.std() > 10

"""Evaluation with restorers whose scores are known, and the sheets."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from train import evaluate, masks, sheet
from train.data import Faces
from train.model import FRRNet


@pytest.fixture(scope="module")
def faces() -> Faces:
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (150, 5, 5, 3), np.uint8)
    canvases = np.stack([cv2.resize(image, (54, 54), interpolation=cv2.INTER_CUBIC) for image in small])
    return Faces(canvases, 48, tuple(f"face-{i}" for i in range(150)))


def unchanged(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return images, torch.ones(len(images), 1, *images.shape[2:]), torch.ones(len(images), 3)


def test_a_restorer_that_does_nothing_scores_what_its_input_does(faces: Faces) -> None:
    scores = evaluate.evaluate(unchanged, 336, faces, None, count=2)
    assert scores.psnr == pytest.approx(scores.input_psnr)
    assert scores.ssim == pytest.approx(scores.input_ssim)
    assert scores.low <= scores.psnr <= scores.high
    assert scores.clean_psnr == 100
    assert scores.identity is None
    assert scores.faces == 2


def test_the_pairs_are_always_the_same(faces: Faces) -> None:
    first, second = (evaluate.held_out_pairs(faces, 2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[2].any(1).all()


def test_bootstrap_of_a_constant_is_that_constant() -> None:
    assert evaluate.bootstrap(torch.full((9,), 3.5)) == (3.5, 3.5)


def test_resize_keeps_the_mean() -> None:
    image = torch.rand(1, 3, 64, 64)
    assert float(evaluate.resize(image, 32).mean()) == pytest.approx(float(image.mean()), abs=1e-3)
    assert evaluate.resize(image, 64) is image


def test_a_sheet_has_all_rows(faces: Faces) -> None:
    image = sheet.faces_sheet(unchanged, 96, faces, count=3, columns=2, cell=40)
    # two bands of three rows; the second band is filled up with a blank
    assert image.shape == (240, 80, 3)


def test_no_wild_pictures_is_said(tmp_path: Path) -> None:
    class Nobody:
        def find(self, image: NDArray[np.uint8]) -> None:
            return None

    with pytest.raises(FileNotFoundError, match="wild"):
        sheet.wild_sheet(unchanged, 96, tmp_path, Nobody())
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((50, 60, 3), 90, np.uint8))
    assert sheet.wild_sheet(unchanged, 96, tmp_path, Nobody(), cell=32).shape == (64, 32, 3)


def test_classes_of_a_palette_picture() -> None:
    classes = np.array([[0, 1], [18, 13]], np.uint8)
    picture = Image.frombytes("P", (2, 2), classes.tobytes())
    picture.putpalette([i % 256 for i in range(768)])
    content = BytesIO()
    picture.save(content, "PNG")
    assert np.array_equal(masks.palette_indices(content.getvalue()), classes)


def test_labels_have_the_teachers_canvas(faces: Faces, tmp_path: Path) -> None:
    teacher = FRRNet(width=4, depth=1, stem_stride=2, blocks=(1, 1, 1)).eval().requires_grad_(False)
    few = Faces(faces.canvases[:3], faces.size, faces.keys[:3])
    masks.label(teacher, few, tmp_path / "masks.npy")
    assert np.load(tmp_path / "masks.npy").shape == (3, 144, 144)


def test_a_teacher_learns_a_region() -> None:
    random = np.random.default_rng(0)
    regions = np.zeros((60, 36, 36), np.uint8)
    regions[:, 9:27, 9:27] = 255
    canvases = random.integers(0, 90, (60, 36, 36, 3), np.uint8) + (regions[..., None] // 2)
    segmented = Faces(canvases.astype(np.uint8), 32, tuple(f"face-{i}" for i in range(60)), regions)
    teacher = masks.fit_teacher(segmented, masks.Settings(images=320, batch=8), lambda text: None)
    assert masks.dice_score(teacher, segmented) > 0.8

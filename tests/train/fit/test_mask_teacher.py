"""Mask labels: what the teacher learns from, how it is measured, and what it labels."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.train.data.test_faces import write_shards
from train.__main__ import app
from train.data.faces import LABELS, Faces, canvas_size, load_bare, load_faces
from train.fit import checkpoint, mask_teacher


def discs(count: int, size: int = 32) -> Faces:
    """Bright discs on a dark ground, and where they are."""
    random, side = np.random.default_rng(0), canvas_size(size)
    canvases = np.full((count, side, side, 3), 40, np.uint8)
    truth = np.zeros((count, side, side), np.uint8)
    for canvas, mask in zip(canvases, truth, strict=True):
        centre, radius = random.integers(13, side - 13, 2).tolist(), int(random.integers(6, 12))
        cv2.circle(canvas, centre, radius, (220, 180, 160), -1)
        cv2.circle(mask, centre, radius, 255, -1)
    return Faces(canvases, size, tuple(f"disc-{i}" for i in range(count)), truth)


def test_the_region_is_read_from_the_palette() -> None:
    classes = np.array([[0, 1], [13, 12]], np.uint8)
    image = Image.frombytes("P", (2, 2), classes.tobytes())
    image.putpalette([255, 0, 0] * 256)
    content = BytesIO()
    image.save(content, "PNG")
    assert np.array_equal(mask_teacher.palette_indices(content.getvalue()), classes)
    assert np.isin(classes, mask_teacher.REGION).tolist() == [[False, True], [False, True]]


def test_a_detector_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"yunet\.onnx: no such file"):
        mask_teacher.read_segmented(tmp_path, tmp_path / "yunet.onnx")


def test_a_teacher_is_saved_measured_and_labels(tmp_path: Path) -> None:
    faces = discs(200)
    settings = mask_teacher.Settings(images=16, batch=8)
    shares: list[float] = []
    teacher = mask_teacher.fit_teacher(
        faces, settings, lambda text: None, advance=lambda share, text: shares.append(share)
    )
    assert shares == [0.5, 1]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / LABELS).write_bytes(b"another teacher's")
    mask_teacher.save_teacher(tmp_path / "cache" / "teacher.pt", teacher, settings)
    assert not (tmp_path / "cache" / LABELS).exists()
    again, images = checkpoint.load_network(tmp_path / "cache" / "teacher.pt")
    assert images == 16
    scores = mask_teacher.dice_scores(again, faces)
    assert scores == mask_teacher.dice_scores(teacher, faces)
    assert scores.faces == len(faces.indices(training=False))
    assert scores.lowest <= scores.low <= scores.dice <= scores.high <= 1

    pictures = torch.rand(2, 3, 48, 48)
    labels = mask_teacher.Labeller(again)(pictures)
    assert labels.shape == (2, 1, 48, 48)
    assert float(labels.min()) >= 0
    assert float(labels.max()) <= 1

    mask_teacher.label(again, faces, tmp_path / "masks.npy")
    assert np.load(tmp_path / "masks.npy").shape == (
        200,
        canvas_size(mask_teacher.SIZE),
        canvas_size(mask_teacher.SIZE),
    )


def test_options_of_a_training_that_is_over_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "teacher.pt").write_bytes(b"trained")
    places = ["--data", str(tmp_path), "--runs", str(tmp_path), "--figures", str(tmp_path / "figures.json")]
    for option, said in (("80", "--images would change nothing without --again"), ("0", "--images must be above 0")):
        result = CliRunner().invoke(app, ["masks", *places, "--images", option])
        assert isinstance(result.exception, ValueError)
        assert said in str(result.exception)


def test_there_must_be_faces_to_label_before_a_teacher_learns(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["masks", "--data", str(tmp_path), "--runs", str(tmp_path)])
    assert isinstance(result.exception, FileNotFoundError)
    assert "no shard faces-train-*.tar" in str(result.exception)


def test_labels_of_other_faces_are_in_nobodys_way_to_new_ones(tmp_path: Path) -> None:
    write_shards(tmp_path, [4])
    np.save(tmp_path / LABELS, np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="run python -m train masks --again"):
        load_faces(tmp_path, tmp_path, 32)
    assert load_bare(tmp_path, tmp_path, 32).masks is None


@pytest.mark.train
def test_a_teacher_learns() -> None:
    faces = discs(200)
    teacher = mask_teacher.fit_teacher(faces, mask_teacher.Settings(images=1600, batch=8), lambda text: None)
    assert mask_teacher.dice_scores(teacher, faces).dice > 0.8

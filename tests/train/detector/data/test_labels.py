import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.train.data.test_faces import write_shards
from train.data.faces import identities, parse_points
from train.detector.__main__ import app
from train.detector.data.faces import FaceBank, YuNet, choose_box, label, load, load_or_label, save

KPS = [106, 110, 150, 110, 128, 135, 110, 165, 146, 165]
ROW = np.array([72, 54, 112, 148, *KPS, 0.9], np.float32)


def sample(image: np.ndarray, kps: list[float]) -> dict[str, bytes]:
    return {"webp": cv2.imencode(".png", image)[1].tobytes(), "json": json.dumps({"kps": kps}).encode()}


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"kps": [1, 2]}', b'{"kps": "eyes"}', b"no json", b'{"kps": [5, 5, 5, 5, 1, 1, 2, 2, 3, 3]}'],
)
def test_points_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"five points|not a face|Expecting"):
        parse_points(content)


def test_points_are_read_in_pairs() -> None:
    assert parse_points(json.dumps({"kps": KPS}).encode())[4].tolist() == [146, 165]


def test_the_box_on_the_points_is_chosen() -> None:
    elsewhere = ROW + 150
    box = choose_box(np.stack((elsewhere, ROW)), np.array(KPS, np.float32).reshape(5, 2))
    assert box is not None
    assert box.tolist() == [72, 54, 184, 202]


def test_no_box_is_chosen_where_none_lies_on_the_points() -> None:
    points = np.array(KPS, np.float32).reshape(5, 2)
    assert choose_box(ROW[None] + 60, points) is None
    assert choose_box(np.zeros((0, 15), np.float32), points) is None


def test_labelling_leaves_out_what_the_labeller_does_not_see(bank: FaceBank, tmp_path: Path) -> None:
    face = np.asarray(bank.pictures[0][0])
    samples = [("seen", sample(face, KPS)), ("dark", sample(face // 8, KPS)), ("wide", sample(face[:200], KPS))]
    labelled = label(samples, lambda image: ROW[None] if image.mean() > 30 else np.zeros((0, 15), np.float32))
    assert labelled.keys == ("seen",)
    save(labelled, tmp_path, ["one.tar 7"])
    loaded, shards = load(tmp_path)
    assert shards == ["one.tar 7"]
    assert loaded.keys == ("seen",)
    np.testing.assert_allclose(loaded.boxes[0] * 256, (72, 54, 184, 202))
    assert [level.shape[1] for level in loaded.pictures] == [256, 128, 64, 32]


def test_labels_of_other_shards_are_not_taken(bank: FaceBank, tmp_path: Path) -> None:
    write_shards(tmp_path, [3])
    cache = tmp_path / "cache"
    save(bank, cache, identities(tmp_path))
    assert load_or_label(tmp_path, cache).keys == bank.keys
    write_shards(tmp_path, [3, 3])
    with pytest.raises(ValueError, match=r"cache holds the faces of other shards than .*: delete its labels\.npz"):
        load_or_label(tmp_path, cache)
    (cache / "labels.npz").unlink()
    with pytest.raises(FileNotFoundError, match="no labeller"):
        load_or_label(tmp_path, cache)


def test_labels_that_do_not_know_their_shards_are_not_taken(bank: FaceBank, tmp_path: Path) -> None:
    write_shards(tmp_path, [3])
    save(bank, tmp_path, [])
    np.savez(tmp_path / "labels.npz", boxes=bank.boxes, points=bank.points, keys=np.array(bank.keys))
    with pytest.raises(ValueError, match="other shards"):
        load_or_label(tmp_path, tmp_path)


def test_the_data_is_where_the_environment_says(tmp_path: Path) -> None:
    result = CliRunner(env={"FRRCAM_DATA": str(tmp_path / "mine")}).invoke(app, ["labels", "--cache", str(tmp_path)])
    assert isinstance(result.exception, FileNotFoundError)
    assert str(tmp_path / "mine") in str(result.exception)


def test_faces_in_other_formats_are_labelled(bank: FaceBank) -> None:
    files = sample(np.asarray(bank.pictures[0][0]), KPS)
    labelled = label([("seen", {"jpg": files["webp"], "json": files["json"]})], lambda _image: ROW[None])
    assert labelled.keys == ("seen",)


def test_a_spoilt_face_is_named() -> None:
    with pytest.raises(ValueError, match=r"^face lone: a face needs a picture"):
        label([("lone", {"json": b"{}"})], lambda _image: ROW[None])


def test_a_folder_without_faces_is_refused() -> None:
    with pytest.raises(ValueError, match="face shards"):
        label([], lambda image: np.zeros((0, 15), np.float32))


def test_a_missing_labeller_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"yunet\.onnx"):
        YuNet(tmp_path / "yunet.onnx")


def test_a_small_face_comes_from_a_small_level(bank: FaceBank) -> None:
    assert bank.level(0, 20).shape[0] == 32
    assert bank.level(0, 100).shape[0] == 128
    assert bank.level(0, 900).shape[0] == 256

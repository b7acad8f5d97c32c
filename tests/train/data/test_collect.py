import io
import json
import subprocess
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data import collect
from train.data.collect import Collector, Found, Known, Sample, Source


def face(seed: int = 0, size: int = 300) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 255, (size, size, 3)).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


class FoundFace:
    """Finds one face in the middle of every picture."""

    def __call__(self, image: np.ndarray) -> Found | None:
        side = image.shape[0] * 0.9
        template = np.array([(0.38, 0.47), (0.62, 0.47), (0.5, 0.62), (0.39, 0.73), (0.61, 0.73)])
        return Found(np.asarray(template * side + 0.05 * image.shape[0], np.float32), side)


class NoFace:
    """Finds none."""

    def __call__(self, image: np.ndarray) -> Found | None:
        return None


def embed(image: np.ndarray) -> np.ndarray:
    vector = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() - 127
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)


def collector(finder: object = None, kept: list[np.ndarray] | None = None) -> Collector:
    return Collector(finder or FoundFace(), Known(embed, kept or []), 240)  # type: ignore[arg-type]


def test_a_good_picture_is_taken_with_its_points_and_terms():
    sample = collector().take("set", "a.png", png(face()), "CC0")
    assert sample is not None
    assert sample.image.shape[0] == sample.image.shape[1] <= collect.STORED
    assert (sample.about["source"], sample.about["licence"], len(sample.about["kps"])) == ("set", "CC0", 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no picture", "not a picture"),
        (png(face(size=200)), "smaller than 240 px"),
        (png(np.asarray(cv2.resize(face(size=8), (300, 300), interpolation=cv2.INTER_CUBIC), np.uint8)), "soft"),
    ],
)
def test_a_picture_is_refused_and_counted(content: bytes, reason: str):
    one = collector()
    assert one.take("set", "a.png", content, "") is None
    assert one.counts == {reason: 1}


def test_a_picture_without_one_face_a_twin_and_a_kept_face_are_refused():
    assert collector(NoFace()).take("set", "a", png(face()), "") is None
    one = collector()
    assert one.take("set", "a", png(face(1)), "") is not None
    assert one.take("set", "b", png(face(1)), "") is None
    assert one.counts == {"taken": 1, "a twin of another": 1}
    found = FoundFace()(face(2))
    assert found is not None
    known = collector(kept=[collect.aligned(face(2), found.points, 112)])
    known.take("set", "c", png(face(2)), "")
    assert known.counts == {"kept for measuring": 1}


def test_a_shard_appears_whole_with_each_picture_once(tmp_path: Path):
    sample = Sample("key", face(), {"source": "set"})
    collect.write(iter([sample, sample]), tmp_path / "out" / "faces-train-set-000.tar")
    with tarfile.open(tmp_path / "out" / "faces-train-set-000.tar") as tar:
        assert tar.getnames() == ["key.webp", "key.json"]
        content = tar.extractfile("key.json")
        assert content is not None
        assert json.load(io.TextIOWrapper(content)) == {"source": "set"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["faces-train-set-000.tar"]


def test_pictures_come_from_a_folder_and_from_a_commit(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.png").write_bytes(b"1")
    (tmp_path / "a" / "note.txt").write_text("x")
    assert list(collect.from_folder(tmp_path)) == [("a/one.png", b"1")]
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    source = Source("test/test", commit, ("a/*",))
    assert list(collect.from_repository(tmp_path / ".git", source)) == [("a/one.png", b"1")]
    with pytest.raises(ValueError, match="cannot read"):
        list(collect.from_repository(tmp_path / ".git", Source("test/test", "0" * 40, ("a/*",))))


def test_an_empty_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no picture in it"):
        list(collect.from_folder(tmp_path))

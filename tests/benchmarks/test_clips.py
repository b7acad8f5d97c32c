"""Clips of the benchmark's own making, and the faces of clips."""

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.scene.clips import PORTRAITS, SCENES, find_faces, own_clip, read_clip
from frrcam.errors import SourceUnusable
from frrcam.faces.detector import FakeDetector
from frrcam.faces.types import Detection
from frrcam.frame import Image
from tests.sources.clips import write_clip

SKIN, WALL = 200, 60


def webp(image: Image) -> bytes:
    return bytes(cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 101])[1])


def labels(person: Image) -> bytes:
    file = io.BytesIO()
    picture = Pillow.fromarray(person)
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(file, "PNG")
    return file.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def fill(folder: Path, *, touches_top: bool = False) -> Path:
    """One portrait, a bright disc on a body, and one scene, grey all over."""
    person = np.zeros((176, 176), np.uint8)
    cv2.circle(person, (88, 80), 40, 1, -1)
    person[120:, 50:126] = 1
    if touches_top:
        person[:60, 60:120] = 1
    pack(
        folder / PORTRAITS,
        {"a.webp": webp(np.full((176, 176, 3), SKIN, np.uint8)), "a.seg.png": labels(person)},
    )
    pack(folder / SCENES, {"b.webp": webp(np.full((200, 300, 3), WALL, np.uint8)), "b.json": b"{}"})
    return folder


def middle(image: Image) -> float:
    """The mean x of the person's pixels."""
    return float(np.nonzero(image.mean(2) > (SKIN + WALL) / 2)[1].mean())


def test_own_clip_moves_a_person_slowly_before_a_still_scene(tmp_path: Path) -> None:
    clip = own_clip(fill(tmp_path), 0, seed=0)
    assert len(clip.images) == len(clip.times) == 40
    assert clip.images[0].shape == (480, 640, 3)
    assert [person.shape for person in clip.people] == [(480, 640)] * 40
    assert clip.images[0][clip.people[0] == 1].min() > 150
    steps = np.diff([middle(image) for image in clip.images])
    assert 0.5 < np.abs(steps).max() < 4
    assert all((image[:40, :40] == clip.images[0][:40, :40]).all() for image in clip.images)
    assert all((image[-1].mean(1) > 150).any() for image in clip.images), "the person reaches the lower edge"


def test_own_clip_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    fill(tmp_path)
    first, again, other = (own_clip(tmp_path, 0, seed, frames=2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images[1], again.images[1])
    assert (first.images[1] != other.images[1]).any()


def test_portrait_whose_head_is_cut_off_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="no portrait"):
        own_clip(fill(tmp_path, touches_top=True), 0, seed=0)


def test_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match=PORTRAITS):
        own_clip(tmp_path, 0, seed=0)


def test_clip_file_is_read_up_to_the_frames_asked_for(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "short.mp4", 10), 4)
    assert (clip.name, clip.fps, len(clip.images)) == ("short", 25, 4)
    assert clip.times == pytest.approx([0, 0.04, 0.08, 0.12])


def test_faces_of_a_clip_are_those_that_the_detector_finds(tmp_path: Path) -> None:
    box = (10.0, 5.0, 60.0, 60.0)
    detector = FakeDetector([Detection(box, 0.9, np.zeros((5, 2), np.float32))])
    clip = find_faces(read_clip(write_clip(tmp_path / "short.mp4", 4), 4), detector)
    assert clip.faces == [[box]] * 4

from pathlib import Path

import cv2
import pytest

from frrcam.errors import SourceNotFound, UsageError
from frrcam.sources import DemoSource, PictureSource, VideoSource, open_source
from tests.sources.clips import picture, write_clip


def test_the_argument_tells_the_kind(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 1)
    cv2.imwrite(str(tmp_path / "face.png"), picture(0))
    assert isinstance(open_source(source="demo", size=(320, 180), fps=10), DemoSource)
    assert isinstance(open_source(source=str(clip)), VideoSource)
    assert isinstance(open_source(source=str(tmp_path / "face.png")), PictureSource)


def test_a_looping_clip_never_ends(tmp_path: Path) -> None:
    source = open_source(source=str(write_clip(tmp_path / "clip.mp4", 1)), loop=True)
    assert all(source.read() is not None for _ in range(3))
    source.close()


def test_a_camera_and_a_file_are_not_both_meant() -> None:
    with pytest.raises(UsageError, match="name one of them"):
        open_source(device="0", source="demo")


def test_a_missing_file_is_not_taken_for_a_camera(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file"):
        open_source(source=str(tmp_path / "nothing.mp4"))

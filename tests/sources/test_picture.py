import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frrcam.errors import SourceLost, SourceNotFound, SourceUnusable, UsageError
from frrcam.sources.picture import PictureSource, is_picture, read_picture
from tests.sources.clips import picture, write_clip
from tests.sources.stills import save


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("name", ["face.jpg", "face.png", "face.webp", "face.tiff", "face.bmp"])
def test_reads_what_cameras_write(tmp_path: Path, name: str) -> None:
    image = read_picture(write(tmp_path / name, picture(3)))
    assert image.dtype == np.uint8
    assert image.shape == (64, 96, 3)
    assert np.abs(image.astype(int) - picture(3)).mean() < 3


def test_grey_sixteen_bits_and_transparency_become_plain_colour(tmp_path: Path) -> None:
    grey = read_picture(write(tmp_path / "grey.png", picture(3)[..., 0]))
    deep = read_picture(write(tmp_path / "deep.png", picture(3).astype(np.uint16) * 257))
    clear = read_picture(write(tmp_path / "clear.png", np.dstack([picture(3), np.full((64, 96), 99, np.uint8)])))
    for image in (grey, deep, clear):
        assert np.array_equal(image, picture(3))


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + jpeg[2:]


def test_turned_pictures_come_upright(tmp_path: Path) -> None:
    path = write(tmp_path / "phone.jpg", picture(3))
    path.write_bytes(with_orientation(path.read_bytes(), 6))
    assert np.abs(read_picture(path).astype(int) - np.rot90(picture(3), 3)).mean() < 3


def test_a_thumbnails_end_is_not_the_pictures_end(tmp_path: Path) -> None:
    path = write(tmp_path / "phone.jpg", picture(3))
    data = path.read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    path.write_bytes(data[:2] + thumbnail + data[2:])
    assert read_picture(path).shape == (64, 96, 3)
    path.write_bytes(data[:2] + thumbnail + data[2:-100])
    with pytest.raises(SourceUnusable, match="truncated"):
        read_picture(path)


def test_what_fills_up_before_a_segment_is_no_end(tmp_path: Path) -> None:
    path = write(tmp_path / "filled.jpg", picture(3))
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xff\xff" + data[2:])
    assert read_picture(path).shape == (64, 96, 3)


@pytest.mark.parametrize("name", ["face.jpg", "face.png", "face.webp"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(share=st.floats(0.05, 0.99))
def test_a_picture_cut_anywhere_is_refused(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    data = write(tmp_path / name, noise).read_bytes()
    (tmp_path / name).write_bytes(data[: max(1, int(len(data) * share))])
    with pytest.raises(SourceUnusable, match=r"truncated|not a picture"):
        read_picture(tmp_path / name)


def test_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("This is no picture.\n")
    (tmp_path / "empty.jpg").touch()
    write(tmp_path / "tiny.png", picture(0)[:8, :8])
    write(tmp_path / "long.png", np.zeros((40, 9000, 3), np.uint8))
    with pytest.raises(SourceUnusable, match="not a picture"):
        read_picture(tmp_path / "text.jpg")
    with pytest.raises(SourceUnusable, match="empty"):
        read_picture(tmp_path / "empty.jpg")
    with pytest.raises(SourceUnusable, match="8x8 pixels"):
        read_picture(tmp_path / "tiny.png")
    with pytest.raises(SourceUnusable, match="9000x40 pixels"):
        PictureSource(tmp_path / "long.png")
    with pytest.raises(SourceUnusable, match="a folder"):
        read_picture(tmp_path)
    with pytest.raises(SourceNotFound, match="no such file"):
        read_picture(tmp_path / "nothing.jpg")


def test_knows_pictures_from_clips(tmp_path: Path) -> None:
    write(tmp_path / "face.png", picture(0)).rename(tmp_path / "face")
    assert is_picture(tmp_path / "face")
    assert is_picture(tmp_path / "nothing.JPG")
    assert is_picture(tmp_path / "IMG_0001.HEIC")
    for ending in ("heic", "avif"):
        assert is_picture(save(tmp_path / f"face.{ending}", picture(0)).rename(tmp_path / f"no-name-{ending}"))
    assert not is_picture(write_clip(tmp_path / "clip.mp4", 1))
    assert not is_picture(tmp_path / "nothing")


def test_holds_the_picture_up_for_ever(tmp_path: Path) -> None:
    with PictureSource(write(tmp_path / "face.png", picture(3)), fps=10) as source:
        frames = [source.read() for _ in range(25)]
        assert (source.info.name, source.info.width, source.info.height) == ("face.png", 96, 64)
        assert (source.info.fps, source.info.live) == (10, False)
    assert [frame.index for frame in frames] == list(range(25))
    assert frames[24].timestamp == pytest.approx(2.4)
    assert all(np.array_equal(frame.image, picture(3)) for frame in frames)
    source.close()
    with pytest.raises(SourceLost, match="closed"):
        source.read()


def test_an_absurd_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose 1 to 240"):
        PictureSource(write(tmp_path / "face.png", picture(3)), fps=0)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there every name is Unicode")
def test_a_name_that_is_not_utf8_is_a_name_too(tmp_path: Path) -> None:
    path = tmp_path / "gr\udcfcn"
    path.write_bytes(write(tmp_path / "face.png", picture(3)).read_bytes())
    assert is_picture(path)
    assert read_picture(path).shape == (64, 96, 3)
    path.write_bytes(b"no picture")
    assert not is_picture(path)

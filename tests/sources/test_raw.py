"""Cameras' raw files, and pictures that are none."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.errors import SourceUnusable
from frrcam.sources.raw import raw_reason
from frrcam.sources.still import open_picture
from tests.sources.stills import raw_tiff, save, soft


@pytest.mark.parametrize("name", ["photo.dng", "photo.nef", "photo.tif", "photo"])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"order": ">"},
        {"reduced": False},
        {"below": None},
        {"below": None, "reduced": False, "following": (1200, 800)},
        {"below": None, "reduced": False, "dng": True},
    ],
)
def test_a_raw_file_is_refused_by_name(tmp_path: Path, name: str, shape: dict[str, Any]) -> None:
    (tmp_path / name).write_bytes(raw_tiff(**shape))
    with pytest.raises(SourceUnusable, match=r"a camera's raw file.*; develop it to TIFF or JPEG first") as caught:
        open_picture(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0\0\0", b"IIRO\x08\0\0\0", b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx "],
)
def test_makers_own_formats_are_known_by_their_first_bytes(head: bytes) -> None:
    assert raw_reason(head + bytes(100)) == "a camera's raw file"


def test_a_name_is_enough() -> None:
    assert raw_reason(b"what no decoder knows", "DSC0001.ARW") == "a camera's raw file"


def test_pages_that_differ_a_little_are_no_raw_file(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    assert cv2.imwritemulti(str(path), [soft(), soft(256, 200)])
    assert raw_reason(path.read_bytes(), path.name) is None
    assert open_picture(path).pages == 2


def test_smaller_pictures_below_the_first_are_no_raw_file() -> None:
    assert raw_reason(raw_tiff(reduced=False, first=(1200, 800), below=(160, 120)), "layered.tif") is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    raw_reason(b"II*\0" + data)
    raw_reason(b"MM\0*" + data)


@pytest.mark.parametrize("name", ["face.jpg", "face.png", "face.tif", "face.webp"])
def test_pictures_are_no_raw_files(tmp_path: Path, name: str) -> None:
    assert np.abs(open_picture(save(tmp_path / name, soft())).view.astype(int) - soft()).mean() < 3

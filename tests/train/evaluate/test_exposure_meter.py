import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from frrcam.compose.exposure import Meter
from frrcam.faces.alignment import TEMPLATE
from tests.compose.scenes import scene
from train.evaluate import exposure_meter


def people(folder: Path, count: int) -> Path:
    """A shard of drawn people whose places are known."""
    with tarfile.open(folder / "people-000.tar", "w") as tar:
        for number in range(count):
            image = scene(0.3 + 0.02 * (number % 5), 0.55 + 0.02 * (number % 4))
            points = (TEMPLATE - (0.5, 0.53)) * 90 + (160, 80)
            face = {"box": [115, 35, 205, 125], "points": points.tolist(), "agreed": True}
            content = {"webp": cv2.imencode(".png", image)[1].tobytes(), "json": json.dumps({"faces": [face]}).encode()}
            for ending, data in content.items():
                member = tarfile.TarInfo(f"{number:03d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder


def test_readings_darken_as_asked_and_the_fit_says_how_far(tmp_path: Path) -> None:
    readings = exposure_meter.read(people(tmp_path, 12))
    assert len(readings.face) == 12 * len(exposure_meter.DARKENED)
    lacking = -np.log2(readings.gains).sum(axis=1)
    line = exposure_meter.fit(readings.face, lacking, np.ones(len(lacking), np.bool_), 0.3)
    said = 0.3 * np.logaddexp(0, (line[0] + readings.face @ np.array(line[1:])) / 0.3)
    assert np.abs(said - lacking).mean() < 0.35


def test_errors_have_a_row_for_each_darkening(tmp_path: Path) -> None:
    rows = exposure_meter.errors(exposure_meter.read(people(tmp_path, 12)), Meter())
    assert [row[1] for row in rows][:2] == pytest.approx([0.0, 0.74], abs=0.01)
    assert all(len(row[2]) == len(exposure_meter.TONES) - 1 for row in rows)


def test_a_folder_without_people_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="people"):
        exposure_meter.read(tmp_path)

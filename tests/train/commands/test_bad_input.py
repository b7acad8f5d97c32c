"""What the measuring commands say of bad input, before they load anything large."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from train.__main__ import app
from train.fit import checkpoint
from train.publish import publish

WEIGHTS = Path(__file__).parents[3] / "weights"


def refused(*arguments: str) -> str:
    """The error of a command; `train.__main__.main` prints it in one line."""
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, (OSError, ValueError))
    return str(result.exception)


@pytest.mark.parametrize("command", ["evaluate", "times"])
def test_a_missing_file(command: str) -> None:
    assert "none.onnx: no such file" in refused(command, "none.onnx")


@pytest.mark.parametrize("command", ["evaluate", "times"])
def test_a_file_of_another_kind(command: str) -> None:
    assert "is no restorer" in refused(command, str(WEIGHTS / "frrcam-face-320.onnx"))


def test_a_checkpoint_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_text("none")
    assert "c.pt is no checkpoint" in refused("evaluate", str(tmp_path / "c.pt"))
    network = checkpoint.build({"width": 2, "depth": 1, "stem_stride": 4, "blocks": (1, 1, 1)})
    checkpoint.save(tmp_path / "d.pt", checkpoint.start(network, 1e-3))
    assert "--record" in refused("evaluate", str(tmp_path / "d.pt"), "--record")


def test_what_the_manifest_does_not_list_is_not_measured_for_the_record(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    content = onnx.load(str(WEIGHTS / "frrnet-160-int8.onnx"))
    content.doc_string = "another"
    onnx.save(content, str(other))
    # neither are there faces to measure on: they are not looked for
    said = refused("evaluate", str(other), "--record", "--data", str(tmp_path), "--runs", str(tmp_path))
    assert "other.onnx is not in" in said


def test_what_export_cannot_make(tmp_path: Path) -> None:
    assert "give SIZE-PRECISION" in refused("export", "c.pt", "--rungs", "336-int4")
    (tmp_path / "c.pt").write_text("none")
    assert "c.pt is no checkpoint" in refused("export", str(tmp_path / "c.pt"))
    network = checkpoint.build({"width": 2, "depth": 1, "stem_stride": 4, "blocks": (1, 1, 1)})
    checkpoint.save(tmp_path / "d.pt", checkpoint.start(network, 1e-3))
    assert "a crop size of 100 does not fit" in refused("export", str(tmp_path / "d.pt"), "--rungs", "100-int8")
    assert "give MinMax, Percentile or Entropy" in refused("export", str(tmp_path / "d.pt"), "--calibrate", "Guess")


def spoilt(folder: Path) -> Iterator[tuple[str, Path]]:
    """What must be said, and where the manifest, the record and the card lie, one of them spoilt."""
    for name, content, said in (
        ("manifest.toml", "<<<<<<< HEAD", "manifest.toml is no manifest"),
        ("record.json", "<<<<<<< HEAD", "is no record of measurements"),
        ("MODEL_CARD.md", "all by hand", "put these lines back"),
    ):
        (place := folder / name).mkdir()
        (place / name).write_text(content)
        yield said, place


@pytest.mark.parametrize("command", ["export", "plane"])
def test_what_cannot_be_written_on_is_said_before_anything_is_measured(command: str, tmp_path: Path) -> None:
    for said, place in spoilt(tmp_path):
        given = [str(place / "any"), "--weights", str(place), "--record", str(place / "record.json")]
        assert said in refused(command, *given, "--runs", str(tmp_path))


def test_a_record_is_kept_whole_or_nothing_is_measured(tmp_path: Path) -> None:
    for said, place in spoilt(tmp_path):
        with pytest.raises(ValueError, match=said):
            publish.known([], place, place / "record.json")


def test_a_page_that_is_no_page() -> None:
    assert "tones.png: give the name of a page, .md" in refused("tones", "--out", "tones.png")


def test_a_folder_without_weights(tmp_path: Path) -> None:
    assert "no restorer in" in refused("times", "--weights", str(tmp_path))
    assert "no restorer in" in refused("plane", str(tmp_path / "p.png"), "--weights", str(tmp_path))

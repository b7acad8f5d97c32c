"""From a checkpoint to weights/: files, manifest, record, model card; and the plane that is drawn of them."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from frrcam.restore.models import load_manifest
from tests.train.export.test_onnx import faces, network
from train.common.statistics import Figure
from train.data.faces import Jitter, batch
from train.evaluate import measure, tables, timing
from train.evaluate.timing import Timing
from train.export.onnx import export
from train.fit import checkpoint
from train.networks.frrnet import FRRNet
from train.publish import manifest, measurements, model_card, pareto, publish

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("default"),  # PyTorch's exporter warns of its own deprecations
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `publish` made of a checkpoint: w/, record.json, and what it said."""
    folder = tmp_path_factory.mktemp("publish")
    state = checkpoint.start(network().requires_grad_(True), 1e-3)
    state.images = 123
    checkpoint.save(folder / "c.pt", state)
    (folder / "w").mkdir()
    (folder / "w" / model_card.NAME).write_text(f"By hand\n{model_card.BEGIN}\nold\n{model_card.END}\nby hand too\n")
    rungs = [publish.Rung(64, "int8"), publish.Rung(32, "fp32")]
    said: list[str] = []
    publish.publish(
        folder / "c.pt",
        folder / "w",
        rungs,
        faces(),
        tools(folder),
        rungs[0].name,
        folder / "r.json",
        report=said.append,
    )
    (folder / "said").write_text("\n".join(said))
    return folder


def tools(folder: Path) -> publish.Tools:
    reference = folder / "reference.onnx"
    if not reference.exists():
        export(network(2), 32, reference)
    bench = measure.Bench(measure.held_out(faces(), 2), None, draws=1)
    return publish.Tools(bench, (), {"lpips": "no weights"}, lambda: reference)


def test_a_file_takes_its_place_when_it_is_measured(tmp_path: Path) -> None:
    """Ctrl-C while it is measured leaves the one before, which the manifest knows."""

    def interrupted(steps: Sequence[int], what: str) -> Iterator[int]:
        raise KeyboardInterrupt

    checkpoint.save(tmp_path / "c.pt", checkpoint.start(network().requires_grad_(True), 1e-3))
    kept = tmp_path / "w" / "frrnet-32-fp32.onnx"
    kept.parent.mkdir()
    kept.write_bytes(b"as it was")
    stopped = replace(tools(tmp_path), progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish.publish(
            tmp_path / "c.pt", kept.parent, [publish.Rung(32, "fp32")], faces(), stopped, "", tmp_path / "r.json"
        )
    assert [path.read_bytes() for path in kept.parent.iterdir()] == [b"as it was"]


def test_files_and_manifest(folder: Path) -> None:
    content = manifest.read(folder / "w" / "manifest.toml")
    assert content["default"] == {"restorer": "frrnet-64-int8"}
    entry = manifest.restorers(folder / "w")["frrnet-64-int8"]
    assert entry["images_seen"] == 123
    assert entry["lpips"] == "not measured"
    assert isinstance(entry["differs_from_pytorch"], float)
    assert entry["differs_from_pytorch"] <= 1e-3
    assert isinstance(entry["int8_minus_fp32"], float)
    names = {path.name for path in (folder / "w").iterdir()}
    assert names == {"frrnet-64-int8.onnx", "frrnet-32-fp32.onnx", "manifest.toml", "MODEL_CARD.md"}
    assert "frrnet-64-int8: " in (folder / "said").read_text()


def test_ranges_are_read_off_degraded_training_faces() -> None:
    source = faces()
    found = torch.from_numpy(publish.calibration(source, 64))
    assert found.shape == (96, 3, 64, 64)
    assert np.array_equal(found, publish.calibration(source, 64))
    random = np.random.default_rng(7)
    chosen = random.choice(source.indices(training=True), 96, replace=False)
    images, _ = batch(source, chosen, measure.REFERENCE, Jitter(), random)
    same = (measure.resize(images, 64).clamp(0, 1)[:, None] - found).abs().amax((2, 3, 4)) < 1e-6
    # 15 % are left as they came
    assert 4 < int(same.any(0).sum()) < 27


def test_frrcam_reads_the_manifest(folder: Path) -> None:
    entry = load_manifest(folder / "w" / "manifest.toml").models["frrnet-64-int8"]
    assert entry.psnr is not None
    assert entry.milliseconds is not None
    assert entry.lpips is None


def test_the_card_keeps_what_is_written_by_hand(folder: Path) -> None:
    text = (folder / "w" / model_card.NAME).read_text()
    assert text.startswith("By hand\n")
    assert text.endswith("\nby hand too\n")
    assert "\nold\n" not in text
    assert all(part in text for part in ("`frrnet-64-int8.onnx`", "skin tan", "lpips: no weights", "123"))
    publish.renew(folder / "w", folder / "r.json")
    assert (folder / "w" / model_card.NAME).read_text() == text


def test_a_card_without_its_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / model_card.NAME).write_text("all by hand")
    with pytest.raises(ValueError, match="put these lines back"):
        model_card.write(tmp_path / model_card.NAME, {}, [], None)
    model_card.write(tmp_path / "new.md", {}, [], None)
    assert model_card.BEGIN in (tmp_path / "new.md").read_text()


def test_measuring_again_replaces_a_version(folder: Path) -> None:
    before = measurements.read(folder / "r.json")
    assert [version["name"] for version in before] == ["frrnet-32-fp32", "frrnet-64-int8"]
    file = folder / "w" / "frrnet-64-int8.onnx"
    restore, size = measure.restorer(file)
    found, _ = publish.assess(file.name, restore, size, tools(folder))
    publish.record_again([file], [found], tools(folder), folder / "w", folder / "r.json")
    after = measurements.read(folder / "r.json")
    assert [version["name"] for version in after] == ["frrnet-32-fp32", "frrnet-64-int8"]
    assert after[1]["int8_minus_fp32"] == before[1]["int8_minus_fp32"]
    assert after[1]["report"]["quality"] == before[1]["report"]["quality"]
    measurements.retime(folder / "r.json", {after[0]["sha256"]: Timing(7.0, 0.5)})
    assert [version["ratio"] == 0.5 for version in measurements.read(folder / "r.json")] == [True, False]
    with pytest.raises(ValueError, match="is not in"):
        publish.record_again([folder / "reference.onnx"], [found], tools(folder), folder / "w", folder / "r.json")


def test_manifest_and_card_take_the_records_times(folder: Path, tmp_path: Path) -> None:
    weights, record = tmp_path / "w", tmp_path / "r.json"
    shutil.copytree(folder / "w", weights)
    shutil.copyfile(folder / "r.json", record)
    before = manifest.restorers(weights)["frrnet-64-int8"]
    measurements.retime(record, {str(before["sha256"]): Timing(7.0, 0.125)})
    publish.renew(weights, record)
    assert manifest.restorers(weights)["frrnet-64-int8"] == before | {
        "milliseconds": 7.0,
        "share_of_papers_time": 0.125,
    }
    assert manifest.read(weights / "manifest.toml")["default"] == {"restorer": "frrnet-64-int8"}
    assert "| 7.0 | 8.0 |" in (weights / model_card.NAME).read_text()


def test_a_broken_record_is_said(tmp_path: Path) -> None:
    assert measurements.read(tmp_path / "none.json") == []
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(ValueError, match="no record of measurements"):
        measurements.read(tmp_path / "r.json")


@pytest.mark.parametrize("text", ["336", "336-int4", "x-int8", "-int8", ""])
def test_what_is_no_rung_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="give SIZE-PRECISION"):
        publish.Rung.parse(text)


def test_a_rung() -> None:
    assert publish.Rung.parse("336-int8") == publish.Rung(336, "int8")


def made(name: str, ratio: float | None, psnr: float) -> measurements.Version:
    figure = {"value": psnr, "low": psnr - 1, "high": psnr + 1, "count": 9}
    quality = {"shown": {"whole": {"psnr": figure}}}
    built = {"width": 16, "depth": 2, "stem_stride": 4, "gmac": 3.4, "precision": "int8", "images_seen": 9}
    return {"name": name, "sha256": name, "ratio": ratio, "report": {"quality": quality}, **built}


def test_what_no_longer_ships_takes_the_time_of_its_like() -> None:
    """Two processors: on the one before, int8 took half as long of the paper's time."""
    ships, before = made("best", 0.1, 27.0), made("best", 0.05, 27.0) | {"sha256": "before", "images_seen": 8}
    exported_before, other = before | {"images_seen": 9}, before | {"gmac": 3.1}
    found = pareto.places([ships, before, exported_before, other], {"best"}, paper=300.0)
    assert [(place.milliseconds, place.shipped) for place in found] == [(30, True), (30, False), (15, False)]
    assert not pareto.dominated(found[0], found[:2])


def test_the_plane(tmp_path: Path) -> None:
    versions = [made("best", 0.1, 27.0), made("worse", 0.1, 26.0), made("light", 0.05, 26.5), made("untimed", None, 30)]
    found = pareto.places(versions, {"best", "light"}, paper=300.0)
    assert [(place.name, place.milliseconds, place.shipped) for place in found] == [
        ("best", 30, True),
        ("worse", 30, False),
        ("light", 15, True),
    ]
    assert [pareto.dominated(place, found) for place in found] == [False, True, False]
    pareto.draw(found, 300.0, tmp_path / "deep" / "plane.png")
    assert np.asarray(cv2.imread(str(tmp_path / "deep" / "plane.png"))).shape[1] > 800
    with pytest.raises(ValueError, match="nothing was measured"):
        pareto.draw([], 300.0, tmp_path / "none.png")


def test_times_in_turns(folder: Path) -> None:
    files = [folder / "reference.onnx", folder / "w" / "frrnet-64-int8.onnx"]
    found = timing.interleaved(files, rounds=3, runs=2)
    assert found[0].ratio == 1
    assert all(time.milliseconds > 0 and time.ratio > 0 for time in found)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(tables.times(["paper", "ours"], [Timing(300, 1), Timing(20, 0.0625)]))
    assert "16.0" in shown.get()


def test_the_papers_file_is_made_once(tmp_path: Path) -> None:
    count = checkpoint.parameter_count(FRRNet(width=12, depth=2, stem_stride=1))
    (tmp_path / f"frrnet-paper-12-2-1-{count}.onnx").write_bytes(b"already")
    assert timing.paper_file(tmp_path).read_bytes() == b"already"


def test_int8_is_compared_face_by_face(folder: Path) -> None:
    entry = json.loads((folder / "r.json").read_text())["versions"][1]
    loss = Figure(**entry["int8_minus_fp32"])
    assert loss.low <= loss.value <= loss.high
    assert loss.count == 2
    assert torch.isfinite(torch.tensor(loss.value))

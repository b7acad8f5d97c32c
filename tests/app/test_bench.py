"""`bench` measures what `start` would do with the same settings."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from frrcam.app.bench import BenchReport, MemorySink, check_plot, plot, run_bench
from frrcam.commands.tables import bench_tables
from frrcam.config import load_settings
from frrcam.daemon.daemon import Daemon
from frrcam.errors import ProviderError, SinkUnusable
from frrcam.faces.types import Track
from frrcam.frame import Frame
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer
from frrcam.sources.base import FakeSource
from tests.disk import full_disk
from tests.fakes import FakeDetector, FakeTracker, picture, track

FACES = [track(number, x=70.0 * number, y=80, side=60) for number in range(4)]


def bench(
    frames: int = 20, cost: float = 0.0001, faces: Sequence[Track] = FACES, **flags: dict[str, object]
) -> tuple[BenchReport, Daemon]:
    settings = load_settings(flags)

    def load(period: float) -> Engine:
        pipeline = Pipeline(FakeDetector(), {"fake": FakeRestorer()}, FakeTracker(faces))
        budget = Budget(ladder(["fake"]), period, {"fake": cost}, settings.restore.max_faces)
        return Engine(pipeline, budget, lambda name: (name, "cpu"))

    return run_bench(lambda: FakeSource([picture(320, 240)] * frames, fps=100.0), load, 1.0, settings)


@pytest.mark.parametrize("max_faces", [1, 2])
def test_no_more_faces_are_enhanced_than_asked_for(max_faces: int) -> None:
    report, daemon = bench(restore={"max_faces": max_faces})
    assert report.faces == 4
    assert max(record.wanted for record in daemon.metrics.window()) <= max_faces


@pytest.mark.parametrize(("size", "measured"), [(None, (320, 240)), ((160, 128), (160, 128))])
def test_the_pictures_measured_have_the_size_asked_for(size: tuple[int, int] | None, measured: tuple[int, int]) -> None:
    report, daemon = bench(camera={"size": size})
    assert daemon.live.last is not None
    assert daemon.live.last.shape[1::-1] == measured
    assert report.size == "{}x{}".format(*measured)


def test_what_is_measured_is_of_this_run() -> None:
    report, daemon = bench()
    totals = sorted(1000 * record.total for record in daemon.metrics.window())
    frame = report.frame_ms
    assert frame["p50"] <= frame["p95"] <= frame["p99"] <= frame["max"] == pytest.approx(totals[-1], abs=0.01)
    assert frame["p50"] < totals[-1]
    assert report.frames == len(totals)
    assert 0 < report.cpu_cores < 64
    assert 30 < report.peak_mb < 100_000
    assert report.first_frame_s is not None
    assert report.first_frame_s > 0


def test_where_nothing_could_be_enhanced_that_is_said() -> None:
    report, _ = bench(60, cost=10.0)
    shown = io.StringIO()
    Console(file=shown, width=120).print(*bench_tables(report))
    assert (report.first_frame_s, report.model) == (None, "")
    assert report.plain_reason == "1 face would not fit in 10 ms; in the warm-up one took fake 10000 ms"
    assert re.search(rf"start +not one enhanced: {report.plain_reason}", shown.getvalue())
    assert re.search(r"network +none on the last picture", shown.getvalue())


def test_where_there_was_no_face_it_is_not_the_networks_that_are_blamed() -> None:
    report, _ = bench(faces=[])
    assert (report.first_frame_s, report.plain_reason) == (None, "no face was found")


def test_without_its_networks_nothing_is_measured() -> None:
    source = FakeSource([picture(320, 240)])

    def load(period: float) -> Engine:
        raise ProviderError("there is no abacus here")

    with pytest.raises(ProviderError, match="abacus"):
        run_bench(lambda: source, load, 1.0, load_settings())
    assert source.closed


def test_an_odd_picture_is_measured_as_the_even_one_that_a_virtual_camera_takes() -> None:
    sink = MemorySink(97, 65)
    payload = sink.convert(picture(97, 65))
    assert payload.shape == (96, 96)
    sink.send(payload, Frame(payload, 0, 0.0, "test"))


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    report, daemon = bench()
    plot(report, daemon, tmp_path / "times.png")
    assert (tmp_path / "times.png").stat().st_size > 1000


def test_a_plot_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    report, daemon = bench()
    (tmp_path / "times.png").write_text("those of yesterday")
    with full_disk(1000), pytest.raises(SinkUnusable, match="disk is full") as raised:
        plot(report, daemon, tmp_path / "times.png")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["times.png"]
    assert (tmp_path / "times.png").read_text() == "those of yesterday"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where no file can be made")
def test_a_folder_that_takes_no_files_is_not_said_to_be_missing() -> None:
    report, daemon = bench()
    with pytest.raises(SinkUnusable, match=r"/proc/x\.png: cannot be written"):
        plot(report, daemon, Path("/proc/x.png"))


def test_a_folder_in_the_place_of_the_plot_is_known_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "d.png").mkdir()
    with pytest.raises(SinkUnusable, match="is a folder"):
        check_plot(tmp_path / "d.png")

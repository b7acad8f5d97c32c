"""From settings to a running daemon, with every device faked."""

import json
import os
import socket
import threading
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frrcam.app.start import (
    StartOptions,
    check_snapshot,
    spare_source,
    start,
    why_alike,
)
from frrcam.config import load_settings
from frrcam.daemon.status import Status
from frrcam.errors import (
    ControlError,
    SinkNotFound,
    SinkUnusable,
    SourceLost,
    UsageError,
)
from frrcam.faces.detector import FakeDetector
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import Engine, loaded
from frrcam.pipeline.levels import ladder
from frrcam.pipeline.pipeline import Pipeline
from frrcam.sinks import open_sink
from frrcam.sinks.base import FakeSink
from frrcam.sinks.preview import Pair
from frrcam.sources import open_source
from tests.app.outside import GREY, World
from tests.disk import full_disk
from tests.enhance.test_enhance import write_clip

LONG = 20.0


@pytest.mark.parametrize(("name", "error"), [("a.txt", SinkUnusable), ("nowhere/a.png", SinkNotFound)])
def test_a_snapshot_that_cannot_be_written_is_known_at_the_start(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_snapshot(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where no file can be made")
def test_a_folder_that_takes_no_snapshot_is_known_at_the_start_even_to_root() -> None:
    with pytest.raises(SinkUnusable, match=r"/proc/a\.png: cannot be written"):
        check_snapshot(Path("/proc/a.png"))


def test_looking_whether_a_snapshot_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("that of yesterday")
    check_snapshot(tmp_path / "a.png")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["that of yesterday"]


def test_start_publishes_plain_pictures_without_an_engine_and_leaves_a_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, said, threads = World(camera=False), list[str](), threading.active_count()
    published = start(load_settings(), StartOptions(3, tmp_path / "last.png"), said.append, world.openers)
    assert published == 3
    assert all((payload == GREY).all() for payload, _ in world.sink.sent)
    assert world.sink.closed
    assert (tmp_path / "last.png").stat().st_size > 100
    assert any("127.0.0.1" in line for line in said)
    assert any("plain camera picture" in line for line in said)
    snapshot = f"before | after of the last picture: {tmp_path / 'last.png'}"
    assert f"{snapshot}; they are alike: 0 faces, rung plain (the networks are being loaded)" in said
    assert threading.active_count() == threads
    assert capsys.readouterr().out == ""
    json.dumps(said)


def test_of_a_snapshot_it_is_said_whether_it_shows_the_effect() -> None:
    before, after = np.full((8, 8, 3), 90, np.uint8), np.full((8, 8, 3), 91, np.uint8)
    busy = Status(state="running", faces=1, rung="plain", rung_reason="1 face would not fit in 33 ms")
    alike = "; they are alike: 1 face, rung plain (1 face would not fit in 33 ms)"
    assert [why_alike(Pair(before, image, 1), busy) for image in (before, after)] == [alike, ""]


@pytest.mark.parametrize("asked", [30, 190])
def test_a_rate_that_a_clip_does_not_have_is_said_and_its_own_counts(asked: int) -> None:
    world, said = World(), list[str]()
    settings = load_settings({"camera": {"source": "x.mp4", "fps": asked}})
    start(settings, StartOptions(1), said.append, world.openers)
    assert f"fake gives 200 pictures a second, not the {asked} asked for" in said
    assert world.rates == [200.0]


def test_a_terminal_that_is_held_holds_no_picture() -> None:
    held, go_on, over = list[str](), threading.Event(), threading.Event()

    def say(text: str) -> None:
        if "plain camera picture" in text:
            held.append(text)
            go_on.wait(LONG)
            over.set()

    assert start(load_settings(), StartOptions(3), say, World().openers) == 3
    assert held
    assert not over.is_set()
    go_on.set()
    assert over.wait(LONG)


def test_pictures_are_published_in_the_size_asked_for() -> None:
    world = World()
    start(load_settings({"camera": {"source": "x.mp4", "size": "128x96"}}), StartOptions(1), print, world.openers)
    assert world.sizes == [(128, 96)]
    assert world.sink.sent[0][0].shape == (96, 128, 3)


def test_the_pages_secret_stays_out_of_the_journal() -> None:
    said = list[str]()
    start(load_settings(), StartOptions(1, service=True), said.append, World().openers)
    assert said
    assert not any("http" in line for line in said)


class Unread(FakeSink):
    """A camera that no program watches."""

    how = "no reader is asked"

    def watching(self, timeout: float) -> bool:
        raise AssertionError("it was asked who watches")


def test_a_run_of_a_given_number_of_pictures_does_not_wait_for_a_reader() -> None:
    world = World()
    world.sink = Unread()
    assert start(load_settings(), StartOptions(2), print, world.openers) == 2
    world.sink = Unread()
    with pytest.raises(AssertionError, match="who watches"):
        start(load_settings(), StartOptions(), print, world.openers)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
def test_where_the_page_cannot_be_had_all_that_was_opened_is_closed(
    environment: MutableMapping[str, str], tmp_path: Path
) -> None:
    world = World()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, socket.create_server(("127.0.0.1", 0)) as taken:
        systemd.bind(str(tmp_path / "notify"))
        environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        settings = load_settings({"control": {"port": taken.getsockname()[1]}})
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ControlError, match="cannot be had"):
            start(settings, StartOptions(1), print, world.openers)
        assert len(os.listdir("/proc/self/fd")) == before
    assert world.sink.closed
    assert [source.closed for source in world.sources] == [1]


def test_nothing_is_said_beside_the_error_of_an_output_that_is_not_there() -> None:
    said = list[str]()
    settings = load_settings({"camera": {"device": "fake", "fps": 30.0}, "output": {"output": "/dev/video9"}})
    with pytest.raises(SinkNotFound):
        start(settings, StartOptions(1), said.append, World(virtual_camera=False).openers)
    assert said == []


@pytest.mark.parametrize("asked", [None, 200.0, 199.8])
def test_a_rate_that_is_had_is_not_remarked_upon(asked: float | None) -> None:
    world, said = World(), list[str]()
    start(load_settings({"camera": {"fps": asked}}), StartOptions(1), said.append, world.openers)
    assert not any("asked for" in line for line in said)


ITSELF: list[Callable[[Path], object]] = [
    lambda path: path,
    lambda path: path.parent / "folder" / ".." / path.name,
    lambda path: path.with_name("link.mp4"),
    lambda path: path.with_name("hard.mp4"),
]


@pytest.mark.parametrize("other", ITSELF)
def test_the_clip_that_is_played_is_never_overwritten(tmp_path: Path, other: Callable[[Path], Path]) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "hard.mp4").hardlink_to(clip)
    world, target = World(), other(clip)
    settings = load_settings({"camera": {"source": str(clip)}, "output": {"output": str(target)}})
    with pytest.raises(UsageError, match="never overwritten"):
        start(settings, StartOptions(1), print, world.openers)
    assert world.opened == []
    assert clip.read_bytes() == b"precious"


@pytest.mark.parametrize(("source", "target"), [("demo", "demo"), ("no.mp4", "no.mp4"), ("a.mp4", "b.mp4")])
def test_what_is_not_there_or_another_file_may_be_named(source: str, target: str, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    spare_source(str(tmp_path / source), tmp_path / target)
    spare_source(None, target)
    spare_source(source, None)


@pytest.mark.parametrize("frames", [2, 60])
def test_a_disk_that_fills_up_is_an_error_of_the_run(tmp_path: Path, frames: int) -> None:
    """Two pictures are still in memory when the file is completed; of sixty some are written before."""
    world, said = World(), list[str]()
    world.image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    settings = load_settings({"camera": {"source": "x.mp4"}, "output": {"output": str(tmp_path / "out.mp4")}})
    with full_disk(8192), pytest.raises(SinkUnusable, match="disk is full"):
        start(settings, StartOptions(frames), said.append, replace(world.openers, sink=open_sink))
    assert list(tmp_path.iterdir()) == []
    assert not any("trying" in line for line in said)


def test_a_clip_cut_short_ends_where_it_breaks_off_and_what_came_before_is_kept(tmp_path: Path) -> None:
    clip, said = write_clip(tmp_path / "clip.mkv", range(60)), list[str]()
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    settings = load_settings({"camera": {"source": str(clip)}, "output": {"output": str(tmp_path / "out.mp4")}})
    with pytest.raises(SourceLost, match="breaks off after picture"):
        start(settings, StartOptions(), said.append, replace(World().openers, source=open_source, sink=open_sink))
    assert (tmp_path / "out.mp4").stat().st_size > 500
    assert not any("breaks off" in line or "pictures again" in line for line in said)


def test_what_is_loaded_already_is_given_once() -> None:
    made = list[Engine]()

    def load(period: float) -> Engine:
        pipeline = Pipeline(FakeDetector(), {})
        made.append(Engine(pipeline, Budget(ladder([]), period, {}), lambda name: (name, "cpu")))
        return made[-1]

    loader = loaded(load(1 / 30), load)
    assert [loader(1 / 30), loader(1 / 30)] == made
    assert made[0] is not made[1]

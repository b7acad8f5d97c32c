"""From settings to a running daemon, with every device faked."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frrcam.config import Settings, load_settings
from frrcam.errors import ModelNotFound, SinkNotFound, SinkUnusable, SourceNotFound
from frrcam.faces.detector import FakeDetector
from frrcam.runtime.budget import Budget, ladder
from frrcam.runtime.enhancer import Engine
from frrcam.runtime.notices import Notices
from frrcam.runtime.pipeline import Pipeline
from frrcam.sinks.base import FakeSink, Sink
from frrcam.sinks.preview import PreviewSink
from frrcam.sources.base import FakeSource, Source
from frrcam.start import Openers, StartOptions, check_snapshot, choose_sink, choose_source, loaded, start

GREY = np.full((64, 96, 3), 90, np.uint8)


class World:
    """Cameras and virtual cameras as a test wants them; records what was opened."""

    def __init__(self, *, camera: bool = True, virtual_camera: bool = True) -> None:
        self.camera, self.virtual_camera = camera, virtual_camera
        self.opened: list[tuple[object, ...]] = []
        self.sink = FakeSink()

    def open_source(
        self, device: str | None, source: str | None, size: object, fps: object, loop: bool = False
    ) -> Source:
        self.opened.append((device, source, loop))
        if source is None and not self.camera:
            raise SourceNotFound("there is no camera")
        fake = FakeSource([GREY], fps=200.0, live=source is None, loop=True)
        fake.info = replace(fake.info, reopen_as="by-name" if source is None else None)
        return fake

    def open_sink(self, output: str | None, width: int, height: int, fps: float, *, label: str) -> Sink:
        if not self.virtual_camera:
            raise SinkNotFound("there is no virtual camera")
        return self.sink

    def engine(self, settings: Settings, period: float, notices: Notices) -> Engine:
        raise ModelNotFound("no engine in this test")

    @property
    def openers(self) -> Openers:
        return Openers(self.open_source, self.open_sink, self.engine, lambda settings: None)


def test_first_camera_is_used_where_there_is_one() -> None:
    world, said = World(), list[str]()
    source, _ = choose_source(load_settings(), said.append, world.openers)
    assert source.info.live
    assert world.opened == [(None, None, False)]
    assert said == []


def test_without_a_camera_the_demo_serves_and_one_line_says_so() -> None:
    world, said = World(camera=False), list[str]()
    choose_source(load_settings(), said.append, world.openers)
    assert world.opened[-1] == (None, "demo", False)
    assert said == ["no camera (there is no camera); showing the demo"]


def test_a_camera_asked_for_and_missing_is_an_error() -> None:
    with pytest.raises(SourceNotFound):
        choose_source(load_settings({"camera": {"device": "0"}}), print, World(camera=False).openers)


def test_a_camera_is_found_again_by_name_not_number() -> None:
    world = World()
    _, reopen = choose_source(load_settings({"camera": {"device": "0"}}), print, world.openers)
    reopen()
    assert [device for device, *_ in world.opened] == ["0", "by-name"]


@pytest.mark.parametrize(("output", "loop"), [(None, True), ("preview", True), ("/dev/video9", True), ("a.mp4", False)])
def test_a_clip_loops_unless_it_goes_to_a_file(output: str | None, loop: bool) -> None:
    world = World()
    choose_source(load_settings({"camera": {"source": "x.mp4"}, "output": {"output": output}}), print, world.openers)
    assert world.opened == [(None, "x.mp4", loop)]


def test_without_a_virtual_camera_the_preview_page_serves() -> None:
    preview, said = PreviewSink(), list[str]()
    world = World(virtual_camera=False)
    sink, reopen = choose_sink(load_settings(), (96, 64), 30.0, preview, said.append, world.openers)
    assert sink is preview
    assert reopen(96, 64, 30.0) is preview
    assert said == ["no virtual camera (there is no virtual camera); showing the preview page instead"]


def test_a_virtual_camera_asked_for_and_missing_is_an_error() -> None:
    settings = load_settings({"output": {"output": "/dev/video9"}})
    with pytest.raises(SinkNotFound):
        choose_sink(settings, (96, 64), 30.0, PreviewSink(), print, World(virtual_camera=False).openers)


def test_a_service_takes_no_stand_ins() -> None:
    nothing = World(camera=False, virtual_camera=False).openers
    with pytest.raises(SourceNotFound):
        choose_source(load_settings(), print, nothing, stand_in=False)
    with pytest.raises(SinkNotFound):
        choose_sink(load_settings(), (96, 64), 30.0, PreviewSink(), print, nothing, stand_in=False)


@pytest.mark.parametrize(("name", "error"), [("a.txt", SinkUnusable), ("nowhere/a.png", SinkNotFound)])
def test_a_snapshot_that_cannot_be_written_is_known_at_the_start(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_snapshot(tmp_path / name)


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
    assert threading.active_count() == threads
    assert capsys.readouterr().out == ""
    json.dumps(said)


def test_what_is_loaded_already_is_given_once() -> None:
    made = list[Engine]()

    def load(period: float) -> Engine:
        pipeline = Pipeline(FakeDetector(), {})
        made.append(Engine(pipeline, Budget(ladder([]), period, {}), lambda name: (name, "cpu")))
        return made[-1]

    loader = loaded(load(1 / 30), load)
    assert [loader(1 / 30), loader(1 / 30)] == made
    assert made[0] is not made[1]

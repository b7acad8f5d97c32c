"""Which source and sink a run gets, and what stands in for them."""

import pytest

from frrcam.app.endpoints import choose_sink, choose_source
from frrcam.config import load_settings
from frrcam.errors import SinkNotFound, SourceNotFound
from frrcam.sinks.preview import PreviewSink
from tests.app.outside import World


def test_first_camera_is_used_where_there_is_one() -> None:
    world, said = World(), list[str]()
    source, _ = choose_source(load_settings(), said.append, world.open_source)
    assert source.info.live
    assert world.opened == [(None, None, False)]
    assert said == []


def test_without_a_camera_the_demo_serves_and_one_line_says_so() -> None:
    world, said = World(camera=False), list[str]()
    choose_source(load_settings(), said.append, world.open_source)
    assert world.opened[-1] == (None, "demo", False)
    assert said == ["no camera (there is no camera); showing the demo"]


def test_a_camera_asked_for_and_missing_is_an_error() -> None:
    with pytest.raises(SourceNotFound):
        choose_source(load_settings({"camera": {"device": "0"}}), print, World(camera=False).open_source)


def test_a_camera_is_found_again_by_name_not_number() -> None:
    world = World()
    _, reopen = choose_source(load_settings({"camera": {"device": "0"}}), print, world.open_source)
    reopen()
    assert [device for device, *_ in world.opened] == ["0", "by-name"]


BY_PATH = "/dev/v4l/by-path/pci-0000:00:14.0-video-index0"


@pytest.mark.parametrize("output", [None, "preview", "pipewire", "/dev/video9", BY_PATH, "a.mp4"])
def test_a_clip_loops_unless_it_goes_to_a_file(output: str | None) -> None:
    world = World()
    choose_source(
        load_settings({"camera": {"source": "x.mp4"}, "output": {"output": output}}), print, world.open_source
    )
    assert world.opened == [(None, "x.mp4", output != "a.mp4")]


def test_without_a_virtual_camera_the_preview_page_serves() -> None:
    preview, said = PreviewSink(), list[str]()
    world = World(virtual_camera=False)
    sink, reopen = choose_sink(load_settings(), (96, 64), 30.0, preview, said.append, world.open_sink)
    assert sink is preview
    assert reopen(96, 64, 30.0) is preview
    assert said == ["no virtual camera (there is no virtual camera); showing the preview page instead"]


def test_a_virtual_camera_asked_for_and_missing_is_an_error() -> None:
    settings = load_settings({"output": {"output": "/dev/video9"}})
    with pytest.raises(SinkNotFound):
        choose_sink(settings, (96, 64), 30.0, PreviewSink(), print, World(virtual_camera=False).open_sink)


def test_a_service_takes_no_stand_ins() -> None:
    nothing = World(camera=False, virtual_camera=False)
    with pytest.raises(SourceNotFound):
        choose_source(load_settings(), print, nothing.open_source, stand_in=False)
    with pytest.raises(SinkNotFound):
        choose_sink(load_settings(), (96, 64), 30.0, PreviewSink(), print, nothing.open_sink, stand_in=False)

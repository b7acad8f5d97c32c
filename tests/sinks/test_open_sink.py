from functools import partial
from pathlib import Path

import pytest

from frrcam.errors import SinkError, SinkNotFound, SinkUnusable, UsageError
from frrcam.sinks import PreviewSink, VideoSink, open_sink
from frrcam.sinks.backends import open_with
from frrcam.sinks.base import FakeSink, Sink


def test_preview() -> None:
    assert isinstance(open_sink("preview", 64, 48, 30), PreviewSink)


def test_a_file(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), 64, 48, 30)
    assert isinstance(sink, VideoSink)
    sink.close()


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        ("out.txt", UsageError, "none of: /dev/videoN, pipewire, preview, FILE.mp4"),
        ("FRR Camera", UsageError, "none of"),
        ("", UsageError, "none of"),
        ("/nonexistent/out.mp4", SinkNotFound, "mkdir -p '/nonexistent'"),
        ("/dev/video9999", SinkNotFound, "modprobe"),
        ("9999", SinkNotFound, "/dev/video9999"),
        ("/dev/null", SinkUnusable, "not a video device"),
    ],
)
def test_bad_outputs(output: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        open_sink(output, 64, 48, 30)


def test_pipewire_gets_the_label() -> None:
    opened: list[tuple[object, ...]] = []

    def pipewire(*options: object) -> Sink:
        opened.append(options)
        return FakeSink()

    open_sink("pipewire", 64, 48, 30, label="Mine", pipewire=pipewire, platform="linux")
    assert opened == [(64, 48, 30, "Mine")]


def test_without_an_output_the_label_is_looked_for() -> None:
    with pytest.raises(SinkError, match="no camera of this name"):
        open_sink(None, 64, 48, 30, label="no camera of this name")


class Elsewhere:
    """Windows or macOS: what the virtual camera was opened with."""

    def __init__(self, platform: str) -> None:
        self.platform = platform
        self.device: str | None = None
        self.backend: str | None = None

    def open(self, output: str | None) -> Sink:
        return open_sink(output, 64, 48, 30, platform=self.platform, virtual_camera=self._open)

    def _open(
        self, width: int, height: int, fps: float, device: str | None = None, label: str = "", opener: object = None
    ) -> Sink:
        self.device, self.backend = device, opener.args[0] if isinstance(opener, partial) else None
        return FakeSink()


@pytest.mark.parametrize(
    ("platform", "output", "backend", "device"),
    [
        ("win32", None, None, None),
        ("win32", "obs", "obs", None),
        ("win32", "OBS Virtual Camera", "obs", "OBS Virtual Camera"),
        ("win32", "UnityCapture", "unitycapture", None),
        ("win32", "Unity Video Capture #2", "unitycapture", "Unity Video Capture #2"),
        ("darwin", None, None, None),
        ("darwin", "obs", "obs", None),
    ],
)
def test_elsewhere_virtual_cameras_have_names(
    platform: str, output: str | None, backend: str | None, device: str | None
) -> None:
    elsewhere = Elsewhere(platform)
    elsewhere.open(output)
    assert (elsewhere.backend, elsewhere.device) == (backend, device)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_the_page_and_files_are_the_same(platform: str, tmp_path: Path) -> None:
    assert isinstance(Elsewhere(platform).open("preview"), PreviewSink)
    Elsewhere(platform).open(str(tmp_path / "obs.mp4")).close()


@pytest.mark.parametrize(
    ("platform", "output", "words"),
    [
        ("win32", "/dev/video10", "none of: obs, unitycapture, preview, FILE.mp4"),
        ("win32", "0", "none of: obs, unitycapture, preview"),
        ("darwin", "unitycapture", "none of: obs, preview"),
        ("linux", "obs", "none of: /dev/videoN, pipewire, preview"),
        ("win32", "pipewire", "none of: obs, unitycapture, preview"),
    ],
)
def test_a_name_of_another_system_is_refused(platform: str, output: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Elsewhere(platform).open(output)


def test_a_backend_that_pyvirtualcam_has_not_is_one_line() -> None:
    with pytest.raises(RuntimeError, match="no backend 'nowhere' here"):
        open_with("nowhere", 64, 48, 30.0, None)

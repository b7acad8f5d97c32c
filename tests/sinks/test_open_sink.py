from pathlib import Path

import pytest

from frrcam.errors import SinkError, SinkNotFound, SinkUnusable, UsageError
from frrcam.sinks import PreviewSink, VideoSink, open_sink


def test_preview() -> None:
    assert isinstance(open_sink("preview", 64, 48, 30), PreviewSink)


def test_a_file(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), 64, 48, 30)
    assert isinstance(sink, VideoSink)
    sink.close()


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        ("out.txt", UsageError, "none of: /dev/videoN, preview, FILE.mp4"),
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


def test_without_an_output_the_label_is_looked_for() -> None:
    with pytest.raises(SinkError, match="no camera of this name"):
        open_sink(None, 64, 48, 30, label="no camera of this name")

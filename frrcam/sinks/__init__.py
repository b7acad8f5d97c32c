"""Where pictures go to: the virtual camera, a video file, the preview."""

from pathlib import Path

from frrcam.errors import UsageError
from frrcam.sinks.base import Payload, Sink, SinkFactory, SinkInfo
from frrcam.sinks.preview import PreviewSink
from frrcam.sinks.video import MUXERS, VideoSink
from frrcam.sinks.virtual_camera import VirtualCameraSink

__all__ = [
    "Payload",
    "PreviewSink",
    "Sink",
    "SinkFactory",
    "SinkInfo",
    "VideoSink",
    "VirtualCameraSink",
    "open_sink",
]


def open_sink(output: str | None, width: int, height: int, fps: float, *, label: str = "FRR Camera") -> Sink:
    """The sink that `--output` means, open for pictures of width×height.

    None: the virtual camera called `label` · "preview": memory only · /dev/videoN or a number: that virtual camera ·
    FILE.mp4 (.m4v, .mov, .mkv): a video file. Raises UsageError for anything else, else what the sink raises.
    """
    if output == "preview":
        return PreviewSink()
    if output is None:
        return VirtualCameraSink(width, height, fps, label=label)
    if output.isascii() and output.isdigit():
        return VirtualCameraSink(width, height, fps, f"/dev/video{int(output)}", label)
    if output.startswith("/dev/"):
        return VirtualCameraSink(width, height, fps, output, label)
    path = Path(output).expanduser()
    if path.suffix.lower() in MUXERS:
        return VideoSink(path, width, height, fps, preset="ultrafast")  # it shares the frame's time with the networks
    raise UsageError(f'output "{output}" is none of: /dev/videoN, preview, FILE{", FILE".join(MUXERS)}')

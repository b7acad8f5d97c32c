"""Where pictures go to: the virtual camera, PipeWire, a video file, the preview."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from frrcam.errors import UsageError
from frrcam.frame import Payload
from frrcam.sinks.backends import choices, find_backend
from frrcam.sinks.base import Sink, SinkFactory, SinkInfo
from frrcam.sinks.pipewire import PipeWireSink
from frrcam.sinks.preview import PreviewSink
from frrcam.sinks.video import MUXERS, VideoSink
from frrcam.sinks.virtual_camera import VirtualCameraSink

__all__ = [
    "Payload",
    "PipeWireSink",
    "PreviewSink",
    "Sink",
    "SinkFactory",
    "SinkInfo",
    "VideoSink",
    "VirtualCameraSink",
    "open_sink",
]


def open_sink(
    output: str | None,
    width: int,
    height: int,
    fps: float,
    *,
    label: str = "FRR Camera",
    platform: str = sys.platform,
    virtual_camera: Callable[..., Sink] = VirtualCameraSink,
    pipewire: Callable[..., Sink] = PipeWireSink,
) -> Sink:
    """The sink that `--output` means, open for pictures of width×height.

    None: the virtual camera called `label` (Linux) or the first that there is (elsewhere) · "preview": memory only ·
    /dev/videoN or a number: that virtual camera · "pipewire": a camera in PipeWire, called `label` · "obs",
    "unitycapture" or a device of theirs by name, elsewhere · FILE.mp4 (.m4v, .mov, .mkv): a video file.
    Raises UsageError for anything else, else what the sink raises.
    """
    if output == "preview":
        return PreviewSink()
    if output is None:
        return virtual_camera(width, height, fps, label=label)
    if named := find_backend(output, platform):
        device, opener = named
        return virtual_camera(width, height, fps, device, label, opener=opener)
    if platform not in ("win32", "darwin"):
        if output == "pipewire":
            return pipewire(width, height, fps, label)
        if output.isascii() and output.isdigit():
            return virtual_camera(width, height, fps, f"/dev/video{int(output)}", label)
        if output.startswith("/dev/"):
            return virtual_camera(width, height, fps, output, label)
    path = Path(os.path.expanduser(output))  # Path.expanduser raises for a ~name that there is not
    if path.suffix.lower() in MUXERS:
        return VideoSink(path, width, height, fps, preset="ultrafast")  # it shares the frame's time with the networks
    names = ", ".join((*choices(platform), "preview", *(f"FILE{ending}" for ending in MUXERS)))
    raise UsageError(f'output "{output}" is none of: {names}')

"""Where pictures come from: a camera, a clip, a picture, or the demonstration."""

import os
from pathlib import Path

from frrcam.errors import UsageError
from frrcam.sources.base import Source
from frrcam.sources.camera import CameraSource
from frrcam.sources.demo import DemoSource
from frrcam.sources.picture import PictureSource, is_picture
from frrcam.sources.video import VideoSource

__all__ = ["CameraSource", "DemoSource", "PictureSource", "VideoSource", "open_source"]


def open_source(
    device: str | None = None,
    source: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    *,
    loop: bool = False,
) -> Source:
    """Opens `source` ("demo", a clip or a picture) or else the camera `device` (None: the first).

    `size` (width, height) and `fps` are asked of a camera and of the demo. A clip has its own size and rate; a picture
    has its own size. `loop` plays a clip for ever.

    Raises a SourceError, or UsageError for values that cannot be meant, `device` together with `source` among them.
    """
    if source is None:
        return CameraSource(device, size, fps)
    if device is not None:
        raise UsageError(f"the camera {device} and the source {source}: name one of them")
    if source == "demo":
        return DemoSource(size or (1280, 720), fps or 30.0)
    path = Path(os.path.expanduser(source))  # Path.expanduser raises for a ~name that there is not
    if is_picture(path):
        return PictureSource(path, fps or 30.0)
    return VideoSource(path, loop=loop)

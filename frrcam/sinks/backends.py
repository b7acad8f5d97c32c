"""The virtual cameras of Windows and macOS, by what `--output` calls them: a backend of pyvirtualcam, or its device."""

from functools import partial
from typing import Final

from frrcam.sinks.virtual_camera import OpenCamera, Opener

BACKENDS: Final = {"win32": {"obs": "OBS", "unitycapture": "Unity"}, "darwin": {"obs": "OBS"}}
"""By system: pyvirtualcam's name of the backend → how its devices' names begin ("Unity Video Capture #2")."""


def find_backend(output: str, platform: str) -> tuple[str | None, Opener] | None:
    """(device or None for the first, how to open it) if `output` names a virtual camera of that system."""
    for backend, beginning in BACKENDS.get(platform, {}).items():
        opener = partial(open_with, backend)
        if output.casefold() == backend:
            return None, opener
        if output.casefold().startswith(f"{beginning} ".casefold()):
            return output, opener
    return None


def choices(platform: str) -> tuple[str, ...]:
    """What names a virtual camera there, for people."""
    return tuple(BACKENDS.get(platform, ("/dev/videoN", "pipewire")))


def open_with(backend: str, width: int, height: int, fps: float, device: str | None) -> OpenCamera:
    """pyvirtualcam's camera for I420 of one backend. Raises RuntimeError."""
    import pyvirtualcam

    if backend not in pyvirtualcam.camera.BACKENDS:
        raise RuntimeError(f"pyvirtualcam has no backend {backend!r} here")
    camera: OpenCamera = pyvirtualcam.Camera(
        width, height, fps, fmt=pyvirtualcam.PixelFormat.I420, device=device, backend=backend
    )
    return camera

"""Publishes to a virtual camera through pyvirtualcam: v4l2loopback on Linux, OBS or Unity Capture elsewhere.

pyvirtualcam gives one RuntimeError for everything that can be wrong at the start, and says nothing when a write fails
later. So on Linux the node is looked at first, through a descriptor of our own, and again before every picture.
"""

import errno
import os
import sys
from collections.abc import Callable
from typing import Protocol

from frrcam.closing import Closing
from frrcam.errors import SinkError, SinkForbidden, SinkLost, SinkNotFound, SinkUnusable
from frrcam.frame import Frame, Image, Payload
from frrcam.linux.devices import LOOPBACK_DRIVER, find_virtual_camera, modprobe_line
from frrcam.linux.loopback_node import VideoNode
from frrcam.sinks.base import SinkInfo
from frrcam.sinks.i420 import I420Buffer

BUFFERS = 32
"""The most that v4l2loopback can be loaded with; two as `frrcam setup` loads it."""

_INSTALL = {
    "win32": "install OBS Studio 28 or newer (obsproject.com), or Unity Capture, then start again",
    "darwin": "install OBS Studio 30 or newer (obsproject.com), press Start Virtual Camera in it once, quit it, "
    "then start again",
}


class OpenCamera(Protocol):
    """What is used of `pyvirtualcam.Camera`."""

    @property
    def device(self) -> str:
        """The node or name in use."""

    def send(self, frame: Payload) -> None:
        """Takes I420, H·3/2 × W. Tells nothing when the device is gone."""

    def close(self) -> None:
        """Lets go of the device."""


class Node(Protocol):
    """A second look at the device node, with a descriptor of its own; `linux.loopback_node.VideoNode` is the one."""

    driver: str
    card: str
    output: bool
    """True if the device takes pictures now."""
    capture: bool
    """True if the device gives pictures now: with exclusive_caps=1, that a program publishes to it already."""

    def fault(self) -> str | None:
        """Why the device can no longer be published to, or None. Cheap enough for every frame."""

    def revive(self) -> None:
        """Restores the ability to take pictures, where an old driver has lost it; asks for both abilities again."""

    def announce(self) -> None:
        """Tells the system that the device has begun, or ceased, to give pictures. Raises nothing."""

    def users(self) -> tuple[str, ...]:
        """The other programs that have it open, as far as the system tells."""

    def close(self) -> None:
        """Lets go of the descriptor."""


Opener = Callable[[int, int, float, str | None], OpenCamera]
"""(width, height, fps, device) → pyvirtualcam.Camera for I420; RuntimeError where none can be opened."""
Finder = Callable[[str], str]
"""Label → node of the virtual camera of that name, e.g. /dev/video10; SinkNotFound where there is none."""


def open_camera(width: int, height: int, fps: float, device: str | None) -> OpenCamera:
    """pyvirtualcam's camera for I420; every backend of this system is tried. Raises RuntimeError."""
    import pyvirtualcam

    camera: OpenCamera = pyvirtualcam.Camera(width, height, fps, fmt=pyvirtualcam.PixelFormat.I420, device=device)
    return camera


def find_node(label: str) -> str:
    """The node of the v4l2loopback device of that label. Raises SinkNotFound."""
    return find_virtual_camera(label).node


class VirtualCameraSink(Closing):
    """The virtual camera that meeting programs list.

    4:2:0 needs even sides: of a picture with an odd one, the last row or column is left out by convert(), and the
    device has the even size. The device is never shared: one producer at a time.

    Raises SinkNotFound (no virtual camera), SinkForbidden (group video), SinkUnusable (not a virtual camera, held by
    another producer, worn out), UsageError (size); send() raises SinkLost when the device has gone.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        device: str | None = None,
        label: str = "FRR Camera",
        *,
        opener: Opener = open_camera,
        node_opener: Callable[[str], Node] = VideoNode,
        finder: Finder = find_node,
        platform: str = sys.platform,
    ) -> None:
        """`device`: the node (Linux) or name (elsewhere); without one, the device called `label` (Linux) or the first.

        Outside Linux the label belongs to the driver ("OBS Virtual Camera") and cannot be chosen.
        """
        self._pictures = I420Buffer(width, height, "virtual camera")
        self._node: Node | None = None
        self._camera: OpenCamera | None = None
        self._announced = False
        name = label
        if platform.startswith("linux"):
            device, self._node = _look(device, label, finder, node_opener)
            name = self._node.card
        try:
            self._camera = opener(self._pictures.width, self._pictures.height, fps, device)
        except (RuntimeError, OSError) as error:
            self.close()
            raise _opening_error(str(error), device, platform) from error
        keeps = BUFFERS if self._node else 1
        self.info = SinkInfo(name if self._node else self._camera.device, self._camera.device, keeps)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) that the device has: even."""
        return self._pictures.width, self._pictures.height

    def convert(self, image: Image) -> Payload:
        """I420, BT.601 limited range, H·3/2 × W. The buffer is used again by the next call."""
        return self._pictures.convert(image, self.info.name)

    def send(self, payload: Payload, original: Frame) -> None:
        """Publishes one picture. Raises SinkLost when the device is gone: removed, replaced, the module unloaded."""
        fault = self._node.fault() if self._node else None
        if self._camera is None or fault:
            raise SinkLost(f"{self.info.name} ({self.info.where}) is gone: {fault or 'it is closed'}")
        try:
            self._camera.send(payload)
        except (RuntimeError, OSError) as error:
            raise SinkLost(f"{self.info.name} ({self.info.where}) takes no more pictures: {error}") from error
        if self._node and not self._announced:
            self._announced = True
            self._node.announce()

    def close(self) -> None:
        camera, self._camera = self._camera, None
        node, self._node = self._node, None
        if camera:
            camera.close()
        if node:
            if self._announced:
                node.announce()
            node.close()


def _look(device: str | None, label: str, finder: Finder, node_opener: Callable[[str], Node]) -> tuple[str, Node]:
    path = device or finder(label)
    try:
        node = node_opener(path)
    except OSError as error:
        raise _node_error(path, label, error) from error
    if node.driver == LOOPBACK_DRIVER:
        node.revive()
    if trouble := _trouble(path, label, node):
        node.close()
        raise SinkUnusable(trouble)
    return path, node


def _node_error(path: str, label: str, error: OSError) -> SinkError:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return SinkNotFound(f"{path}: no such device; make a virtual camera: {modprobe_line(label)}")
        case errno.EACCES | errno.EPERM:
            return SinkForbidden(
                f"{path}: no permission; join its group and log in again: sudo usermod -aG video $USER"
            )
        case errno.EBUSY:
            return SinkUnusable(
                f"{path}: open in too many programs; close one, or load v4l2loopback with max_openers=20"
            )
        case errno.ENOTTY | errno.EINVAL | errno.EISDIR:
            return SinkUnusable(f"{path} is not a video device; `frrcam devices` lists the virtual cameras")
    return SinkUnusable(f"{path}: cannot be opened: {os.strerror(error.errno or 0)}")


def _trouble(path: str, label: str, node: Node) -> str | None:
    if node.driver != LOOPBACK_DRIVER:
        return (
            f'{path} is "{node.card}" ({node.driver}), not a virtual camera; '
            "`frrcam devices` lists those, or leave --output out"
        )
    if node.output:
        return None
    if node.capture:
        users = ", ".join(node.users()) or "another program"
        return (
            f"{path}: {users} publishes to it already, and a virtual camera takes one program at a time "
            "(or v4l2loopback was loaded with keep_format=1, which hides it from us); stop that program"
        )
    return (
        f"{path} takes no pictures any more: v4l2loopback up to 0.12.7 can lose that ability when a program stops "
        f"publishing; reload it: sudo modprobe -r v4l2loopback && {modprobe_line(label)}"
    )


def _opening_error(text: str, device: str | None, platform: str) -> SinkError:
    line = " ".join(text.split())
    if not platform.startswith("linux"):
        todo = _INSTALL.get(platform, "no virtual camera is known for this system; use --output preview or FILE.mp4")
        return SinkNotFound(f"no virtual camera can be used ({line}); {todo}")
    if "permission" in line:
        return SinkForbidden(
            f"{device}: no permission to publish; join its group and log in again: sudo usermod -aG video $USER"
        )
    return SinkUnusable(f"{device}: cannot be published to: {line}")

"""Cameras through OpenCV: the wanted mode asked for in the order that drivers need, and one typed error for each way
to fail.

OpenCV's own account of a failure is `False`. Why it failed is asked of the system afterwards.
"""

import errno
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import cv2
import numpy as np

from frrcam.closing import Closing
from frrcam.errors import SourceBusy, SourceError, SourceLost, SourceNotFound, SourceUnusable, UsageError
from frrcam.frame import Frame, Image
from frrcam.limits import READ_SIDES, check_rate, is_rate
from frrcam.linux import sysfs, v4l2
from frrcam.linux.devices import Camera, Format, find_camera
from frrcam.linux.v4l2 import LINUX, System
from frrcam.sources.base import SourceInfo
from frrcam.sources.files import quiet_opencv

DEFAULT_SIZE: Final = (1280, 720)
DEFAULT_FPS: Final = 30.0
FORMATS: Final = ("MJPG", "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "BGR3", "RGB3", "JPEG", "GREY")
"""What OpenCV can turn into BGR, best first: above 640x480 most cameras are slow in anything but MJPG."""
ATTEMPTS: Final = 3
"""How many pictures may fail, one after the other, before the camera counts as lost."""
STALL_SECONDS: Final = 1.0
"""A read that took longer and failed is not tried again."""
START_SECONDS: Final = 4.0
"""A camera may take this long for its first picture."""
SETTLE: Final = 10
JUDGE: Final = 30
"""The rate is judged once, from one picture to the other, by their numbers."""
SELECT_TIMEOUT: Final = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
"""OpenCV's environment variable, in whole seconds; without it a hung camera blocks every read for ten."""


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)
    def set(self, propId: int, value: float) -> bool: ...  # noqa: N803
    def get(self, propId: int) -> float: ...  # noqa: N803
    def read(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


Opener = Callable[[str | int, int], Capture]
"""(node or number, cv2.CAP_*) to a capture that may not be open."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a camera is asked for."""

    fourcc: str
    """ "" leaves the pixel format to the driver."""
    width: int
    height: int
    fps: float


def opencv_capture(where: str | int, backend: int) -> Capture:
    """cv2.VideoCapture that keeps its remarks to itself and gives a hung camera up after a second."""
    os.environ.setdefault(SELECT_TIMEOUT, str(math.ceil(STALL_SECONDS)))
    quiet_opencv()
    return cast(Capture, cast(Any, cv2.VideoCapture)(where, backend))


class CameraSource(Closing):
    """A camera that streams. Opening waits for the first picture, so that what `info` says is what really comes.

    `device` is a number, a path, a by-id or by-path link or part of the name; None is the first camera. The nearest
    mode to `size` (1280x720) at `fps` (30) is taken, MJPG where it is offered.

    Raises UsageError, SourceNotFound, SourceForbidden, SourceBusy (with the program's name), SourceUnusable.
    """

    def __init__(
        self,
        device: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        *,
        system: System = LINUX,
        opener: Opener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(size, fps)
        self._system, self._clock = system, clock
        self._lock, self._closing, self._index, self._settled = threading.Lock(), False, 0, 0.0
        self.camera = _camera(device, system, size)
        """Which one it is."""
        request = choose_mode(self.camera.formats, size, fps)
        self._capture: Capture | None = _open(self.camera, system, opener or opencv_capture)
        _ask(self._capture, request)
        self._first: Image | None = self._start()
        height, width = self._first.shape[:2]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(
            name=self.camera.name,
            width=width,
            height=height,
            fps=rate if is_rate(rate) else request.fps,
            live=True,
            pixel_format=_fourcc_text(self._capture.get(cv2.CAP_PROP_FOURCC)),
            reopen_as=self.camera.link or (self.camera.name if system.platform == "linux" else self.camera.node),
        )

    def read(self) -> Frame:
        """Waits for the next picture. Raises SourceLost when none came three times at once, or none for a second."""
        try:
            with self._lock:
                frame = Frame(self._next(), self._index, self._clock(), self.info.name)
                self._index += 1
                self._judge_rate(frame)
                return frame
        finally:
            if self._closing:
                self._release()

    def close(self) -> None:
        """While another thread is in read(), that thread lets go as soon as the driver returns."""
        self._closing = True
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._release()

    def _release(self) -> None:
        with self._lock:
            capture, self._capture, self._first = self._capture, None, None
            if capture is not None:
                capture.release()

    def _next(self) -> Image:
        if self._capture is None or self._closing:
            raise SourceLost(f"{self.camera.name}: closed")
        image, self._first = self._first, None
        for _ in range(ATTEMPTS):
            if image is not None:
                return image
            began = self._clock()
            image = _read(self._capture)
            if image is None and self._clock() - began >= STALL_SECONDS / 2:
                raise SourceLost(f"{self.camera.name} ({self.camera.node}): no picture for a second; the camera hangs")
        if image is None:
            raise SourceLost(f"{self.camera.name} ({self.camera.node}): no more pictures; was it unplugged?")
        return image

    def _judge_rate(self, frame: Frame) -> None:
        """With one buffer, no picture is older than the last. But a driver that fills buffers while they arrive over
        USB has none to fill while we decode, and loses every second picture: it gets a second one.
        """
        if frame.index == SETTLE:
            self._settled = frame.timestamp
        due = self._settled + (JUDGE - SETTLE) / (0.7 * self.info.fps)
        if frame.index == JUDGE and frame.timestamp > due and self._capture is not None:
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)

    def _start(self) -> Image:
        """The first picture. Lets go and raises if none comes."""
        assert self._capture is not None
        began, failures = self._clock(), 0
        while failures < ATTEMPTS and self._clock() - began < START_SECONDS:
            asked = self._clock()
            image = _read(self._capture)
            if image is not None:
                return image
            failures += self._clock() - asked < STALL_SECONDS / 2
        self._release()
        raise _refusal(self.camera, self._system)


def choose_mode(formats: Sequence[Format], size: tuple[int, int] | None, fps: float | None) -> Request:
    """The mode nearest to what is wanted, by size, then rate, then pixel format.

    Where no size was asked for, the rate comes first: 640x480 at 30 a second rather than 1280x720 at 10.
    """
    (width, height), rate = size or DEFAULT_SIZE, fps or DEFAULT_FPS
    best: tuple[tuple[float, ...], Request] | None = None
    for item in formats:
        if item.fourcc not in FORMATS:
            continue
        for mode in item.modes:
            offered = min((r for r in mode.rates if r > rate - 0.5), default=max(mode.rates, default=rate))
            shortfall = max(0.0, rate - 0.5 - offered)
            slow = size is None and offered < 0.8 * rate
            distance = abs(math.log(mode.width / width)) + abs(math.log(mode.height / height))
            key = (float(slow), round(distance, 6), shortfall, float(FORMATS.index(item.fourcc)), abs(offered - rate))
            if best is None or key < best[0]:
                best = key, Request(item.fourcc, mode.width, mode.height, offered)
    return best[1] if best else Request("" if formats else "MJPG", width, height, rate)


def _check(size: tuple[int, int] | None, fps: float | None) -> None:
    if size is not None and not (size[0] in READ_SIDES and size[1] in READ_SIDES):
        raise UsageError(
            f"{size[0]}x{size[1]} cannot be meant; each side must be {READ_SIDES[0]} to {READ_SIDES[-1]} pixels"
        )
    if fps is not None:
        check_rate(fps)


def _camera(device: str | None, system: System, size: tuple[int, int] | None) -> Camera:
    if system.platform == "linux":
        return find_camera(device, system, size=size or DEFAULT_SIZE)
    number = device or "0"
    if not number.isdecimal():
        raise UsageError(f'"{device}": on this system a camera is chosen by its number; 0 is the first')
    return Camera(f"camera {number}", number, "", "", (), False, ())


def _open(camera: Camera, system: System, opener: Opener) -> Capture:
    if system.platform == "linux":
        capture = opener(camera.node, cv2.CAP_V4L2)
    else:
        backend = {"win32": cv2.CAP_MSMF, "darwin": cv2.CAP_AVFOUNDATION}.get(system.platform, cv2.CAP_ANY)
        capture = opener(int(camera.node), backend)
    if not capture.isOpened():
        capture.release()
        raise _refusal(camera, system)
    return capture


def _ask(capture: Capture, request: Request) -> None:
    """In this order: drivers drop a size that the format of the moment does not have, and a rate with it."""
    if request.fourcc:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*request.fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, request.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, request.height)
    capture.set(cv2.CAP_PROP_FPS, request.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)


def _read(capture: Capture) -> Image | None:
    try:
        good, image = capture.read()
    except cv2.error:
        return None
    if not good or image is None or not image.size:
        return None
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, np.uint8)


def _refusal(camera: Camera, system: System) -> SourceError:
    """Why a camera that was there a moment ago gives nothing."""
    who = f"{camera.node} ({camera.name})"
    if system.platform != "linux":
        return SourceNotFound(f"camera {camera.node} cannot be opened: not there, in use, or not allowed by the system")
    if not system.path(camera.node).exists():
        return SourceNotFound(f"{who}: it has just been unplugged")
    users = ", ".join(map(str, sysfs.holders(camera.node, system)))
    try:
        with system.opened(camera.node) as fd:
            v4l2.request_buffers(system, fd, 1)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return SourceBusy(f"{who}: in use by {users or 'a program of another user'}; close it first")
        return SourceUnusable(f"{who}: opens, and then: {os.strerror(error.errno or 0)}")
    return SourceUnusable(f"{who}: opens and gives no pictures" + (f"; it is also open in {users}" if users else ""))


def _fourcc_text(value: float) -> str:
    letters = int(value).to_bytes(4, "little") if 0 < value < 2**32 else b""
    return letters.decode("ascii", "replace").strip("\0 ")

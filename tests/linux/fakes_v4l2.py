"""A machine with video devices that is a folder of files and a function that answers ioctls."""

import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from frrcam.linux import v4l2
from frrcam.linux.v4l2 import BufferType, Capability, System, fourcc_code, fourcc_text

Offered = Mapping[str, Mapping[tuple[int, int], Sequence[float]]]
WEBCAM: Offered = {
    "YUYV": {(640, 480): (30.0,), (1280, 720): (10.0,)},
    "MJPG": {(640, 480): (30.0,), (1280, 720): (30.0, 60.0), (1920, 1080): (30.0,)},
}
CAPTURE = Capability.VIDEO_CAPTURE | Capability.STREAMING
T = TypeVar("T")
STEP = (2, 8192, 2, 2, 8192, 2)


@dataclass
class Device:
    """How one node answers."""

    driver: str
    card: str
    capabilities: Capability
    formats: Offered = field(default_factory=dict)
    bus_info: str = "usb-0000:00:14.0-1"
    stepwise: bool = False
    streaming: bool = False
    """True if another program has its buffers: REQBUFS is refused."""
    refuses: int = 0
    """The errno of open()."""


class Hardware:
    """Answers every ioctl that frrcam makes. `system` goes where `v4l2.LINUX` would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices: dict[str, Device] = {}
        self.open_nodes: dict[int, str] = {}
        self.opened = 0
        self.system = System(root, self._open, self._close, self._ioctl, "linux", 1)
        self.write("/proc/1/comm", "frrcam")

    def write(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")

    def add(self, number: int, device: Device, *, index: int = 0, virtual: bool = False, by_id: str = "") -> str:
        node = f"/dev/video{number}"
        self.devices[node] = device
        self.write(node, "")
        kind = "virtual" if virtual else "pci0000:00/usb1"
        home = f"/sys/devices/{kind}/video4linux/video{number}"
        self.write(f"{home}/name", device.card)
        self.write(f"{home}/index", str(index))
        link = self.root / f"sys/class/video4linux/video{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../devices/{kind}/video4linux/video{number}")
        if by_id:
            self.link(f"/dev/v4l/by-id/{by_id}", number)
        return node

    def add_camera(
        self, number: int, name: str = "Integrated Camera", formats: Offered = WEBCAM, *, by_id: str = ""
    ) -> Device:
        device = Device("uvcvideo", name, CAPTURE, formats)
        self.add(number, device, by_id=by_id)
        return device

    def add_metadata(self, number: int, name: str = "Integrated Camera") -> Device:
        device = Device("uvcvideo", name, Capability.META_CAPTURE | Capability.STREAMING)
        self.add(number, device, index=1)
        return device

    def add_loopback(
        self, number: int, label: str = "FRR Camera", *, exclusive: bool = True, producing: bool = False
    ) -> Device:
        both = Capability.VIDEO_CAPTURE | Capability.VIDEO_OUTPUT
        one = Capability.VIDEO_CAPTURE if producing else Capability.VIDEO_OUTPUT
        formats = {"YU12": {(1280, 720): (30.0,)}} if producing else {}
        ways = one if exclusive else both
        streams = Capability.READWRITE | Capability.STREAMING
        device = Device("v4l2 loopback", label, ways | streams, formats, f"platform:v4l2loopback-{number:03}")
        self.add(number, device, virtual=True)
        home = f"/sys/devices/virtual/video4linux/video{number}"
        self.write(f"{home}/state", "capture" if producing else "output")
        self.write(f"{home}/format", "YU12:1280x720@30/1" if producing else "")
        self.write(f"{home}/max_openers", "10")
        return device

    def link(self, path: str, number: int) -> None:
        link = self.root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../video{number}")

    def load_module(self, version: str = "0.15.0", **parameters: str) -> None:
        self.write("/sys/module/v4l2loopback/version", version)
        for name, value in parameters.items():
            self.write(f"/sys/module/v4l2loopback/parameters/{name}", value)

    def hold(self, number: int, pid: int, program: str) -> None:
        self.write(f"/proc/{pid}/comm", program)
        folder = self.root / f"proc/{pid}/fd"
        folder.mkdir()
        (folder / "3").symlink_to("/dev/null")
        (folder / "7").symlink_to(f"/dev/video{number}")

    def unplug(self, number: int) -> None:
        (self.root / f"dev/video{number}").unlink()
        (self.root / f"sys/class/video4linux/video{number}").unlink()
        del self.devices[f"/dev/video{number}"]

    def _open(self, path: str, flags: int) -> int:
        node = "/" + str(Path(os.path.realpath(path)).relative_to(os.path.realpath(self.root)))
        device = self.devices.get(node)
        if device is not None and device.refuses:
            raise OSError(device.refuses, os.strerror(device.refuses), node)
        if device is None and not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", node)
        self.opened += 1
        self.open_nodes[1000 + self.opened] = node
        return 1000 + self.opened

    def _close(self, fd: int) -> None:
        del self.open_nodes[fd]

    def _ioctl(self, fd: int, request: int, argument: bytearray) -> object:
        device = self.devices.get(self.open_nodes[fd])
        if device is None:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        answer = {
            v4l2.VIDIOC_QUERYCAP: _query_capability,
            v4l2.VIDIOC_ENUM_FMT: _enum_formats,
            v4l2.VIDIOC_ENUM_FRAMESIZES: _enum_frame_sizes,
            v4l2.VIDIOC_ENUM_FRAMEINTERVALS: _enum_frame_intervals,
            v4l2.VIDIOC_REQBUFS: _request_buffers,
        }[request]
        answer(device, argument)
        return 0


def _query_capability(device: Device, argument: bytearray) -> None:
    version = 6 << 16 | 1 << 8 | 192
    whole = device.capabilities | Capability.DEVICE_CAPS | Capability.META_CAPTURE
    texts = (device.driver.encode(), device.card.encode(), device.bus_info.encode())
    struct.pack_into("16s32s32sIII", argument, 0, *texts, version, whole, device.capabilities)


def _enum_formats(device: Device, argument: bytearray) -> None:
    index, kind = struct.unpack_from("II", argument)
    if kind != BufferType.VIDEO_CAPTURE:
        raise OSError(errno.EINVAL, "Invalid argument")
    fourcc = _nth(list(device.formats), index)
    struct.pack_into("32s4s", argument, 12, f"{fourcc} format".encode(), fourcc_code(fourcc))


def _enum_frame_sizes(device: Device, argument: bytearray) -> None:
    index, fourcc = struct.unpack_from("I4s", argument)
    if device.stepwise:
        _nth([STEP], index)
        struct.pack_into("7I", argument, 8, 3, *STEP)
    else:
        struct.pack_into("3I", argument, 8, 1, *_nth(list(device.formats[fourcc_text(fourcc)]), index))


def _enum_frame_intervals(device: Device, argument: bytearray) -> None:
    index, fourcc, width, height = struct.unpack_from("I4sII", argument)
    if device.stepwise:
        _nth([0], index)
        struct.pack_into("7I", argument, 16, 3, 1, 60, 1, 1, 1, 1)
    else:
        rate = _nth(device.formats[fourcc_text(fourcc)][width, height], index)
        struct.pack_into("3I", argument, 16, 1, 1000, round(1000 * rate))


def _request_buffers(device: Device, argument: bytearray) -> None:
    if device.streaming:
        raise OSError(errno.EBUSY, "Device or resource busy")


def _nth(items: Sequence[T], index: int) -> T:
    if index >= len(items):
        raise OSError(errno.EINVAL, "Invalid argument")
    return items[index]

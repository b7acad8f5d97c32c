"""What Linux tells of its video devices: one free function per ioctl, and what lies in /sys, /dev and /proc.

Standard library only. Everything goes through a `System`, so that tests put a made-up machine in its place; where there
is no Video4Linux, there are simply no nodes. The numbers are those of linux/videodev2.h.
"""

import contextlib
import errno
import os
import select
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Final


class Capability(IntFlag):
    """What a node can do (V4L2_CAP_*)."""

    VIDEO_CAPTURE = 0x1
    VIDEO_OUTPUT = 0x2
    VIDEO_CAPTURE_MPLANE = 0x1000
    VIDEO_OUTPUT_MPLANE = 0x2000
    VIDEO_M2M_MPLANE = 0x4000
    VIDEO_M2M = 0x8000
    META_CAPTURE = 0x0080_0000
    READWRITE = 0x0100_0000
    STREAMING = 0x0400_0000
    META_OUTPUT = 0x0800_0000
    DEVICE_CAPS = 0x8000_0000


class BufferType(IntEnum):
    """Which way pictures go (V4L2_BUF_TYPE_*)."""

    VIDEO_CAPTURE = 1
    VIDEO_OUTPUT = 2


@dataclass(frozen=True, slots=True)
class CapabilityInfo:
    """The answer to VIDIOC_QUERYCAP."""

    driver: str
    card: str
    bus_info: str
    version: str
    capabilities: Capability
    """Of this node alone, where the driver tells them apart from the whole device's."""


@dataclass(frozen=True, slots=True)
class FrameSizes:
    """Pixels: one size where min and max agree, else every step between them."""

    min_width: int
    max_width: int
    step_width: int
    min_height: int
    max_height: int
    step_height: int

    @property
    def discrete(self) -> bool:
        return (self.min_width, self.min_height) == (self.max_width, self.max_height)

    def nearest(self, width: int, height: int) -> tuple[int, int]:
        """The size within these that is nearest to width×height."""
        return (
            _nearest(width, self.min_width, self.max_width, self.step_width),
            _nearest(height, self.min_height, self.max_height, self.step_height),
        )


@dataclass(frozen=True, slots=True)
class PixelFormatInfo:
    """One answer to VIDIOC_ENUM_FMT."""

    fourcc: str
    """"MJPG"; "Y16-BE" for the big-endian kind."""
    description: str


@dataclass(frozen=True, slots=True)
class Event:
    """One answer to VIDIOC_DQEVENT."""

    kind: int
    """V4L2_EVENT_*"""
    value: int
    """The first 32 bits of what it carries."""


Ioctl = Callable[[int, int, bytearray | int], object]


def _fcntl_ioctl(fd: int, request: int, argument: bytearray | int) -> object:
    import fcntl

    return fcntl.ioctl(fd, request, argument, True)


@dataclass(frozen=True, slots=True)
class System:
    """The machine: where its trees hang and how its devices are opened and asked."""

    root: Path = Path("/")
    open: Callable[[str, int], int] = os.open
    close: Callable[[int], None] = os.close
    ioctl: Ioctl = _fcntl_ioctl
    platform: str = sys.platform
    pid: int = os.getpid()

    def path(self, path: str) -> Path:
        """Where an absolute path of that machine lies on this one."""
        return self.root / path.lstrip("/")

    @contextlib.contextmanager
    def opened(self, node: str) -> Iterator[int]:
        """A descriptor to ask questions of. Takes no stream and wakes no camera. Raises OSError."""
        fd = self.open(str(self.path(node)), os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
        try:
            yield fd
        finally:
            self.close(fd)

    def read(self, path: str) -> str | None:
        """A small text file, stripped; None where it is not there or may not be read."""
        try:
            return self.path(path).read_text(errors="replace").strip("\0\n ")
        except OSError:
            return None


LINUX: Final = System()
"""The machine we run on."""


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_WRITE, _READ, _BOTH = 1, 2, 3
_LONG = struct.calcsize("P")
VIDIOC_QUERYCAP: Final = _request(_READ, 0, 104)
VIDIOC_ENUM_FMT: Final = _request(_BOTH, 2, 64)
VIDIOC_REQBUFS: Final = _request(_BOTH, 8, 20)
VIDIOC_STREAMON: Final = _request(_WRITE, 18, 4)
VIDIOC_ENUM_FRAMESIZES: Final = _request(_BOTH, 74, 44)
VIDIOC_ENUM_FRAMEINTERVALS: Final = _request(_BOTH, 75, 52)
VIDIOC_DQEVENT: Final = _request(_READ, 89, 120 + 2 * _LONG)
VIDIOC_SUBSCRIBE_EVENT: Final = _request(_WRITE, 90, 32)
_SEND_INITIAL: Final = 1
_LOOK_S: Final = 0.1
"""Seconds between looks for an event where poll() does not wait for one."""
_DISCRETE: Final = 1


def query_capability(system: System, fd: int) -> CapabilityInfo:
    """VIDIOC_QUERYCAP. Raises OSError (ENOTTY where this is no video device)."""
    argument = bytearray(104)
    system.ioctl(fd, VIDIOC_QUERYCAP, argument)
    driver, card, bus_info, version, whole, node = struct.unpack_from("16s32s32sIII", argument)
    return CapabilityInfo(
        _text(driver),
        _text(card),
        _text(bus_info),
        f"{version >> 16}.{version >> 8 & 255}.{version & 255}",
        Capability(node if whole & Capability.DEVICE_CAPS else whole),
    )


def enum_formats(system: System, fd: int) -> Iterator[PixelFormatInfo]:
    """VIDIOC_ENUM_FMT of what can be captured, to the end."""
    for index in range(256):
        argument = bytearray(64)
        struct.pack_into("II", argument, 0, index, BufferType.VIDEO_CAPTURE)
        if not _asked(system, fd, VIDIOC_ENUM_FMT, argument):
            return
        description, fourcc = struct.unpack_from("32s4s", argument, 12)
        yield PixelFormatInfo(fourcc_text(fourcc), _text(description))


def enum_frame_sizes(system: System, fd: int, fourcc: str) -> Iterator[FrameSizes]:
    """VIDIOC_ENUM_FRAMESIZES, to the end; a stepwise or continuous answer is the only one."""
    for index in range(256):
        argument = bytearray(44)
        struct.pack_into("I4s", argument, 0, index, fourcc_code(fourcc))
        if not _asked(system, fd, VIDIOC_ENUM_FRAMESIZES, argument):
            return
        kind, a, b, c, d, e, f = struct.unpack_from("7I", argument, 8)
        if kind == _DISCRETE:
            yield FrameSizes(a, a, 1, b, b, 1)
        else:
            yield FrameSizes(a, b, max(c, 1), d, e, max(f, 1))
            return


def enum_frame_intervals(system: System, fd: int, fourcc: str, width: int, height: int) -> Iterator[float]:
    """VIDIOC_ENUM_FRAMEINTERVALS as pictures a second, to the end; of a range, its two ends."""
    for index in range(256):
        argument = bytearray(52)
        struct.pack_into("I4sII", argument, 0, index, fourcc_code(fourcc), width, height)
        if not _asked(system, fd, VIDIOC_ENUM_FRAMEINTERVALS, argument):
            return
        kind, *fractions = struct.unpack_from("5I", argument, 16)
        for numerator, denominator in (fractions[:2],) if kind == _DISCRETE else (fractions[:2], fractions[2:]):
            if numerator and denominator:
                yield denominator / numerator
        if kind != _DISCRETE:
            return


def request_buffers(system: System, fd: int, count: int) -> int:
    """VIDIOC_REQBUFS for mapped buffers of a capture: how many there are. Raises OSError (EBUSY: in use)."""
    argument = bytearray(20)
    struct.pack_into("III", argument, 0, count, BufferType.VIDEO_CAPTURE, 1)
    system.ioctl(fd, VIDIOC_REQBUFS, argument)
    return int(struct.unpack_from("I", argument)[0])


def stream_on(system: System, fd: int, kind: BufferType) -> None:
    """VIDIOC_STREAMON. Raises OSError (EINVAL without buffers)."""
    system.ioctl(fd, VIDIOC_STREAMON, bytearray(struct.pack("I", kind)))


def subscribe_event(system: System, fd: int, kind: int) -> None:
    """VIDIOC_SUBSCRIBE_EVENT; the present value is the first event. Raises OSError (EINVAL: not known here)."""
    argument = bytearray(32)
    struct.pack_into("III", argument, 0, kind, 0, _SEND_INITIAL)
    system.ioctl(fd, VIDIOC_SUBSCRIBE_EVENT, argument)


def dequeue_event(system: System, fd: int) -> Event | None:
    """VIDIOC_DQEVENT on an O_NONBLOCK descriptor; None when no event waits. Raises OSError (ENODEV: gone)."""
    argument = bytearray(120 + 2 * _LONG)
    try:
        system.ioctl(fd, VIDIOC_DQEVENT, argument)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EAGAIN):
            return None
        raise
    return Event(*struct.unpack_from("I4xI", argument))


def wait_for_event(fd: int, timeout: float) -> bool:
    """Waits up to `timeout` seconds for an event. True if dequeue_event() is worth asking: then, and on a fault."""
    poller = select.poll()
    poller.register(fd, select.POLLPRI)
    answers = poller.poll(timeout * 1000)
    if answers and not answers[0][1] & select.POLLPRI:
        # a driver that answers POLLERR at once for a descriptor that neither reads nor writes must not make us spin
        time.sleep(min(timeout, _LOOK_S))
    return bool(answers)


def _asked(system: System, fd: int, request: int, argument: bytearray) -> bool:
    """False at the end of an enumeration, and where the driver does not know the question."""
    try:
        system.ioctl(fd, request, argument)
    except OSError:
        return False
    return True


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()


def fourcc_code(text: str) -> bytes:
    """The four bytes. Of "Y16-BE", as the kernel prints it, the last byte's top bit says big-endian."""
    code = bytearray(text.removesuffix("-BE").encode().ljust(4))
    code[3] |= 0x80 * text.endswith("-BE")
    return bytes(code)


def fourcc_text(code: bytes) -> str:
    """The inverse of fourcc_code()."""
    letters = code[:3] + bytes([code[3] & 0x7F])
    return _text(letters) + ("-BE" if code[3] & 0x80 else "")


def _nearest(value: int, low: int, high: int, step: int) -> int:
    return min(low + round((min(max(value, low), high) - low) / step) * step, high - (high - low) % step)

"""Who watches: a reader that streams does, a program that only lists the device does not; both ways of knowing it."""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import pyvirtualcam

from frrcam.daemon.readers import AlwaysWatched, ClientEvents, Consumers, Openers, open_consumers
from frrcam.linux.devices import list_cameras
from frrcam.linux.v4l2 import LINUX, BufferType, request_buffers
from tests.vm.machine import CAMERA, MARKS, Machine

pytestmark = MARKS
Seen = Callable[[str], None]

VIDIOC_STREAMON = 0x40045612
LOOKED_S = 30
"""Two looks at /proc. They come the more seldom the longer one takes, and system calls are slow in here."""


@pytest.fixture
def producer(machine: Machine) -> Iterator[pyvirtualcam.Camera]:
    """Has published one picture and keeps the device: what an idle daemon does."""
    with pyvirtualcam.Camera(640, 480, 30, fmt=pyvirtualcam.PixelFormat.I420, device=CAMERA) as camera:
        camera.send(np.full((720, 640), 128, np.uint8))
        yield camera


def streaming() -> int:
    """A descriptor that waits for pictures, as a meeting program's does before the first one comes."""
    descriptor = os.open(CAMERA, os.O_RDWR | os.O_NONBLOCK)
    request_buffers(LINUX, descriptor, 2)
    fcntl.ioctl(descriptor, VIDIOC_STREAMON, struct.pack("i", BufferType.VIDEO_CAPTURE))
    return descriptor


def until(consumers: Consumers, watched: bool, seconds: float) -> float:
    """Seconds until they say so."""
    began = time.monotonic()
    while consumers.watching(0.5) is not watched:
        assert time.monotonic() - began < seconds
    return time.monotonic() - began


def test_the_event_follows_streaming_and_not_listing(producer: pyvirtualcam.Camera, seen: Seen) -> None:
    with open_consumers(CAMERA) as consumers:
        assert isinstance(consumers, ClientEvents)
        for _ in range(20):
            assert CAMERA in [camera.node for camera in list_cameras()]
            assert not consumers.watching(0.02)
        reader = streaming()
        came = until(consumers, True, 2)
        os.close(reader)
        went = until(consumers, False, 2)
        descriptor = os.open(CAMERA, os.O_RDONLY | os.O_NONBLOCK)
        assert not consumers.watching(0.1)
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 640 * 480 * 2)
        assert consumers.watching(0.1)
        os.close(descriptor)
        assert not consumers.watching(0.1)
    seen(f"20 listings: no reader; a reader: seen {came * 1000:.0f} ms after it began, gone after {went * 1000:.0f} ms")


def test_waiting_for_a_reader_costs_nothing(producer: pyvirtualcam.Camera, seen: Seen) -> None:
    with ClientEvents(CAMERA) as consumers:
        consumers.watching(0)
        began, used = time.monotonic(), time.process_time()
        while time.monotonic() - began < 5:
            assert not consumers.watching(0.5)
        share = (time.process_time() - used) / (time.monotonic() - began)
    seen(f"{share:.2%} of a core")
    assert share < 0.01


def test_without_the_event_open_descriptors_tell(machine: Machine, producer: pyvirtualcam.Camera, seen: Seen) -> None:
    with Openers(CAMERA, LINUX, time.sleep, time.monotonic) as consumers:
        began, used = time.monotonic(), time.process_time()
        while time.monotonic() - began < 5:
            assert not consumers.watching(0.5)
        share = (time.process_time() - used) / (time.monotonic() - began)
        reader = machine.program("sh", "-c", f"exec sleep 60 < {CAMERA}")
        came = until(consumers, True, LOOKED_S)
        reader.kill()
        went = until(consumers, False, LOOKED_S)
    seen(f"{share:.1%} of a core; a reader: seen after {came:.1f} s, gone after {went:.1f} s")
    assert share < 0.02


def test_a_device_full_of_openers_is_taken_as_watched_or_looked_at(machine: Machine, seen: Seen) -> None:
    descriptors = []
    with contextlib.suppress(OSError):
        while len(descriptors) < 64:
            descriptors.append(os.open(CAMERA, os.O_RDONLY | os.O_NONBLOCK))
    consumers = open_consumers(CAMERA)
    seen(f"{len(descriptors)} openers: {consumers.how}")
    for descriptor in descriptors:
        os.close(descriptor)
    assert isinstance(consumers, Openers | AlwaysWatched)

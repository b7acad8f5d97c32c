import errno
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.linux import v4l2
from frrcam.linux.v4l2 import Capability, FrameSizes, System, wait_for_event
from tests.linux.fakes_v4l2 import Hardware


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path)


def test_requests_have_the_kernels_numbers() -> None:
    """As gcc prints them from linux/videodev2.h on x86-64."""
    assert v4l2.VIDIOC_QUERYCAP == 0x80685600
    assert v4l2.VIDIOC_ENUM_FMT == 0xC0405602
    assert v4l2.VIDIOC_REQBUFS == 0xC0145608
    assert v4l2.VIDIOC_ENUM_FRAMESIZES == 0xC02C564A
    assert v4l2.VIDIOC_ENUM_FRAMEINTERVALS == 0xC034564B


def test_asks_what_a_node_can_do(hardware: Hardware) -> None:
    hardware.add_camera(0, "HD Pro Webcam C920")
    with hardware.system.opened("/dev/video0") as fd:
        answer = v4l2.query_capability(hardware.system, fd)
    assert (answer.driver, answer.card) == ("uvcvideo", "HD Pro Webcam C920")
    assert (answer.bus_info, answer.version) == ("usb-0000:00:14.0-1", "6.1.192")
    assert answer.capabilities == Capability.VIDEO_CAPTURE | Capability.STREAMING
    assert hardware.open_nodes == {}


def test_enumerates_formats_sizes_and_rates(hardware: Hardware) -> None:
    hardware.add_camera(0)
    system = hardware.system
    with system.opened("/dev/video0") as fd:
        assert [item.fourcc for item in v4l2.enum_formats(system, fd)] == ["YUYV", "MJPG"]
        sizes = list(v4l2.enum_frame_sizes(system, fd, "MJPG"))
        assert [size.nearest(0, 0) for size in sizes] == [(640, 480), (1280, 720), (1920, 1080)]
        assert all(size.discrete for size in sizes)
        assert list(v4l2.enum_frame_intervals(system, fd, "MJPG", 1280, 720)) == [30.0, 60.0]


def test_big_endian_formats_are_named_as_the_kernel_names_them(hardware: Hardware) -> None:
    hardware.add_camera(0, formats={"Y16": {(640, 480): (30.0,)}, "Y16-BE": {(320, 240): (15.0,)}})
    system = hardware.system
    with system.opened("/dev/video0") as fd:
        assert [item.fourcc for item in v4l2.enum_formats(system, fd)] == ["Y16", "Y16-BE"]
        (sizes,) = v4l2.enum_frame_sizes(system, fd, "Y16-BE")
    assert sizes.nearest(0, 0) == (320, 240)


def test_a_range_of_sizes_and_rates_is_one_answer(hardware: Hardware) -> None:
    hardware.add_camera(0).stepwise = True
    system = hardware.system
    with system.opened("/dev/video0") as fd:
        (sizes,) = v4l2.enum_frame_sizes(system, fd, "YUYV")
        assert not sizes.discrete
        assert sizes.nearest(640, 9000) == (640, 8192)
        assert list(v4l2.enum_frame_intervals(system, fd, "YUYV", 640, 480)) == [60.0, 1.0]


def test_buffers_of_a_streaming_camera_are_refused(hardware: Hardware) -> None:
    camera = hardware.add_camera(0)
    with hardware.system.opened("/dev/video0") as fd:
        assert v4l2.request_buffers(hardware.system, fd, 1) == 1
        camera.streaming = True
        with pytest.raises(OSError, match="busy") as caught:
            v4l2.request_buffers(hardware.system, fd, 1)
    assert caught.value.errno == errno.EBUSY


def test_a_plain_file_has_no_answers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    system = System(tmp_path)
    with system.opened("/file") as fd:
        with pytest.raises(OSError, match="ioctl") as caught:
            v4l2.query_capability(system, fd)
        assert list(v4l2.enum_formats(system, fd)) == []
    assert caught.value.errno == errno.ENOTTY
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


ranges = st.builds(
    lambda low, span, step: (low, low + span, step), st.integers(1, 4096), st.integers(0, 4096), st.integers(1, 64)
)


@given(ranges, ranges, st.integers(0, 10000), st.integers(0, 10000))
def test_the_nearest_size_is_one_of_the_range(
    width: tuple[int, int, int], height: tuple[int, int, int], wanted_width: int, wanted_height: int
) -> None:
    nearest = FrameSizes(*width, *height).nearest(wanted_width, wanted_height)
    for got, wanted, (low, high, step) in zip(nearest, (wanted_width, wanted_height), (width, height), strict=True):
        assert got in range(low, high + 1, step)
        assert abs(got - wanted) == min(abs(each - wanted) for each in range(low, high + 1, step))


def answering(*values: int, form: str, at: int) -> System:
    """A driver that gives the same answer to whatever it is asked, and how often."""

    def ioctl(fd: int, request: int, argument: bytearray | int) -> object:
        assert isinstance(argument, bytearray)
        struct.pack_into(form, argument, at, *values)
        return 0

    return System(ioctl=ioctl)


def test_a_range_of_sizes_is_one_answer_however_often_the_driver_gives_it() -> None:
    system = answering(3, 2, 640, 2, 2, 480, 2, form="7I", at=8)
    assert list(v4l2.enum_frame_sizes(system, 3, "YUYV")) == [FrameSizes(2, 640, 2, 2, 480, 2)]


@pytest.mark.parametrize(("whole", "expected"), [(0x85, Capability(0x85)), (0x8000_0085, Capability.VIDEO_OUTPUT)])
def test_an_old_driver_tells_of_the_device_and_a_newer_one_of_the_node(whole: int, expected: Capability) -> None:
    system = answering(whole, int(Capability.VIDEO_OUTPUT), form="II", at=84)
    assert v4l2.query_capability(system, 3).capabilities == expected


def test_a_descriptor_that_only_tells_of_errors_is_not_asked_all_the_time() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    began = time.monotonic()
    assert wait_for_event(writing, 0.05)
    assert time.monotonic() - began > 0.04
    os.close(writing)

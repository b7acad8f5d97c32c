import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.errors import (
    SourceBusy,
    SourceError,
    SourceForbidden,
    SourceLost,
    SourceNotFound,
    SourceUnusable,
    UsageError,
)
from frrcam.frame import Image
from frrcam.linux.devices import Format, Mode
from frrcam.linux.v4l2 import System
from frrcam.sources.camera import FORMATS, CameraSource, Request, choose_mode
from tests.linux.fakes_v4l2 import Hardware

PICTURE = np.full((720, 1280, 3), 90, np.uint8)
LOST: tuple[bool, None] = (False, None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeCapture:
    """Keeps what was set, in order, and reads what it is given; a float in `reads` is a wait before the next answer."""

    def __init__(self, reads: Iterable[Image | float | None] = (), *, opened: bool = True, fps: float = 30.0) -> None:
        self.clock, self.opened, self.fps = Clock(), opened, fps
        self.asked: list[tuple[str, float]] = []
        self.where: tuple[str | int, int] | None = None
        self.released = 0
        self._reads: Iterator[Image | float | None] = iter(reads)

    def __call__(self, where: str | int, backend: int) -> "FakeCapture":
        self.where = (where, backend)
        return self

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        names = ("FOURCC", "FRAME_WIDTH", "FRAME_HEIGHT", "FPS", "BUFFERSIZE")
        self.asked.append((next(name for name in names if getattr(cv2, f"CAP_PROP_{name}") == propId), value))
        return True

    def get(self, propId: int) -> float:  # noqa: N803
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG")}[propId]

    def read(self) -> tuple[bool, Any]:
        answer = next(self._reads, PICTURE)
        while isinstance(answer, float):
            self.clock.now += answer
            answer = next(self._reads, PICTURE)
        return (answer is not None), answer

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path)


def opened(hardware: Hardware, capture: FakeCapture, device: str | None = None, **wanted: Any) -> CameraSource:
    return CameraSource(device, **wanted, system=hardware.system, opener=capture, clock=capture.clock)


def test_asks_for_format_then_size_then_rate_then_one_buffer(hardware: Hardware) -> None:
    hardware.add_camera(0)
    capture = FakeCapture()
    opened(hardware, capture)
    assert capture.where == ("/dev/video0", cv2.CAP_V4L2)
    assert capture.asked == [
        ("FOURCC", cv2.VideoWriter.fourcc(*"MJPG")),
        ("FRAME_WIDTH", 1280),
        ("FRAME_HEIGHT", 720),
        ("FPS", 30.0),
        ("BUFFERSIZE", 1),
    ]


def test_says_what_it_really_got(hardware: Hardware) -> None:
    hardware.add_camera(0)
    capture = FakeCapture([np.zeros((480, 640, 3), np.uint8)], fps=25.0)
    info = opened(hardware, capture).info
    assert (info.name, info.width, info.height, info.fps) == ("Integrated Camera", 640, 480, 25.0)
    assert (info.live, info.pixel_format) == (True, "MJPG")


def test_a_rate_the_driver_does_not_know_is_the_one_asked_for(hardware: Hardware) -> None:
    hardware.add_camera(0)
    assert opened(hardware, FakeCapture(fps=0.0)).info.fps == 30.0


def test_frames_count_up_and_carry_the_clock(hardware: Hardware) -> None:
    hardware.add_camera(0)
    capture = FakeCapture([PICTURE, 0.04, PICTURE, 0.04, PICTURE])
    with opened(hardware, capture) as camera:
        frames = [camera.read() for _ in range(3)]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.timestamp for frame in frames] == pytest.approx([100.0, 100.04, 100.08])


@pytest.mark.parametrize(("period", "buffers"), [(1 / 30, [1]), (1 / 25, [1]), (1 / 15, [1, 2])])
def test_a_camera_at_half_its_rate_gets_a_second_buffer(hardware: Hardware, period: float, buffers: list[int]) -> None:
    hardware.add_camera(0)
    capture = FakeCapture([each for _ in range(100) for each in (period, PICTURE)])
    with opened(hardware, capture) as camera:
        for _ in range(100):
            camera.read()
    assert [value for name, value in capture.asked if name == "BUFFERSIZE"] == buffers


def test_grey_pictures_become_colour(hardware: Hardware) -> None:
    hardware.add_camera(0)
    with opened(hardware, FakeCapture([PICTURE[..., 0]])) as camera:
        assert camera.read().image.shape == (720, 1280, 3)


def test_two_failures_are_forgiven_and_three_are_not(hardware: Hardware) -> None:
    hardware.add_camera(0)
    camera = opened(hardware, FakeCapture([PICTURE, None, None, PICTURE, None, None, None]))
    camera.read()
    assert camera.read().index == 1
    with pytest.raises(SourceLost, match="unplugged"):
        camera.read()


def test_a_hung_camera_is_not_waited_for_twice(hardware: Hardware) -> None:
    hardware.add_camera(0)
    capture = FakeCapture([PICTURE, 1.0, None, PICTURE])
    camera = opened(hardware, capture)
    camera.read()
    with pytest.raises(SourceLost, match="hangs"):
        camera.read()


def test_a_slow_start_is_waited_for(hardware: Hardware) -> None:
    hardware.add_camera(0)
    assert opened(hardware, FakeCapture([1.0, None, 1.0, None, 1.0, None, 1.0, PICTURE])).read().index == 0


def test_closes_once(hardware: Hardware) -> None:
    hardware.add_camera(0)
    capture = FakeCapture()
    camera = opened(hardware, capture)
    camera.close()
    camera.close()
    assert capture.released == 1
    with pytest.raises(SourceLost, match="closed"):
        camera.read()


def test_close_during_a_read_leaves_the_release_to_the_reader(hardware: Hardware) -> None:
    hardware.add_camera(0)
    inside, go_on = threading.Event(), threading.Event()

    class Hanging(FakeCapture):
        hanging = False

        def read(self) -> tuple[bool, Any]:
            if self.hanging:
                inside.set()
                assert go_on.wait(10)
            return super().read()

    capture = Hanging()
    camera = opened(hardware, capture)
    camera.read()
    capture.hanging = True
    reader = threading.Thread(target=camera.read)
    reader.start()
    assert inside.wait(10)
    camera.close()
    assert capture.released == 0
    go_on.set()
    reader.join(10)
    assert capture.released == 1


def test_found_again_by_link_or_else_by_name(hardware: Hardware) -> None:
    hardware.add_camera(0, "Logitech C920", by_id="usb-046d_C920-video-index0")
    hardware.add_camera(2, "Integrated Camera")
    assert opened(hardware, FakeCapture(), "0").info.reopen_as == "/dev/v4l/by-id/usb-046d_C920-video-index0"
    assert opened(hardware, FakeCapture(), "2").info.reopen_as == "Integrated Camera"


def never_opens(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0)
    return FakeCapture(opened=False)


def busy(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0).streaming = True
    hardware.hold(0, 4711, "zoom")
    return FakeCapture(opened=False)


def busy_by_a_stranger(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0).streaming = True
    return FakeCapture([None, None, None])


def forbidden(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0).refuses = errno.EACCES
    return FakeCapture()


def gives_nothing(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0)
    return FakeCapture([None, None, None])


def unplugged_while_opening(hardware: Hardware) -> FakeCapture:
    hardware.add_camera(0)

    class Unplugging(FakeCapture):
        def isOpened(self) -> bool:  # noqa: N802
            hardware.unplug(0)
            return False

    return Unplugging()


@pytest.mark.parametrize(
    ("situation", "kind", "says"),
    [
        (never_opens, SourceUnusable, "gives no pictures"),
        (busy, SourceBusy, r"zoom \(pid 4711\)"),
        (busy_by_a_stranger, SourceBusy, "another user"),
        (forbidden, SourceForbidden, "usermod -aG"),
        (gives_nothing, SourceUnusable, "gives no pictures"),
        (unplugged_while_opening, SourceNotFound, "unplugged"),
    ],
)
def test_says_in_one_line_why_it_cannot_be_opened(
    hardware: Hardware, situation: Callable[[Hardware], FakeCapture], kind: type[SourceError], says: str
) -> None:
    capture = situation(hardware)
    with pytest.raises(kind, match=says) as caught:
        opened(hardware, capture)
    assert "\n" not in str(caught.value)
    assert hardware.open_nodes == {}
    assert capture.released == (kind is not SourceForbidden)


@pytest.mark.parametrize(
    "wanted", [{"size": (10, 720)}, {"size": (1280, 9000)}, {"fps": 0.0}, {"fps": float("nan")}, {"fps": 1000.0}]
)
def test_absurd_wishes_are_refused(hardware: Hardware, wanted: dict[str, Any]) -> None:
    hardware.add_camera(0)
    with pytest.raises(UsageError, match="cannot be meant"):
        opened(hardware, FakeCapture(), **wanted)


def test_elsewhere_a_camera_has_only_a_number(hardware: Hardware) -> None:
    capture, system = FakeCapture(), System(hardware.root, platform="win32")
    camera = CameraSource("1", system=system, opener=capture, clock=capture.clock)
    assert capture.where == (1, cv2.CAP_MSMF)
    assert (camera.info.name, camera.info.reopen_as) == ("camera 1", "1")
    with pytest.raises(UsageError, match="by its number"):
        CameraSource("Logitech", system=system, opener=capture)


def test_a_size_no_camera_offers_becomes_the_nearest(hardware: Hardware) -> None:
    formats = (Format("MJPG", "", (Mode(640, 480, (30.0,)), Mode(1280, 720, (30.0,)))),)
    assert choose_mode(formats, (1200, 700), 30.0) == Request("MJPG", 1280, 720, 30.0)
    assert choose_mode(formats, (320, 240), 30.0) == Request("MJPG", 640, 480, 30.0)


def test_without_a_wanted_size_the_rate_comes_first() -> None:
    formats = (Format("YUYV", "", (Mode(640, 480, (30.0,)), Mode(1280, 720, (10.0,)))),)
    assert choose_mode(formats, None, None) == Request("YUYV", 640, 480, 30.0)
    assert choose_mode(formats, (1280, 720), None) == Request("YUYV", 1280, 720, 10.0)


def test_formats_that_opencv_cannot_read_are_left_to_the_driver() -> None:
    assert choose_mode((Format("H264", "", (Mode(1280, 720, (30.0,)),)),), None, None).fourcc == ""
    assert choose_mode((), None, None) == Request("MJPG", 1280, 720, 30.0)


modes = st.builds(
    Mode,
    st.integers(32, 4096),
    st.integers(32, 4096),
    st.lists(st.sampled_from([5.0, 10.0, 15.0, 24.0, 29.97, 30.0, 60.0]), max_size=3).map(tuple),
)
offers = st.lists(
    st.builds(Format, st.sampled_from(FORMATS), st.just(""), st.lists(modes, min_size=1, max_size=4).map(tuple))
)


@given(offers, st.tuples(st.integers(32, 4096), st.integers(32, 4096)), st.floats(1, 120))
def test_the_choice_is_always_among_the_offers(formats: list[Format], size: tuple[int, int], fps: float) -> None:
    choice = choose_mode(formats, size, fps)
    if formats:
        assert (choice.fourcc, choice.width, choice.height) in {
            (item.fourcc, mode.width, mode.height) for item in formats for mode in item.modes
        }


@given(offers, st.data())
def test_an_offered_size_is_never_traded_for_another(formats: list[Format], data: st.DataObject) -> None:
    if formats:
        mode = data.draw(st.sampled_from([mode for item in formats for mode in item.modes]))
        choice = choose_mode(formats, (mode.width, mode.height), None)
        assert (choice.width, choice.height) == (mode.width, mode.height)

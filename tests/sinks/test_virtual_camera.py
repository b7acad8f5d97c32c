import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.errors import SinkError, SinkForbidden, SinkLost, SinkNotFound, SinkUnusable, UsageError
from frrcam.frame import Frame
from frrcam.linux.loopback_node import VideoNode
from frrcam.linux.v4l2 import Capability
from frrcam.sinks.virtual_camera import VirtualCameraSink
from tests.sinks.fakes import FakeCamera, FakeMachine

NODE = "/dev/video10"


def no_camera_called(label: str) -> str:
    raise SinkNotFound(f'no virtual camera "{label}"')


@dataclass
class Bench:
    """A machine with FRR Camera at /dev/video10, and what was opened on it."""

    machine: FakeMachine
    cameras: list[FakeCamera] = field(default_factory=list)
    refuse: str = ""

    def open(self, width: int = 64, height: int = 48, device: str | None = None, **options: Any) -> VirtualCameraSink:
        defaults: dict[str, Any] = {
            "opener": self._opener,
            "node_opener": lambda path: VideoNode(path, self.machine.system),
            "finder": {"FRR Camera": NODE}.__getitem__,
            "platform": "linux",
        }
        return VirtualCameraSink(width, height, 30.0, device, **(defaults | options))

    def _opener(self, width: int, height: int, fps: float, device: str | None) -> FakeCamera:
        if self.refuse:
            raise RuntimeError(f"'v4l2loopback' backend: {self.refuse}")
        self.cameras.append(FakeCamera((width, height, fps, device)))
        return self.cameras[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    machine = FakeMachine(tmp_path)
    machine.add(NODE)
    yield Bench(machine)
    assert not machine.descriptors, "a descriptor was left open"


def frame(width: int = 64, height: int = 48) -> Frame:
    image = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(image, 0, 0.0, "test")


def test_the_labelled_device_is_opened_as_i420_and_let_go(bench: Bench) -> None:
    with bench.open() as sink:
        assert sink.info.name == "FRR Camera"
        assert sink.info.where == NODE
        assert sink.info.keeps == 32
        picture = frame()
        sink.send(sink.convert(picture.image), picture)
    sink.close()
    (camera,) = bench.cameras
    assert camera.opened == (64, 48, 30.0, NODE)
    assert camera.closed == 1
    assert camera.sent[0].shape == (72, 64)
    assert camera.sent[0].flags.c_contiguous


def test_udev_is_notified_when_it_begins_to_give_pictures_and_when_it_ceases(bench: Bench) -> None:
    """The kernel does not, and WirePlumber does not look again by itself."""
    uevent = bench.machine.root / "sys/dev/char/0:0/uevent"
    uevent.parent.mkdir(parents=True)
    uevent.write_text("")
    picture = frame()
    with bench.open() as sink:
        assert uevent.read_text() == "", "it gives none yet"
        sink.send(sink.convert(picture.image), picture)
        assert uevent.read_text() == "change"
        uevent.write_text("")
        sink.send(sink.convert(picture.image), picture)
        assert uevent.read_text() == "", "once"
    assert uevent.read_text() == "change"


def test_convert_is_opencvs_and_reuses_its_buffer(bench: Bench) -> None:
    with bench.open() as sink:
        image = frame().image
        first = sink.convert(image)
        np.testing.assert_array_equal(first, cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))
        assert sink.convert(image[::-1].copy()) is first


@given(width=st.integers(2, 40), height=st.integers(2, 40))
def test_odd_sizes_lose_their_last_row_or_column(
    width: int, height: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = FakeMachine(tmp_path_factory.mktemp("machine"))
    machine.add(NODE)
    image = frame(width, height).image
    with Bench(machine).open(width, height) as sink:
        even_width, even_height = sink.size
        assert (even_width, even_height) == (width - width % 2, height - height % 2)
        expected = cv2.cvtColor(image[:even_height, :even_width].copy(), cv2.COLOR_BGR2YUV_I420)
        np.testing.assert_array_equal(sink.convert(image), expected)


def test_a_picture_of_another_size_is_refused(bench: Bench) -> None:
    with bench.open(64, 48) as sink, pytest.raises(SinkUnusable, match=r"64x48, not 66x48"):
        sink.convert(frame(66, 48).image)


@pytest.mark.parametrize(("width", "height"), [(0, 480), (1, 480), (640, -2), (640, 1), (8194, 480), (640, 100000)])
def test_absurd_sizes_are_refused_before_anything_is_opened(bench: Bench, width: int, height: int) -> None:
    with pytest.raises(UsageError, match=f"{width}x{height}"):
        bench.open(width, height)
    assert not bench.cameras


def test_no_device_of_that_label(bench: Bench) -> None:
    with pytest.raises(SinkNotFound, match="FRR Camera"):
        bench.open(finder=no_camera_called)


def test_a_missing_node_names_the_modprobe_line(bench: Bench) -> None:
    with pytest.raises(
        SinkNotFound, match=r"/dev/video33: no such device.*sudo modprobe v4l2loopback .*exclusive_caps=1"
    ):
        bench.open(device="/dev/video33")


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.EACCES, SinkForbidden, "group"),
        (errno.EBUSY, SinkUnusable, "max_openers"),
        (errno.EIO, SinkUnusable, "Input/output error"),
    ],
)
def test_a_node_that_cannot_be_opened(bench: Bench, number: int, kind: type[SinkError], word: str) -> None:
    bench.machine.open_errno = number
    with pytest.raises(kind, match=word):
        bench.open()


def test_a_file_that_is_no_video_device(bench: Bench) -> None:
    bench.machine.ioctl_errno = errno.ENOTTY
    with pytest.raises(SinkUnusable, match="not a video device"):
        bench.open()


def test_a_real_camera_is_not_published_to(bench: Bench) -> None:
    bench.machine.driver, bench.machine.card = "uvcvideo", "Integrated Camera"
    bench.machine.capabilities = Capability.VIDEO_CAPTURE
    with pytest.raises(SinkUnusable, match=r'"Integrated Camera" \(uvcvideo\), not a virtual camera'):
        bench.open(device=NODE)


def test_another_producer_is_named(bench: Bench) -> None:
    bench.machine.capabilities = Capability.VIDEO_CAPTURE
    process = bench.machine.root / "proc" / "4711"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("obs\n")
    (process / "fd" / "9").symlink_to(NODE)
    with pytest.raises(SinkUnusable, match=r"obs \(pid 4711\) publishes to it already"):
        bench.open()


def test_the_ability_that_old_modules_lose_is_explained(bench: Bench) -> None:
    bench.machine.capabilities = Capability.STREAMING
    with pytest.raises(SinkUnusable, match=r"0\.12\.7 .*modprobe -r v4l2loopback"):
        bench.open()


def test_the_ability_that_old_modules_lose_is_given_back(bench: Bench) -> None:
    bench.machine.capabilities, bench.machine.healed = Capability.STREAMING, Capability.VIDEO_OUTPUT
    with bench.open() as sink:
        assert sink.info.where == NODE


BOTH = Capability.VIDEO_OUTPUT | Capability.VIDEO_CAPTURE


@pytest.mark.parametrize(
    ("version", "pictures", "usable"), [("0.12.3", 0, True), ("", 0, True), ("", 1, False), ("0.15.0", 0, False)]
)
def test_a_reader_that_a_producer_has_left_behind_is_distinguished_from_a_producer(
    bench: Bench, version: str, pictures: int, usable: bool
) -> None:
    """`pictures` come in each look. Only the old module may be asked in this way: a newer one has one reader."""
    machine = bench.machine
    machine.capabilities, machine.healed = Capability.VIDEO_CAPTURE, BOTH
    loaded = machine.root / "sys/module/v4l2loopback"
    loaded.mkdir(parents=True)
    (loaded / "version").write_text(version)
    pipe = machine.root / NODE.lstrip("/")
    pipe.unlink()
    os.mkfifo(pipe)
    producer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(producer, b"old")
        wait: Callable[[float], object] = lambda _: os.write(producer, b"new"[:pictures])  # noqa: E731
        node_opener = lambda path: VideoNode(path, machine.system, wait)  # noqa: E731
        if usable:
            bench.open(node_opener=node_opener).close()
        else:
            with pytest.raises(SinkUnusable, match="publishes to it already"):
                bench.open(node_opener=node_opener)
    finally:
        os.close(producer)
    assert bool(machine.streamed) is usable


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("could not open /dev/video10, missing permissions? video group", SinkForbidden),
        ("Device /dev/video10 is not a video output device.", SinkUnusable),
    ],
)
def test_what_pyvirtualcam_says_is_one_line(bench: Bench, text: str, kind: type[SinkError]) -> None:
    bench.refuse = text
    with pytest.raises(kind) as caught:
        bench.open()
    assert "\n" not in str(caught.value)


def test_a_vanished_node_is_noticed(bench: Bench) -> None:
    with bench.open() as sink:
        picture = frame()
        sink.send(sink.convert(picture.image), picture)
        (bench.machine.root / NODE.lstrip("/")).unlink()
        with pytest.raises(SinkLost, match="No such file"):
            sink.send(sink.convert(picture.image), picture)
    assert len(bench.cameras[0].sent) == 1


def test_another_device_under_the_same_name_is_noticed(bench: Bench) -> None:
    with bench.open() as sink:
        bench.machine.replace(NODE)
        with pytest.raises(SinkLost, match="another device has taken its place"):
            sink.send(sink.convert(frame().image), frame())


def test_a_dead_descriptor_is_noticed(bench: Bench) -> None:
    with bench.open() as sink:
        bench.machine.ioctl_errno = errno.ENODEV
        with pytest.raises(SinkLost, match="No such device"):
            sink.send(sink.convert(frame().image), frame())


def test_a_failing_backend_and_a_closed_sink_are_lost(bench: Bench) -> None:
    sink = bench.open()
    bench.cameras[0].fault = RuntimeError("gone")
    with pytest.raises(SinkLost, match="gone"):
        sink.send(sink.convert(frame().image), frame())
    sink.close()
    with pytest.raises(SinkLost, match="closed"):
        sink.send(sink.convert(frame().image), frame())


def test_elsewhere_the_backend_chooses_the_name(bench: Bench) -> None:
    with bench.open(platform="win32") as sink:
        assert sink.info.name == "OBS Virtual Camera"
        sink.send(sink.convert(frame().image), frame())
    assert bench.cameras[0].opened[3] is None


@pytest.mark.parametrize(
    ("platform", "word"), [("win32", "Unity Capture"), ("darwin", "OBS Studio 30"), ("aix", "preview")]
)
def test_elsewhere_a_missing_backend_says_what_to_install(bench: Bench, platform: str, word: str) -> None:
    bench.refuse = "OBS Virtual Camera is not installed"
    with pytest.raises(SinkNotFound, match=word):
        bench.open(platform=platform)

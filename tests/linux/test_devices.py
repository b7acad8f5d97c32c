import errno
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from frrcam.commands.tables import device_tables
from frrcam.errors import FrrcamError, SinkNotFound, SourceForbidden, SourceNotFound, SourceUnusable, UsageError
from frrcam.linux.devices import Mode, as_json, find_camera, find_virtual_camera, list_cameras, list_virtual_cameras
from frrcam.linux.v4l2 import Capability, System
from tests.linux.fakes_v4l2 import Hardware


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path)


def office(hardware: Hardware) -> Hardware:
    """A laptop with a second camera and both loopbacks of the tests' virtual machine."""
    hardware.add_loopback(0, "FRR Camera", producing=True)
    hardware.add_camera(1, "Integrated Camera: RGB")
    hardware.add_metadata(2, "Integrated Camera: RGB")
    hardware.add_camera(4, "HD Pro Webcam C920", by_id="usb-046d_HD_Pro_Webcam_C920-video-index0")
    hardware.add_loopback(10, "Test Source", producing=True)
    hardware.add_loopback(11, "Empty Source")
    hardware.hold(4, 4711, "zoom")
    return hardware


def test_lists_what_gives_pictures(hardware: Hardware) -> None:
    cameras = list_cameras(office(hardware).system)
    assert [(camera.name, camera.node, camera.loopback) for camera in cameras] == [
        ("FRR Camera", "/dev/video0", True),
        ("Integrated Camera: RGB", "/dev/video1", False),
        ("HD Pro Webcam C920", "/dev/video4", False),
        ("Test Source", "/dev/video10", True),
    ]
    c920 = cameras[2]
    assert c920.link == "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0"
    assert [str(holder) for holder in c920.busy_by] == ["zoom (pid 4711)"]
    assert [item.fourcc for item in c920.formats] == ["YUYV", "MJPG"]
    assert c920.formats[1].modes[1] == Mode(1280, 720, (60.0, 30.0))
    assert hardware.open_nodes == {}


def test_a_camera_of_any_size_lists_the_usual_and_the_wanted(hardware: Hardware) -> None:
    hardware.add_camera(0).stepwise = True
    sizes = [(m.width, m.height) for m in list_cameras(hardware.system, size=(500, 500))[0].formats[0].modes]
    assert (1280, 720) in sizes
    assert (500, 500) in sizes


def test_lists_virtual_cameras(hardware: Hardware) -> None:
    office(hardware).add_loopback(12, "Shared", exclusive=False)
    worn_out = hardware.add_loopback(13, "Worn out")
    worn_out.capabilities = Capability.READWRITE
    found = list_virtual_cameras(hardware.system)
    assert [(v.label, v.node, v.exclusive_caps, v.producing, v.output) for v in found] == [
        ("FRR Camera", "/dev/video0", True, True, False),
        ("Test Source", "/dev/video10", True, True, False),
        ("Empty Source", "/dev/video11", True, False, True),
        ("Shared", "/dev/video12", False, False, True),
        ("Worn out", "/dev/video13", True, False, False),
    ]
    assert found[0].format == "YU12:1280x720@30/1"


def test_a_loopback_that_may_not_be_opened_is_still_listed(hardware: Hardware) -> None:
    hardware.add_loopback(10, producing=True).refuses = errno.EACCES
    (virtual,) = list_virtual_cameras(hardware.system)
    assert (virtual.label, virtual.exclusive_caps, virtual.producing) == ("FRR Camera", None, True)
    assert virtual.problem.startswith("no permission")


def test_the_first_camera_is_never_a_virtual_one(hardware: Hardware) -> None:
    assert find_camera(None, office(hardware).system).node == "/dev/video1"


@pytest.mark.parametrize(
    ("device", "node"),
    [
        ("4", "/dev/video4"),
        ("/dev/video4", "/dev/video4"),
        ("/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0", "/dev/video4"),
        ("c920", "/dev/video4"),
        ("046d_HD_PRO", "/dev/video4"),
        ("integrated", "/dev/video1"),
        ("Test Source", "/dev/video10"),
        ("10", "/dev/video10"),
    ],
)
def test_finds_the_camera_that_is_meant(hardware: Hardware, device: str, node: str) -> None:
    assert find_camera(device, office(hardware).system).node == node


def test_a_whole_name_beats_a_part_of_another(hardware: Hardware) -> None:
    hardware.add_camera(0, "Camera Pro", by_id="a")
    hardware.add_camera(1, "Camera", by_id="b")
    assert find_camera("camera", hardware.system).node == "/dev/video1"


def test_two_nodes_of_one_device_are_not_ambiguous(hardware: Hardware) -> None:
    hardware.add_camera(0, "Laptop: RGB")
    hardware.add_camera(2, "Laptop: IR")
    assert find_camera("laptop", hardware.system).node == "/dev/video0"


def test_the_camera_is_found_under_its_new_number(hardware: Hardware) -> None:
    hardware.add_camera(0, "vivid")
    hardware.unplug(0)
    with pytest.raises(SourceNotFound):
        find_camera("vivid", hardware.system)
    hardware.add_camera(3, "vivid")
    assert find_camera("vivid", hardware.system).node == "/dev/video3"


def nothing(hardware: Hardware) -> str | None:
    return None


def only_loopbacks(hardware: Hardware) -> str | None:
    hardware.add_loopback(0, "Test Source", producing=True)
    return None


def ambiguous(hardware: Hardware) -> str:
    hardware.add_camera(0, "HD Webcam").bus_info = "usb-1"
    hardware.add_camera(1, "HD Webcam").bus_info = "usb-2"
    return "webcam"


def unknown_name(hardware: Hardware) -> str:
    hardware.add_camera(0, "HD Webcam")
    return "c920"


def no_such_node(hardware: Hardware) -> str:
    hardware.add_camera(0, "HD Webcam")
    return "7"


def metadata(hardware: Hardware) -> str:
    hardware.add_metadata(1)
    return "1"


def own_output(hardware: Hardware) -> str:
    hardware.add_loopback(10)
    return "/dev/video10"


def output_only(hardware: Hardware) -> str:
    hardware.add_camera(0, "Encoder").capabilities = Capability.VIDEO_M2M
    return "0"


def plain_file(hardware: Hardware) -> str:
    hardware.write("/home/me/clip.mp4", "")
    return "/home/me/clip.mp4"


def folder(hardware: Hardware) -> str:
    return "/proc"


def forbidden(hardware: Hardware) -> str:
    hardware.add_camera(0).refuses = errno.EACCES
    return "0"


def forbidden_metadata(hardware: Hardware) -> str:
    hardware.add_metadata(1).refuses = errno.EACCES
    return "1"


def broken(hardware: Hardware) -> str:
    hardware.add_camera(0).refuses = errno.EIO
    return "0"


@pytest.mark.parametrize(
    ("situation", "kind", "says"),
    [
        (nothing, SourceNotFound, "no camera here; plug one in"),
        (only_loopbacks, SourceNotFound, r'"Test Source" \(/dev/video0\); choose one with --device'),
        (ambiguous, UsageError, r'fits 2 cameras: "HD Webcam" \(/dev/video0\), "HD Webcam" \(/dev/video1\)'),
        (unknown_name, SourceNotFound, r'called "c920"; there is "HD Webcam" \(/dev/video0\)'),
        (no_such_node, SourceNotFound, '/dev/video7: no such device; there is "HD Webcam"'),
        (metadata, SourceUnusable, "metadata"),
        (own_output, SourceUnusable, "on which no program publishes"),
        (output_only, SourceUnusable, "gives no pictures"),
        (plain_file, SourceUnusable, "play it with --source"),
        (folder, SourceUnusable, "a folder"),
        (forbidden, SourceForbidden, r"no permission \(group \w+\); run: sudo usermod -aG"),
        (forbidden_metadata, SourceForbidden, "no permission"),
        (broken, SourceUnusable, "Input/output error"),
    ],
)
def test_says_in_one_line_why_there_is_none(
    hardware: Hardware, situation: Callable[[Hardware], str | None], kind: type[FrrcamError], says: str
) -> None:
    device = situation(hardware)
    with pytest.raises(kind, match=says) as caught:
        find_camera(device, hardware.system)
    assert "\n" not in str(caught.value)
    assert hardware.open_nodes == {}


def test_finds_a_virtual_camera_by_label_or_node(hardware: Hardware) -> None:
    system = office(hardware).system
    assert find_virtual_camera(system=system).node == "/dev/video0"
    assert find_virtual_camera("/dev/video11", system).label == "Empty Source"


def test_a_missing_virtual_camera_comes_with_the_command_that_makes_one(hardware: Hardware) -> None:
    with pytest.raises(SinkNotFound, match="run: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 max_buffers=2"):
        find_virtual_camera(system=hardware.system)
    hardware.add_loopback(10, "OBS")
    with pytest.raises(SinkNotFound, match=r"there is OBS \(/dev/video10\)"):
        find_virtual_camera(system=hardware.system)
    with pytest.raises(SinkNotFound, match=r'"My Cam": .*card_label="My Cam"'):
        find_virtual_camera("My Cam", hardware.system)


def test_without_video4linux_there_is_nothing(tmp_path: Path) -> None:
    system = System(tmp_path, platform="darwin")
    assert list_cameras(system) == ()
    assert list_virtual_cameras(system) == ()


def test_tables_and_json_say_the_same(hardware: Hardware) -> None:
    hardware.add_camera(20, "Closed").refuses = errno.EACCES
    found = list_cameras(office(hardware).system), list_virtual_cameras(hardware.system)
    data = json.loads(json.dumps(as_json(*found)))
    console = Console(file=io.StringIO(), width=200)
    for table in device_tables(*found):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(data["cameras"]) == 5
    assert data["cameras"][2]["busy_by"] == [{"pid": 4711, "program": "zoom"}]
    for camera in data["cameras"]:
        assert camera["name"] in text
        assert camera["node"] in text
    for virtual in data["virtual_cameras"]:
        assert virtual["label"] in text
    for detail in ("1280x720@60", "zoom (pid 4711)", "no permission", "YU12:1280x720@30/1"):
        assert detail in text


def test_a_metadata_node_that_may_not_be_asked_is_no_camera_either(hardware: Hardware) -> None:
    hardware.add_camera(0).refuses = errno.EACCES
    hardware.add_metadata(1).refuses = errno.EACCES
    assert [camera.node for camera in list_cameras(hardware.system)] == ["/dev/video0"]


@pytest.mark.parametrize("producing", [True, False])
def test_where_v4l2loopback_tells_no_state_its_abilities_do(hardware: Hardware, producing: bool) -> None:
    hardware.add_loopback(10, producing=producing)
    hardware.write("/sys/devices/virtual/video4linux/video10/state", "")
    assert [camera.producing for camera in list_virtual_cameras(hardware.system)] == [producing]

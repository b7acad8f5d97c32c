from pathlib import Path

import pytest

from frrcam.linux import sysfs
from frrcam.linux.sysfs import Holder, Loopback, Module
from frrcam.linux.v4l2 import System
from tests.linux.fakes_v4l2 import Hardware


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path)


def test_lists_nodes_by_number(hardware: Hardware) -> None:
    hardware.add_loopback(10)
    hardware.add_camera(2, "C920")
    hardware.add_metadata(3, "C920")
    hardware.write("/sys/class/video4linux/v4l-subdev0/name", "sensor")
    nodes = sysfs.nodes(hardware.system)
    assert [(node.number, node.path, node.name, node.index) for node in nodes] == [
        (2, "/dev/video2", "C920", 0),
        (3, "/dev/video3", "C920", 1),
        (10, "/dev/video10", "FRR Camera", 0),
    ]


def test_a_machine_without_video_has_nothing(tmp_path: Path) -> None:
    system = System(tmp_path)
    assert sysfs.nodes(system) == ()
    assert sysfs.links("/dev/video0", system) == ()
    assert sysfs.holders("/dev/video0", system) == ()
    assert sysfs.loopback(0, system) is None
    assert sysfs.module(system=system) is None


def test_finds_the_names_that_stay(hardware: Hardware) -> None:
    hardware.add_camera(0, by_id="usb-046d_C920-video-index0")
    hardware.link("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0", 0)
    hardware.link("/dev/v4l/by-id/usb-gone", 7)
    assert sysfs.links("/dev/video0", hardware.system) == (
        "/dev/v4l/by-id/usb-046d_C920-video-index0",
        "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0",
    )


def test_names_who_holds_a_node_but_not_itself(hardware: Hardware) -> None:
    hardware.add_camera(0)
    hardware.hold(0, 4711, "zoom")
    hardware.hold(0, 815, "obs")
    hardware.hold(0, hardware.system.pid, "frrcam")
    hardware.hold(1, 99, "cheese")
    hardware.write("/proc/meminfo", "")
    holders = sysfs.holders("/dev/video0", hardware.system)
    assert holders == (Holder(815, "obs"), Holder(4711, "zoom"))
    assert str(holders[1]) == "zoom (pid 4711)"


def test_knows_loopbacks_from_other_virtual_devices(hardware: Hardware) -> None:
    hardware.add_loopback(10, producing=True)
    hardware.add_camera(0)
    assert sysfs.loopback(10, hardware.system) == Loopback("capture", "YU12:1280x720@30/1")
    assert sysfs.loopback(0, hardware.system) is None


def test_reads_the_module(hardware: Hardware) -> None:
    hardware.load_module("0.12.7", exclusive_caps="Y,N", devices="2")
    assert sysfs.module(system=hardware.system) == Module("0.12.7", {"devices": "2", "exclusive_caps": "Y,N"})

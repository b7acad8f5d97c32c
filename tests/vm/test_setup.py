"""`frrcam setup` with the kernel's own module: there, renamed, beside others, undone. Here we are root."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frrcam.errors import SinkUnusable
from frrcam.install.setup import SetupOptions, setup
from frrcam.linux.devices import list_virtual_cameras
from tests.vm.machine import MARKS, load, unload

pytestmark = MARKS
Seen = Callable[[str], None]

FOLDERS = ("/etc/modprobe.d", "/etc/modules-load.d", "/etc/udev/rules.d")


@pytest.fixture(autouse=True)
def _without_the_module() -> Iterator[None]:
    unload("v4l2loopback")
    yield
    unload("v4l2loopback")


def files() -> dict[str, str]:
    return {str(path): path.read_text() for folder in FOLDERS for path in Path(folder).glob("*") if path.is_file()}


def cameras() -> dict[str, str]:
    return {camera.node: camera.label for camera in list_virtual_cameras()}


def test_makes_the_camera_and_undoes_it(seen: Seen) -> None:
    before, said = files(), []
    setup(SetupOptions(), said.append)
    made = cameras()
    load_again = subprocess.run("modprobe -r v4l2loopback && modprobe v4l2loopback", shell=True, check=False)
    after_boot = cameras()
    setup(SetupOptions(label="Other Camera", number=44), said.append)
    renamed = cameras()
    setup(SetupOptions(remove=True), said.append)
    seen(f"{made}; after loading as at boot {after_boot}; renamed {renamed}; removed {cameras()}")
    assert made == after_boot == {"/dev/video40": "FRR Camera"}
    assert load_again.returncode == 0
    assert renamed == {"/dev/video44": "Other Camera"}
    assert cameras() == {}
    assert files() == before


def test_adds_it_beside_another(seen: Seen) -> None:
    load("v4l2loopback", "devices=1", "video_nr=10", "card_label=OBS Camera")
    setup(SetupOptions(), lambda line: None)
    both = cameras()
    with open("/dev/video40", "rb"), pytest.raises(SinkUnusable) as refused:
        setup(SetupOptions(label="Third", number=41), lambda line: None)
    setup(SetupOptions(remove=True), lambda line: None)
    seen(f"{both}; in use: {refused.value}; removed: {cameras()}")
    assert both == {"/dev/video10": "OBS Camera", "/dev/video40": "FRR Camera"}
    assert cameras() == {"/dev/video10": "OBS Camera"}

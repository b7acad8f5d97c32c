"""FRR Camera as PipeWire has it, which is where portals and with them sandboxed browsers get their cameras."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.vm.booted.conftest import BOOTED, User
from tests.vm.machine import CAMERA, MARKS, Machine, run, until

pytestmark = [
    *MARKS,
    pytest.mark.skipif(not BOOTED, reason="systemd is not PID 1: `make test-vm` boots it for these"),
    pytest.mark.skipif(not Path("/usr/bin/wireplumber").exists(), reason="WirePlumber is not installed"),
]
Seen = Callable[[str], None]


@pytest.fixture
def session(machine: Machine, user: User) -> Iterator[User]:
    """A user in whose session nothing of PipeWire runs yet."""
    yield user
    user.ask("systemctl", "--user", "stop", "wireplumber", "pipewire.socket", "pipewire")


def publish(machine: Machine, folder: Path) -> None:
    cv2.imwrite(str(folder / "plain.png"), np.full((480, 640, 3), 128, np.uint8))
    machine.frrcam("--source", str(folder / "plain.png"))


def nodes(user: User) -> dict[str, str]:
    """Description and serial number of PipeWire's cameras."""
    dumped = user.ask("pw-dump")
    objects = json.loads(dumped.stdout) if dumped.returncode == 0 and dumped.stdout.strip() else []
    properties = [each.get("info", {}).get("props", {}) for each in objects]
    cameras = [each for each in properties if each.get("media.class") == "Video/Source"]
    return {each["node.description"]: str(each["object.serial"]) for each in cameras}


def ours(user: User) -> str | None:
    return next((serial for name, serial in nodes(user).items() if "FRR Camera" in name), None)


def test_its_node_is_there(machine: Machine, session: User, tmp_path: Path, seen: Seen) -> None:
    publish(machine, tmp_path)
    session.run("systemctl", "--user", "start", "pipewire", "wireplumber")
    came = until("the node is there", lambda: ours(session), 40)
    seen(f"WirePlumber lists {list(nodes(session))} after {came:.1f} s")


def test_a_session_that_was_there_before_finds_it(machine: Machine, session: User, tmp_path: Path, seen: Seen) -> None:
    """With exclusive_caps the device is no camera when WirePlumber looks, and no event says that it becomes one."""
    session.run("systemctl", "--user", "start", "pipewire", "wireplumber")
    until("WirePlumber answers", lambda: session.ask("wpctl", "status").returncode == 0, 40)
    publish(machine, tmp_path)
    tried = {
        "by itself": ("true",),
        "once its node is touched": tuple(session.command("touch", CAMERA)),
        "once udev is told": ("udevadm", "trigger", "--action=change", CAMERA),
    }
    how = next((how for how, command in tried.items() if appears(session, command)), None)
    seen(f"{how or 'never'}: {list(nodes(session))}")
    assert how


def appears(user: User, command: tuple[str, ...]) -> bool:
    run(*command)
    with contextlib.suppress(AssertionError):
        until("the node is there", lambda: ours(user), 8)
        return True
    return False

"""What real devices refuse, and what the user reads: one line, with the way out."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vm.machine import CAMERA, FRRCAM, MARKS, SOURCE, VIVID, Machine, ask, load, unload, until

pytestmark = MARKS
Seen = Callable[[str], None]

NO_ONE, VIDEO = 65534, 44
"""Debian's numbers of its user without rights and the group video."""
SOURCE_EXIT, SINK_EXIT = 3, 4


def refusal(code: int, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
    """The one line that `frrcam start` says before it ends with that exit code."""
    done = ask("start", *arguments, "--frames", "1", prefix=prefix)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr
    assert lines[-1].startswith("frrcam: error: "), done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1].removeprefix("frrcam: error: ")


def test_a_busy_camera_is_named_with_who_has_it(machine: Machine, seen: Seen) -> None:
    load("vivid", *VIVID)
    other = machine.program("v4l2-ctl", "-d", "/dev/video0", "--stream-mmap", "--stream-count=0")
    until("it streams", lambda: "fps" in other.said or "<" in other.said, 20)
    line = refusal(SOURCE_EXIT, "--device", "vivid")
    seen(line)
    assert "in use by v4l2-ctl" in line
    assert str(other.process.pid) in line


def test_a_camera_without_permission(machine: Machine, seen: Seen) -> None:
    load("vivid", *VIVID)
    line = refusal(SOURCE_EXIT, "--device", "/dev/video0", prefix=locked_out("/dev/video0"))
    seen(line)
    assert "no permission (group video)" in line
    assert "usermod -aG video" in line


def test_a_virtual_camera_without_permission(machine: Machine, seen: Seen) -> None:
    line = refusal(SINK_EXIT, "--source", "demo", "--output", CAMERA, prefix=locked_out(CAMERA))
    seen(line)
    assert "no permission" in line
    assert "usermod -aG video" in line


@pytest.mark.parametrize("device", ["/dev/null", "/etc/hostname", "/dev", "/dev/video77", "nothing like it"])
def test_what_is_no_camera(machine: Machine, seen: Seen, device: str) -> None:
    line = refusal(SOURCE_EXIT, "--device", device)
    seen(line)
    assert device in line


def test_a_loopback_on_which_no_program_publishes(machine: Machine, seen: Seen) -> None:
    line = refusal(SOURCE_EXIT, "--device", SOURCE)
    seen(line)
    assert "on which no program publishes" in line


def test_a_camera_is_no_virtual_camera(machine: Machine, seen: Seen) -> None:
    load("vivid", *VIVID)
    line = refusal(SINK_EXIT, "--source", "demo", "--output", "/dev/video0")
    seen(line)
    assert "not a virtual camera" in line


def test_a_second_publisher_is_refused(machine: Machine, seen: Seen) -> None:
    first = machine.frrcam("--source", "demo", "--size", "640x480")
    line = refusal(SINK_EXIT, "--source", "demo", "--output", CAMERA)
    seen(line)
    assert f"(pid {first.process.pid})" in line
    assert first.process.poll() is None


def test_no_virtual_camera_at_all(machine: Machine, seen: Seen) -> None:
    unload("v4l2loopback")
    line = refusal(SINK_EXIT, "--source", "demo", "--output", CAMERA)
    fallen_back = ask("start", "--source", "demo", "--frames", "2")
    said = next(line for line in fallen_back.stderr.splitlines() if "no virtual camera" in line)
    seen(f"{line}; without --output: {said}")
    assert "modprobe v4l2loopback" in line
    assert fallen_back.returncode == 0
    assert "preview" in said


def locked_out(node: str) -> tuple[str, ...]:
    """Gives the node to a user without rights and group video; runs a program that may not open it.

    Root without its privileges, not another user: that one might not be let into the checkout either.
    """
    os.chown(node, NO_ONE, VIDEO)
    Path(node).chmod(0o660)
    setpriv = shutil.which("setpriv")
    assert setpriv, f"setpriv is part of util-linux; {FRRCAM}"
    return setpriv, "--bounding-set=-all", "--inh-caps=-all", "--clear-groups"

"""The virtual camera itself: it cannot be taken from under us, and where its node goes it is found again by name."""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from frrcam.linux import sysfs
from frrcam.linux.devices import list_virtual_cameras
from tests.vm.machine import CAMERA, MARKS, Machine, Reader, is_producing, meeting, until

pytestmark = MARKS
Seen = Callable[[str], None]

CONTROL = "/dev/v4l2loopback"
ADD, REMOVE = 0x40487E01, 0x40047E02
"""V4L2LOOPBACK_CTL_ADD and _REMOVE of 0.14 and later."""
MOVED = 12
STOPPED_S = 1.5
"""One is expected; the rest is for a core that others share."""


def add(number: int, label: str) -> None:
    """A new loopback, with exclusive_caps (announce_all_caps = 0)."""
    with control() as descriptor:
        fcntl.ioctl(descriptor, ADD, struct.pack("ii32s4I4i", number, number, label.encode(), *[0] * 8))


def remove(number: int) -> None:
    """Raises OSError (EBUSY) while anybody has it open."""
    with control() as descriptor:
        fcntl.ioctl(descriptor, REMOVE, number)


@contextlib.contextmanager
def control() -> Iterator[int]:
    descriptor = os.open(CONTROL, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def refused(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


def test_it_cannot_be_removed_while_we_publish(machine: Machine, seen: Seen) -> None:
    frrcam = machine.frrcam("--source", "demo", "--size", "640x480")
    why = refused(lambda: remove(11))
    unloaded = subprocess.run(["modprobe", "-r", "v4l2loopback"], capture_output=True).returncode == 0
    with Reader() as reader:
        watched = reader.watch(2)
    seen(f"delete: {why or 'done'}; modprobe -r: {'done' if unloaded else 'refused'}; {watched.fps:.0f} fps afterwards")
    assert why
    assert not unloaded
    frrcam.until_state("running", seconds=5)


def test_its_node_goes_and_it_comes_back_under_another_number(machine: Machine, seen: Seen) -> None:
    frrcam = machine.frrcam("--source", "demo", "--size", "640x480")
    os.unlink(CAMERA)
    noticed = frrcam.until_state("no output", seconds=10)
    until("the device is let go of", lambda: not refused(lambda: remove(11)), 10)
    add(MOVED, "FRR Camera")
    back = frrcam.until_state("running", seconds=40)
    with Reader(f"/dev/video{MOVED}") as reader:
        watched = reader.watch(3)
    status = frrcam.status()
    assert status
    seen(f"noticed after {noticed:.1f} s, back on /dev/video{MOVED} after {back:.1f} s at {watched.fps:.0f} fps")
    seen(" / ".join(notice.text for notice in status.notices))
    assert watched.fps > 5
    assert str(MOVED) in status.output


def test_sigterm_ends_it_at_once_and_frees_the_devices(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    first = machine.frrcam("--device", "Test Source")
    with meeting(first):
        first.signal(signal.SIGTERM)
        code, seconds = first.ended(10)
    free = [virtual for virtual in list_virtual_cameras() if virtual.node == CAMERA]
    machine.frrcam("--device", "Test Source")
    seen(f"ended with {code} after {seconds:.2f} s while read; then {free[0].node} is open in {list(free[0].busy_by)}")
    seen("a second start runs")
    assert code == 0
    assert seconds <= STOPPED_S
    assert not free[0].producing
    assert free[0].output


def test_it_ends_at_once_while_the_camera_hangs(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    player = machine.play(moving_clip)
    frrcam = machine.frrcam("--device", "Test Source")
    with meeting(frrcam):
        player.signal(signal.SIGSTOP)
        frrcam.until_state("no camera", seconds=15)
        frrcam.signal(signal.SIGINT)
        code, seconds = frrcam.ended(10)
    seen(f"ended with {code} after {seconds:.2f} s")
    assert code == 0
    assert seconds <= STOPPED_S


def test_it_ends_while_it_loads(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    frrcam = machine.start("--device", "Test Source")
    until("it publishes", lambda: is_producing(11), 60)
    frrcam.signal(signal.SIGTERM)
    code, seconds = frrcam.ended(20)
    seen(f"ended with {code} after {seconds:.2f} s")
    assert code == 0
    assert seconds <= STOPPED_S


def test_killed_it_can_be_started_again(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    first = machine.frrcam("--device", "Test Source")
    first.signal(signal.SIGKILL)
    first.ended(10)
    until("the device is free", lambda: not is_producing(11), 5)
    second = machine.frrcam("--device", "Test Source")
    with Reader() as reader:
        watched = reader.watch(3)
    seen(f"a second start runs; {watched.fps:.0f} fps; open in {[str(holder) for holder in sysfs.holders(CAMERA)]}")
    assert second.process.poll() is None
    assert watched.fps > 5

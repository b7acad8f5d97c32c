"""v4l2loopback 0.12.7, as Debian 12 has it: loses the ability to be published to, and does not tell who watches."""

import signal
from collections.abc import Callable
from pathlib import Path

from frrcam.linux.v4l2 import LINUX, Capability, query_capability
from tests.vm.machine import CAMERA, MARKS, Frrcam, Machine, Reader, ask, meeting, until

pytestmark = MARKS
Seen = Callable[[str], None]

WAYS = Capability.VIDEO_OUTPUT | Capability.VIDEO_CAPTURE


def ways() -> Capability:
    """Which way pictures go on FRR Camera."""
    with LINUX.opened(CAMERA) as descriptor:
        return query_capability(LINUX, descriptor).capabilities & WAYS


def killed(frrcam: Frrcam) -> None:
    frrcam.signal(signal.SIGKILL)
    frrcam.ended(10)


def test_its_lost_output_ability_is_healed(old_machine: Machine, seen: Seen) -> None:
    killed(old_machine.frrcam("--source", "demo", "--size", "640x480"))
    lost = ways()
    frrcam = old_machine.frrcam("--source", "demo", "--size", "1280x720")
    with Reader() as reader:
        watched = reader.watch(3)
    seen(f"after a SIGKILL it has {lost.name or 'neither way'}; a second start publishes")
    seen(f"{watched.last.shape[1]}x{watched.last.shape[0]} at {watched.fps:.0f} fps")
    assert not Path("/sys/module/v4l2loopback/version").exists(), "only later modules give a version"
    assert lost == Capability(0), "else this test shows nothing"
    frrcam.until_state("running", seconds=30)


def test_healed_while_a_meeting_still_has_it_open(old_machine: Machine, seen: Seen) -> None:
    """To the module it looks as if a program published; that no picture comes tells the difference."""
    first = old_machine.frrcam("--source", "demo", "--size", "640x480")
    meeting_program = old_machine.program("v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=0")
    until("it streams", lambda: "fps" in meeting_program.said or "<" in meeting_program.said, 30)
    killed(first)
    left = ways()
    old_machine.frrcam("--source", "demo", "--size", "640x480", "--output", CAMERA)
    pictures = len(meeting_program.said)
    until("the meeting goes on", lambda: len(meeting_program.said) > pictures + 5, 20)
    seen(f"after a SIGKILL it has {left.name}; a second start publishes, and the meeting goes on")
    assert left == Capability.VIDEO_CAPTURE


def test_a_second_publisher_is_still_refused(old_machine: Machine, seen: Seen) -> None:
    first = old_machine.frrcam("--source", "demo", "--size", "640x480")
    refused = ask("start", "--source", "demo", "--output", CAMERA, "--frames", "1")
    line = refused.stderr.strip().splitlines()[-1]
    seen(line)
    assert refused.returncode == 4
    assert f"(pid {first.process.pid})" in line
    first.until_state("running", "idle", seconds=5)


def test_who_watches_is_looked_at(old_machine: Machine, moving_clip: Path, seen: Seen) -> None:
    old_machine.play(moving_clip)
    frrcam = old_machine.frrcam("--device", "Test Source", "--fps", "15")
    frrcam.until_state("idle", seconds=30)
    with meeting(frrcam) as reader:
        watched = reader.watch(3)
    off = frrcam.until_state("idle", seconds=40)
    seen(f"on demand without the event: {watched.fps:.0f} fps while read, camera off {off:.0f} s after")
    assert watched.fps > 5

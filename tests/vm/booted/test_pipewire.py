"""FRR Camera as PipeWire has it, which is where portals and with them sandboxed browsers get their cameras."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import pytest

from frrcam.linux import sysfs
from tests.vm.booted.conftest import BOOTED, User
from tests.vm.conftest import SIZE
from tests.vm.machine import FRRCAM, MARKS, SOURCE, Machine, Program, is_producing, until, write_clip
from tests.vm.test_clients import COLOURS, LEVELS, bars, worst

pytestmark = [
    *MARKS,
    pytest.mark.skipif(not BOOTED, reason="systemd is not PID 1: `make test-vm` boots it for these"),
    pytest.mark.skipif(not Path("/usr/bin/wireplumber").exists(), reason="WirePlumber is not installed"),
]
Seen = Callable[[str], None]

RATE = 15
PICTURES = 15
QUIET_S = 6
READ = ("timeout", "30", "gst-launch-1.0", "-q", "pipewiresrc")
DEBIANS_PYTHON = "/usr/bin/python3"
"""With python3-dbus and python3-gi."""
PORTAL = """[portal]
DBusName=org.freedesktop.impl.portal.desktop.played
Interfaces=org.freedesktop.impl.portal.Access
UseIn=played
"""


@pytest.fixture
def session(machine: Machine, user: User) -> Iterator[User]:
    """A user in whose session nothing of PipeWire runs yet."""
    yield user
    user.ask("systemctl", "--user", "stop", "wireplumber", "pipewire.socket", "pipewire")


def begin(user: User) -> None:
    user.run("systemctl", "--user", "start", "pipewire", "wireplumber")
    until("WirePlumber answers", lambda: user.ask("wpctl", "status").returncode == 0, 40)


def publish(machine: Machine, user: User, *options: str) -> Program:
    """`frrcam start` by that person, whose settings name the Test Source."""
    program: Program = machine.program(*user.command(*FRRCAM, "start", *options))
    return program


def nodes(user: User) -> dict[str, dict[str, object]]:
    """PipeWire's cameras by their description."""
    dumped = user.ask("pw-dump")
    objects = json.loads(dumped.stdout) if dumped.returncode == 0 and dumped.stdout.strip() else []
    infos = [each.get("info") or {} for each in objects if each["type"] == "PipeWire:Interface:Node"]
    properties = [info.get("props", {}) | {"state": info.get("state")} for info in infos]
    return {each["node.description"]: each for each in properties if each.get("media.class") == "Video/Source"}


def listed(user: User) -> str | None:
    return next((name for name in nodes(user) if "FRR Camera" in name), None)


def state(user: User) -> str:
    """What `frrcam status` says of that person's daemon."""
    answer = user.ask(*FRRCAM, "status", "--json")
    return str(json.loads(answer.stdout)["state"]) if answer.returncode == 0 else answer.stderr


def test_its_node_is_there(machine: Machine, session: User, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    machine.frrcam("--device", "Test Source")
    session.run("systemctl", "--user", "start", "pipewire", "wireplumber")
    came = until("the node is there", lambda: listed(session), 40)
    seen(f"WirePlumber lists {list(nodes(session))} after {came:.1f} s")


def test_a_session_that_was_there_before_finds_it(
    machine: Machine, set_up: None, session: User, moving_clip: Path, seen: Seen
) -> None:
    """With exclusive_caps the device is no camera when WirePlumber looks, and the kernel does not say when it is one:
    frrcam does, where the rule of `frrcam setup` lets it.
    """
    machine.play(moving_clip)
    begin(session)
    before = listed(session)
    frrcam = publish(machine, session)
    until(f"it publishes; {frrcam.said}", lambda: is_producing(11), 60)
    came = until(f"the node is there; {frrcam.said}", lambda: listed(session), 20)
    monitor = machine.program("udevadm", "monitor", "--kernel")
    began = monotonic()
    until("time has passed", lambda: monotonic() - began > QUIET_S, QUIET_S + 5)
    events = monitor.said.count(" change ")
    name = str(nodes(session)[listed(session) or ""]["node.name"])
    read = session.ask(*READ, f"target-object={name}", "num-buffers=8", "!", "video/x-raw", "!", "fakesink")
    can = "can" if read.returncode == 0 else "cannot"  # 0.3.65: can't negotiate buffers on port
    frrcam.process.terminate()
    went = until("the node is gone", lambda: not listed(session), 20)
    seen(f"before: {before or 'not listed'}; listed after {came:.1f} s by itself, then {events} events in {QUIET_S} s")
    seen(f"programs {can} read it through this PipeWire; {went:.1f} s after frrcam has ended it is listed no longer")
    assert not before
    assert events <= 1, "no end of udev events"


def test_a_camera_of_its_own(machine: Machine, session: User, tmp_path: Path, seen: Seen) -> None:
    """--output pipewire: on demand, two readers one after the other, the colours exact."""
    picture = cv2.imread(str(bars(tmp_path / "bars.png")))
    assert picture is not None
    machine.play(write_clip(tmp_path / "bars.nut", [np.asarray(picture, np.uint8)] * 30, 30.0))
    begin(session)
    frrcam = publish(machine, session, "--output", "pipewire", "--fps", str(RATE))
    came = until(f"the node is there; {frrcam.said}", lambda: "FRR Camera" in nodes(session), 60)
    node = nodes(session)["FRR Camera"]
    until(f"no program watches; {frrcam.said}", lambda: state(session) == "idle", 120)
    until("the camera is off", lambda: frrcam_holds(frrcam) is False, 10)
    seen(f"{node['node.description']}, {node['media.class']}, role {node['media.role']}, after {came:.1f} s; idle")
    for turn in (1, 2):
        place = session.home / f"{turn}.i420"
        wire = "video/x-raw,format=I420,width=640,height=480"
        read = (*READ, "target-object=frrcam", f"num-buffers={PICTURES}")
        session.run(*read, "!", wire, "!", "filesink", f"location={place}")
        pictures = np.fromfile(place, np.uint8).reshape(-1, SIZE[1] * 3 // 2, SIZE[0])
        off = [worst(np.asarray(cv2.cvtColor(each, cv2.COLOR_YUV2RGB_I420), np.uint8)) for each in pictures]
        placeholders = next((index for index, each in enumerate(off) if each <= LEVELS), PICTURES)
        seen(
            f"reader {turn}: {len(off)} pictures, {placeholders} placeholders, {len(COLOURS)} colours within {off[-1]}"
        )
        assert len(off) == PICTURES
        assert max(off[placeholders:], default=255) <= LEVELS
    rests = until("no program watches again", lambda: state(session) == "idle", 30)
    seen(f"idle again after {rests:.0f} s")
    frrcam.process.terminate()
    code, seconds = frrcam.ended(10)
    seen(f"SIGTERM: ended with {code} after {seconds:.2f} s; {list(nodes(session)) or 'no node'} left")
    assert node["media.role"] == "Camera"
    assert code == 0
    assert "FRR Camera" not in nodes(session)


@pytest.mark.skipif(not Path("/usr/libexec/xdg-desktop-portal").exists(), reason="there is no portal")
def test_a_sandboxed_program_gets_it_from_the_portal(
    machine: Machine, session: User, tmp_path: Path, seen: Seen
) -> None:
    """xdg-desktop-portal asks the user (who is played), and gives the program a PipeWire of cameras only."""
    picture = cv2.imread(str(bars(tmp_path / "bars.png")))
    assert picture is not None
    machine.play(write_clip(tmp_path / "bars.nut", [np.asarray(picture, np.uint8)] * 30, 30.0))
    portals = session.home / "portals"
    portals.mkdir()
    (portals / "played.portal").write_text(PORTAL)
    begin(session)
    frrcam = publish(machine, session, "--output", "pipewire", "--fps", str(RATE))
    until(f"the node is there; {frrcam.said}", lambda: "FRR Camera" in nodes(session), 60)
    until(f"no program watches; {frrcam.said}", lambda: state(session) == "idle", 120)
    client = (DEBIANS_PYTHON, str(Path(__file__).parent / "portal_client.py"))
    played = machine.program(*session.command(*client))
    until("the user is there", lambda: "user: is there" in played.said, 30)
    desktop = ("XDG_CURRENT_DESKTOP=played", f"XDG_DESKTOP_PORTAL_DIR={portals}")
    machine.program(*session.command("env", *desktop, "/usr/libexec/xdg-desktop-portal"))
    owner = ("busctl", "--user", "status", "org.freedesktop.portal.Desktop")
    until("the portal is there", lambda: session.ask(*owner).returncode == 0, 120)
    place = session.home / "portal.i420"
    said = session.run(*client, str(place), str(PICTURES))
    pictures = np.fromfile(place, np.uint8).reshape(-1, SIZE[1] * 3 // 2, SIZE[0])
    off = worst(np.asarray(cv2.cvtColor(pictures[-1], cv2.COLOR_YUV2RGB_I420), np.uint8))
    asked = next((line for line in played.said.splitlines() if line.startswith("asked: ")), "no question was asked")
    seen(f"{'; '.join(said.splitlines())}; {asked}; {len(pictures)} pictures, {len(COLOURS)} colours within {off}")
    assert "camera present: True" in said
    assert asked == "asked: Turn On Camera?"
    assert len(pictures) == PICTURES
    assert off <= LEVELS


def frrcam_holds(frrcam: Program) -> bool:
    """True if the real camera is open in it."""
    return frrcam.process.pid in [holder.pid for holder in sysfs.holders(SOURCE)]


def test_pipewire_goes_and_comes_back(machine: Machine, session: User, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    begin(session)
    frrcam = publish(machine, session, "--output", "pipewire")
    until(f"the node is there; {frrcam.said}", lambda: "FRR Camera" in nodes(session), 60)
    session.run("systemctl", "--user", "stop", "wireplumber", "pipewire.socket", "pipewire")
    until("it is said", lambda: "is gone" in frrcam.said, 20)
    begin(session)
    back = until(f"the node is there again; {frrcam.said}", lambda: "FRR Camera" in nodes(session), 60)
    said = [line.partition("frrcam: ")[2] for line in frrcam.said.splitlines() if "PipeWire" in line or "back" in line]
    seen(f"{' / '.join(said[1:])}; listed again after {back:.1f} s")
    assert frrcam.process.poll() is None


def test_as_a_locked_in_service(machine: Machine, session: User, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    begin(session)
    settings = session.home / ".config/frrcam/config.toml"
    before = settings.read_text()
    settings.write_text(before + '[output]\noutput = "pipewire"\n')
    try:
        session.frrcam("service", "install")
        came = until("the node is there", lambda: "FRR Camera" in nodes(session), 60)
        read = session.ask(*READ, "target-object=frrcam", "num-buffers=5", "!", "video/x-raw", "!", "fakesink")
    finally:
        settings.write_text(before)
        session.frrcam("service", "remove")
    seen(f"listed {came:.1f} s after `service install`; 5 pictures: exit {read.returncode} {read.stderr.strip()[:200]}")
    assert read.returncode == 0
    assert "FRR Camera" not in nodes(session)


def test_without_pipewire_it_is_one_line(machine: Machine, session: User, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    session.ask("systemctl", "--user", "stop", "wireplumber", "pipewire.socket", "pipewire")
    done = session.ask(*FRRCAM, "start", "--output", "pipewire")
    seen(f"exit {done.returncode}: {done.stderr.strip()}")
    assert done.returncode == 4
    assert "systemctl --user start pipewire wireplumber" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

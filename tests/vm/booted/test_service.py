"""The daemon as a service of a user's systemd: installed, killed, hung, refused, taken away."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from frrcam.linux import sysfs
from tests.vm.booted.conftest import BOOTED, User
from tests.vm.machine import CAMERA, MARKS, Machine, Reader, is_producing, until

pytestmark = [*MARKS, pytest.mark.skipif(not BOOTED, reason="systemd is not PID 1: `make test-vm` boots it for these")]
Seen = Callable[[str], None]

BACK_S = 120
"""RestartSec, Python's start and the first picture, on one shared core."""
WATCHDOG_S = 20
EXPOSURE = 5.6
"""The most that systemd-analyze security may say."""


@pytest.fixture
def account(machine: Machine, user: User, moving_clip: Path) -> Iterator[User]:
    """With a Test Source that plays, and no service before or after."""
    machine.play(moving_clip)
    yield user
    user.frrcam("service", "remove")
    until("the device is free", lambda: not is_producing(11), 10)


@pytest.fixture
def service(account: User) -> User:
    """Installed, and running on the Test Source."""
    account.frrcam("service", "install")
    return account


def main_pid(user: User) -> int:
    return int(user.show("MainPID")["MainPID"])


def test_installs_runs_and_is_removed(account: User, seen: Seen) -> None:
    user = account
    began = monotonic()
    said = user.frrcam("service", "install")
    ready = monotonic() - began
    listed = is_producing(11)
    answer = json.loads(user.frrcam("service", "status", "--json"))
    with Reader() as reader:
        reader.watch(2)
        until("the daemon runs", lambda: state(user) == "running", 120)
        watched = reader.watch(3)
    logs = user.ask("journalctl", "--user", "-u", "frrcam.service", "-o", "cat").stdout
    seen(f"{said.strip().splitlines()[-1]}: READY after {ready:.1f} s; {answer['state']}; {answer['text'] or '-'}")
    seen(f"read at {watched.fps:.0f} fps; journal of {len(logs.splitlines())} lines")
    user.frrcam("service", "remove")
    until("the device is free", lambda: not is_producing(11), 10)
    after = user.show("LoadState", "ActiveState")
    seen(f"removed: {after['LoadState']}")
    assert listed
    assert answer["active"]
    assert answer["enabled"]
    assert answer["daemon"]["state"] in ("starting", "running", "idle")
    assert watched.fps > 5
    assert "FRR Camera" in logs
    assert "127.0.0.1" not in logs, "the page's address is a secret"
    assert after["LoadState"] == "not-found"


def state(user: User) -> str:
    """What `frrcam status` says of the daemon."""
    answer = json.loads(user.frrcam("status", "--json"))
    return str(answer["state"])


def test_killed_it_comes_back(service: User, seen: Seen) -> None:
    before = main_pid(service)
    began = monotonic()
    os.kill(before, signal.SIGKILL)
    until("the device is not listed", lambda: not is_producing(11), 10)
    listed = until("the device is listed again", lambda: is_producing(11), BACK_S)
    until("systemd has it as active", lambda: service.show("ActiveState")["ActiveState"] == "active", BACK_S)
    back = monotonic() - began
    answer = service.show("NRestarts", "Result", "MainPID")
    seen(f"listed again after {listed:.1f} s, active after {back:.1f}; NRestarts {answer['NRestarts']}")
    assert answer["NRestarts"] == "1"
    assert int(answer["MainPID"]) != before
    assert [holder.pid for holder in sysfs.holders(CAMERA)] == [int(answer["MainPID"])]


def test_hung_it_is_restarted(service: User, seen: Seen) -> None:
    """The watchdog: a daemon that publishes nothing tells nothing."""
    before = main_pid(service)
    began = monotonic()
    os.kill(before, signal.SIGSTOP)
    until("systemd ends it", lambda: service.show("NRestarts")["NRestarts"] == "1", WATCHDOG_S + 40)
    noticed = monotonic() - began
    until("it is back", lambda: service.show("ActiveState")["ActiveState"] == "active", BACK_S)
    logs = service.ask("journalctl", "--user", "-u", "frrcam.service", "-o", "cat").stdout
    seen(f"stopped, it was ended after {noticed:.0f} s (watchdog {WATCHDOG_S}) and is back")
    assert "Watchdog timeout" in logs
    assert is_producing(11)


def test_it_is_locked_in(service: User, seen: Seen) -> None:
    """What systemd was asked for is really so: seen from the process itself."""
    pid = main_pid(service)
    mounts = {line.split()[4]: line.split()[5] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()}
    status = dict(line.partition(":\t")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    spaces = {name: [os.readlink(f"/proc/{who}/ns/{name}") for who in (pid, "self")] for name in ("mnt", "user")}
    own = {name: theirs != ours for name, (theirs, ours) in spaces.items()}
    verified = service.ask("systemd-analyze", "--user", "verify", "--man=no", "frrcam.service")
    security = service.ask("systemd-analyze", "--user", "security", "--no-pager", "frrcam.service").stdout
    exposure = security.strip().splitlines()[-1].partition(": ")[2]
    seen(f"/ is {mounts['/'].split(',')[0]}, namespaces of its own {own}, NoNewPrivs {status['NoNewPrivs']}")
    seen(
        f"Seccomp {status['Seccomp']}; verify: {' '.join(verified.stderr.split()) or 'no fault'}; security: {exposure}"
    )
    assert mounts["/"].startswith("ro")
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert all(own.values())
    assert verified.returncode == 0
    assert float(exposure.split()[0]) <= EXPOSURE


def test_locked_in_it_may_still_tell_udev(machine: Machine, set_up: None, account: User, seen: Seen) -> None:
    """/sys is read-only to it but for the virtual camera: else PipeWire would not learn of that."""
    monitor = machine.program("udevadm", "monitor", "--kernel")
    until("udevadm listens", lambda: "KERNEL" in monitor.said, 10)
    account.frrcam("service", "install")
    until("it publishes", lambda: is_producing(11), 60)
    after = until("udev is notified", lambda: "/video4linux/video11" in monitor.said, 10)
    seen(f"{monitor.said.strip().splitlines()[-1]}, {after:.1f} s after it publishes")
    assert " change " in monitor.said


def test_without_a_virtual_camera_it_tries_again(service: User, seen: Seen) -> None:
    """As at a login before the module is loaded: systemd restarts it until there is one."""
    service.run("systemctl", "--user", "stop", "frrcam.service")
    label = Path("/sys/class/video4linux/video11/name").read_text()
    hidden = service.home / ".config/frrcam/config.toml"
    settings = hidden.read_text()
    hidden.write_text(settings + '[output]\nlabel = "Later"\n')
    service.ask("systemctl", "--user", "start", "--no-block", "frrcam.service")
    until("it has tried twice", lambda: int(service.show("NRestarts")["NRestarts"]) >= 2, 120)
    why = service.ask("journalctl", "--user", "-u", "frrcam.service", "-o", "cat", "-g", "error", "-n", "1").stdout
    hidden.write_text(settings)
    until("it runs", lambda: service.show("ActiveState")["ActiveState"] == "active", 120)
    seen(f"{why.strip()} (the device is {label.strip()}); once it is there, it runs")
    assert "Later" in why

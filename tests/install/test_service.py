"""`frrcam service` against a made-up systemd, and the shipped unit against the real one's tools where they are."""

import errno
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.daemon.status import Status
from frrcam.errors import ControlError, SinkUnusable, UsageError
from frrcam.install.service import Host, ServiceStatus, install, logs, own_command, quoted, remove, status, unit
from frrcam.install.setup.run import Ran
from frrcam.linux import v4l2
from tests.linux.fakes_v4l2 import Hardware

UNIT = "/home/ada/.config/systemd/user/frrcam.service"
EXPOSURE = 5.4
"""The most that `systemd-analyze security` may say: it takes the user for root and counts root's capabilities."""
EXPOSURE_OF_A_USER = 2.9
"""The same for a user without capabilities, as a user's systemd is."""


@dataclass
class Systemd:
    """The user's manager and journal."""

    root: Path
    bus: str = ""
    """Why it cannot be reached."""
    refuses: str = ""
    """Which command fails."""
    exit_status: str = "1"
    """Of the service's last process; 226 and such if systemd could not even start it inside its sandbox."""
    version: str = "252.39-1~deb12u1"
    said_last: str = ""
    follows: int = 0
    properties: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def run(self, command: Sequence[str], captured: bool) -> Ran:
        assert command[1] == "--user"
        self.ran.append(" ".join(command))
        match command[0], command[2:]:
            case "systemctl", ["show", "--property=Version"]:
                return Ran(1, self.bus) if self.bus else Ran(0, f"Version={self.version}")
            case "systemctl", ["show", "frrcam.service", "--property=ExecMainStatus", "--value"]:
                return Ran(0, self.exit_status)
            case "systemctl", ["show", "frrcam.service", _]:
                loaded = {"LoadState": "loaded" if (self.root / UNIT[1:]).exists() else "not-found"}
                return Ran(0, "\n".join(f"{key}={value}" for key, value in {**loaded, **self.properties}.items()))
            case "systemctl", ["restart", _] if self.exit_status != "1":
                return Ran(int("ProtectSystem" in (self.root / UNIT[1:]).read_text()))
            case "systemctl", [verb, *_]:
                return Ran(1, f"Failed to {verb}: reason") if verb == self.refuses else Ran(0)
            case "journalctl", _:
                assert captured == ("-q" in command)
                return Ran(0, self.said_last) if captured else Ran(self.follows)
        raise AssertionError(command)


def not_running() -> Status:
    raise ControlError("no frrcam daemon runs for this user; start one: frrcam start")


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path)


@pytest.fixture
def systemd(tmp_path: Path) -> Systemd:
    return Systemd(tmp_path)


@pytest.fixture
def host(hardware: Hardware, systemd: Systemd) -> Host:
    environment = {"HOME": "/home/ada", "USER": "ada"}
    return Host(hardware.system, systemd.run, environment, ("/home/ada/.local/bin/frrcam",), not_running)


@pytest.fixture
def said() -> list[str]:
    return []


def test_installs_and_starts(host: Host, systemd: Systemd, said: list[str]) -> None:
    install(said.append, host)
    text = (systemd.root / UNIT[1:]).read_text()
    assert "\nExecStart=/home/ada/.local/bin/frrcam start\n" in text
    assert systemd.ran[1:] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable frrcam.service",
        "systemctl --user restart frrcam.service",
    ]
    assert said == [f"write {UNIT}", "frrcam runs, and will after every login; see: frrcam service status"]
    said.clear()
    install(said.append, host)
    assert said == ["frrcam runs, and will after every login; see: frrcam service status"]


def test_the_users_own_place_for_settings_counts(host: Host) -> None:
    host = replace(host, environment={"XDG_CONFIG_HOME": "/elsewhere"})
    assert host.unit_path == "/elsewhere/systemd/user/frrcam.service"


def test_removes_exactly_that(host: Host, systemd: Systemd, said: list[str]) -> None:
    install(said.append, host)
    systemd.ran.clear()
    remove(said.append, host)
    assert not (systemd.root / UNIT[1:]).exists()
    assert systemd.ran[1:] == [
        "systemctl --user disable --now frrcam.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed frrcam.service",
    ]
    remove(said.append, host)
    assert said[-1] == f"there is no {UNIT}: nothing to remove"


def test_a_unit_of_the_users_own_is_left_alone(host: Host, hardware: Hardware, said: list[str]) -> None:
    hardware.write(UNIT, "[Service]")
    with pytest.raises(SinkUnusable, match="was not written by frrcam"):
        install(said.append, host)
    with pytest.raises(ControlError, match="was not written by frrcam"):
        remove(said.append, host)


def test_why_it_does_not_start_is_said_in_the_daemons_words(host: Host, systemd: Systemd, said: list[str]) -> None:
    systemd.refuses, systemd.said_last = "restart", "frrcam: error: no virtual camera"
    with pytest.raises(ControlError, match=r"does not start \(frrcam: error: no virtual camera\)"):
        install(said.append, host)
    systemd.said_last = ""
    with pytest.raises(ControlError, match=r"does not start \(Failed to restart: reason\)"):
        install(said.append, host)


@pytest.mark.parametrize("exit_status", ["217", "218", "226"])
def test_where_no_namespace_is_allowed_it_goes_without(
    host: Host, systemd: Systemd, said: list[str], exit_status: str
) -> None:
    systemd.exit_status = exit_status
    install(said.append, host)
    text = (systemd.root / UNIT[1:]).read_text()
    assert "ProtectSystem" not in text
    assert "NoNewPrivileges=yes" in text
    assert "goes without" in said[1]
    assert said[-1].startswith("frrcam runs")


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ("252.39-1~deb12u1", ["RestartSec=5"]),
        ("255.4-1ubuntu8", ["RestartSec=1", "RestartSteps=6", "RestartMaxDelaySec=60"]),
        ("", ["RestartSec=5"]),
    ],
)
def test_attempts_grow_rarer_or_stay_rare(version: str, lines: list[str], host: Host, systemd: Systemd) -> None:
    systemd.version = version
    install(lambda _: None, host)
    text = (systemd.root / UNIT[1:]).read_text()
    assert [line for line in text.splitlines() if line.startswith("Restart") and line[7] in "SM"] == lines


def test_a_command_that_fails_is_named(host: Host, systemd: Systemd, said: list[str]) -> None:
    systemd.refuses = "enable"
    with pytest.raises(ControlError, match=r"systemctl --user enable frrcam\.service: Failed to enable: reason"):
        install(said.append, host)


def test_without_a_session_it_says_how_to_get_one(host: Host, systemd: Systemd, said: list[str]) -> None:
    systemd.bus = "Failed to connect to bus: No medium found"
    for command in (lambda: install(said.append, host), lambda: status(host)):
        with pytest.raises(ControlError, match=r"No medium found.*sudo loginctl enable-linger ada"):
            command()
    assert not (systemd.root / UNIT[1:]).exists()


def test_without_systemd_it_says_what_else(host: Host, said: list[str]) -> None:
    host = replace(host, run=lambda command, captured: Ran(127))
    with pytest.raises(ControlError, match="no systemd"):
        install(said.append, host)
    with pytest.raises(ControlError, match="no journal"):
        logs(host=host)


def test_sudo_is_refused(host: Host, said: list[str]) -> None:
    host = replace(host, environment={**host.environment, "SUDO_USER": "ada"})
    with pytest.raises(UsageError, match="without sudo"):
        install(said.append, host)


def test_tells_how_it_is(host: Host, systemd: Systemd, said: list[str]) -> None:
    assert status(host) == ServiceStatus(False, False, False, "unknown", 0, "", None)
    assert str(status(host)) == "not installed; see: frrcam service install"
    install(said.append, host)
    systemd.properties = {
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "Result": "success",
        "NRestarts": "2",
        "StatusText": "running: 30 fps = a=b",
    }
    answer = status(replace(host, ask=lambda: Status(state="running")))
    assert answer.active
    assert answer.daemon == Status(state="running")
    assert str(answer) == "active (running); starts at login; restarted 2 times; running: 30 fps = a=b"
    assert answer.as_json()["daemon"]["state"] == "running"
    systemd.properties |= {"ActiveState": "failed", "Result": "watchdog", "NRestarts": "", "StatusText": ""}
    systemd.properties["UnitFileState"] = "disabled"
    assert str(status(host)) == "failed (watchdog); does not start at login"
    assert status(host).as_json()["daemon"] is None


def test_shows_the_journal(host: Host, systemd: Systemd) -> None:
    logs(20, follow=True, host=host)
    logs(host=host)
    assert systemd.ran == [
        "journalctl --user -u frrcam.service -n 20 --no-pager -f",
        "journalctl --user -u frrcam.service -n 50 --no-pager",
    ]
    for code in (130, -2):
        systemd.follows = code
        logs(follow=True, host=host)
    systemd.follows = 1
    with pytest.raises(ControlError, match=r"_SYSTEMD_USER_UNIT=frrcam\.service"):
        logs(host=host)


@pytest.mark.parametrize(
    ("code", "hidden"), [(errno.EINVAL, False), (errno.ENOTTY, False), (errno.EBUSY, True), (0, True)]
)
def test_the_sandbox_leaves_sight_of_the_audience(host: Host, hardware: Hardware, code: int, hidden: bool) -> None:
    """Only a module that knows no event makes the lines go in which other programs cannot be seen."""

    def ioctl(fd: int, request: int, argument: bytearray | int) -> object:
        assert isinstance(argument, bytearray)
        if request != v4l2.VIDIOC_SUBSCRIBE_EVENT:
            return hardware._ioctl(fd, request, argument)
        if code:
            raise OSError(code, "refused")
        return 0

    hardware.add_loopback(40)
    install([].append, replace(host, system=replace(hardware.system, ioctl=ioctl)))
    text = (hardware.root / UNIT[1:]).read_text()
    assert ("ProtectSystem=strict" in text) is hidden
    assert "NoNewPrivileges=yes" in text
    assert text.rstrip().endswith("WantedBy=default.target")
    assert not hardware.open_nodes


def test_finds_how_it_was_run(tmp_path: Path) -> None:
    script = tmp_path / "frrcam"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert own_command(str(script)) == (str(script),)
    assert own_command("/nowhere/frrcam", "/usr/bin/python3") == ("/usr/bin/python3", "-m", "frrcam")
    assert own_command("/x/frrcam/__main__.py", "/usr/bin/python3") == ("/usr/bin/python3", "-m", "frrcam")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("/usr/bin/frrcam", "/usr/bin/frrcam"),
        ("/home/a b/frrcam", '"/home/a b/frrcam"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("", '""'),
        (";", '";"'),
    ],
)
def test_quotes_as_systemd_reads(word: str, line: str) -> None:
    assert quoted(word) == line


@given(st.text(max_size=20))
def test_what_is_quoted_is_one_line(word: str) -> None:
    try:
        line = quoted(word)
    except UsageError:
        assert re.search(r"[\0-\x1f\x7f]", word)
        return
    assert len(line.split("\n")) == 1
    inner = line[1:-1] if line.startswith('"') else line
    assert re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL).replace("%%", "%").replace("$$", "$") == word


@pytest.fixture
def unit_file(host: Host, tmp_path: Path) -> Path:
    path = tmp_path / "frrcam.service"
    path.write_text(unit(replace(host, command=(shutil.which("true") or "/bin/true",))))
    return path


def analyze(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(host: Host, systemd: Systemd, tmp_path: Path) -> None:
    systemd.version = re.search(r"systemd (\d+)", analyze(tmp_path, "--version").stdout)[1]  # type: ignore[index]
    install(lambda _: None, replace(host, command=(shutil.which("true") or "/bin/true",)))
    answer = analyze(tmp_path, "verify", "--user", "--man=no", str(systemd.root / UNIT[1:]))
    assert [line for line in answer.stderr.splitlines() if "frrcam" in line] == []


@needs_systemd
@pytest.mark.parametrize(
    ("lines", "most"), [("", EXPOSURE), ("User=daemon\nCapabilityBoundingSet=\n", EXPOSURE_OF_A_USER)]
)
def test_the_unit_is_hardened(unit_file: Path, tmp_path: Path, lines: str, most: float) -> None:
    unit_file.write_text(unit_file.read_text().replace("[Service]\n", f"[Service]\n{lines}"))
    answer = analyze(tmp_path, "security", "--user", "--offline=true", "--no-pager", str(unit_file))
    exposure = re.search(r"Overall exposure level.*?: ([\d.]+)", answer.stdout)
    if exposure is None:
        pytest.skip(f"this systemd-analyze cannot examine a file: {answer.stderr.strip()}")
    assert float(exposure[1]) <= most

"""A person with an account, a session's manager and a place in group video, who installs frrcam as the README says."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from frrcam.install.setup import files
from frrcam.install.setup.command import UDEV
from tests.vm.machine import FRRCAM, PYTHON_ENVIRONMENT, Machine, run, until

BOOTED = os.path.isdir("/run/systemd/system")
NAME = "ada"
CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class User:
    """Runs commands as that person."""

    number: int
    home: Path

    @property
    def environment(self) -> list[str]:
        runtime = f"/run/user/{self.number}"
        python = [f"{name}={value}" for name, value in PYTHON_ENVIRONMENT.items()]
        return [
            *("env", "-i", f"HOME={self.home}", f"USER={NAME}", f"PATH={os.environ['PATH']}", "LANG=C.UTF-8"),
            *(f"XDG_RUNTIME_DIR={runtime}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus"),
            *(f"PYTHONPATH={CHECKOUT}", *python),
        ]

    def command(self, *command: str) -> list[str]:
        return ["setpriv", f"--reuid={NAME}", f"--regid={NAME}", "--init-groups", *self.environment, *command]

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """To its end, whatever that is."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=180, cwd=self.home)

    def run(self, *command: str) -> str:
        """What it says. AssertionError if it fails."""
        done = self.ask(*command)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout or done.stderr

    def frrcam(self, *arguments: str) -> str:
        return self.run(*FRRCAM, *arguments)

    def show(self, *properties: str) -> dict[str, str]:
        """Of frrcam.service."""
        output = self.run("systemctl", "--user", "show", "frrcam.service", f"--property={','.join(properties)}")
        return dict(line.partition("=")[::2] for line in output.splitlines())


@pytest.fixture(scope="session")
def user() -> Iterator[User]:
    """With a manager of their own that runs without a login, and what this checkout needs in every service of it."""
    run("useradd", "--create-home", "--groups", "video", "--shell", "/bin/bash", NAME)
    entry = pwd.getpwnam(NAME)
    user = User(entry.pw_uid, Path(entry.pw_dir))
    for path in (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)):
        let_in(path)
    folder = user.home / ".config/systemd/user/frrcam.service.d"
    folder.mkdir(parents=True)
    lines = [
        f"Environment={name}={value}" for name, value in (PYTHON_ENVIRONMENT | {"PYTHONPATH": str(CHECKOUT)}).items()
    ]
    (folder / "checkout.conf").write_text("\n".join(["[Service]", *lines, ""]))
    settings = user.home / ".config/frrcam/config.toml"
    settings.parent.mkdir()
    settings.write_text('[camera]\ndevice = "Test Source"\nfps = 15\n')
    for path in (user.home / ".config").rglob("*"):
        shutil.chown(path, entry.pw_uid, entry.pw_gid)
    shutil.chown(user.home / ".config", entry.pw_uid, entry.pw_gid)
    run("loginctl", "enable-linger", NAME)
    until(
        "the user's manager runs",
        lambda: user.ask("systemctl", "--user", "is-active", "basic.target").returncode == 0,
        60,
    )
    yield user
    run("loginctl", "disable-linger", NAME)


@pytest.fixture
def set_up(machine: Machine) -> Iterator[None]:
    """With the udev rule of `frrcam setup`."""
    rule = Path(UDEV)
    rule.write_text(files.template(rule.name))
    tell_udev()
    yield
    rule.unlink()
    tell_udev()


def tell_udev() -> None:
    run("udevadm", "control", "--reload")
    run("udevadm", "trigger", "--subsystem-match=video4linux")
    run("udevadm", "settle")


def let_in(path: Path) -> None:
    """Others may pass to it; of the machine's own copy of that folder only."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if mode & 0o011 != 0o011:  # a checkout in /tmp is mounted read-only
            folder.chmod(mode | 0o011)

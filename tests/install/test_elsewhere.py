"""Windows and macOS, as far as they can be tested here: every command without what only POSIX or Linux has."""

import subprocess
import sys
from pathlib import Path

import pytest

from frrcam.errors import ControlError, UsageError
from frrcam.install.service import Host, install
from frrcam.install.setup import Machine, SetupOptions, setup
from frrcam.install.setup.run import Ran
from frrcam.linux.v4l2 import System
from frrcam.sources.camera import CameraSource

IMPORTS = """
import importlib, os, pkgutil, select, signal, socket, sys, time
import aiohttp.web, av, cv2, onnxruntime, platformdirs, psutil, pydantic_settings, pyvirtualcam
import rich.console, typer.testing
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for module, names in {
    os: ("O_NONBLOCK", "fchmod", "getuid", "geteuid", "fork"),
    select: ("poll", "epoll", "EPOLLPRI", "POLLPRI"),
    signal: ("SIGKILL", "SIGUSR1", "SIGHUP"),
    socket: ("AF_UNIX",),
    time: ("CLOCK_BOOTTIME", "clock_gettime"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import frrcam
for module in pkgutil.walk_packages(frrcam.__path__, "frrcam."):
    if module.name != "frrcam.__main__":
        importlib.import_module(module.name)
from frrcam.linux.sd_notify import NullNotifier, open_notifier
from frrcam.linux.suspend import SuspendWatch
assert isinstance(open_notifier({"NOTIFY_SOCKET": "/run/x"}), NullNotifier)
assert SuspendWatch().slept() == 0.0
"""


def test_every_module_can_be_imported_without_posix() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTS], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_setup_and_service_say_what_there_is_instead(platform: str, tmp_path: Path) -> None:
    system, said = System(tmp_path, platform=platform), list[str]()
    with pytest.raises(UsageError, match="OBS brings the virtual camera"):
        setup(SetupOptions(), said.append, Machine(system, root=False, terminal=False))
    host = Host(system, run=lambda command, quiet: Ran(127, "no such program"), environment={}, command=("frrcam",))
    with pytest.raises(ControlError, match="autostart run: frrcam start"):
        install(said.append, host)
    assert said == []


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_a_camera_is_a_number(platform: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="by its number; 0 is the first"):
        CameraSource("logi", system=System(tmp_path, platform=platform))

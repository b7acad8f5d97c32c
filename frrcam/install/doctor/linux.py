"""The virtual camera and what is around it: the kernel module, Secure Boot, PipeWire, the service."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from frrcam.errors import ControlError, SinkNotFound
from frrcam.install.doctor.finding import Finding, Probes
from frrcam.install.setup.module import signing_key
from frrcam.linux import sysfs
from frrcam.linux.devices import LABEL, VirtualCamera, list_virtual_cameras
from frrcam.linux.v4l2 import System

SETUP: Final = "frrcam setup"
"""Loads or reloads the module, or adds a camera to it, whatever is needed; now and for every boot."""
SECURE_BOOT: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
INSTALL: Final = {
    "debian": "sudo apt install v4l2loopback-dkms",
    "fedora": "sudo dnf install akmod-v4l2loopback",
    "arch": "sudo pacman -S v4l2loopback-dkms",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
"""By the ID or ID_LIKE of /etc/os-release. Fedora's package is RPM Fusion's."""


def kernel(probes: Probes) -> Iterator[Finding]:
    """The module, Secure Boot, and the virtual cameras that the module gives."""
    system = probes.system
    if system.platform != "linux":
        yield Finding("virtual camera", "info", f"{system.platform}: through OBS's or Unity Capture's virtual camera")
        return
    module = sysfs.module(system=system)
    if module is None:
        yield _missing_module(system)
    elif module.release < sysfs.SOUND_SINCE:  # 0.12.7 does not tell its own
        version = module.version or "of 0.12 or earlier"
        detail = f"{version} is loaded; it can lose its virtual cameras and does not tell who watches"
        yield Finding("v4l2loopback", "warn", detail, "install 0.13 or later")
    else:
        yield Finding("v4l2loopback", "ok", f"{module.version} is loaded")
    yield _secure_boot(system, loaded=module is not None)
    if module is not None:
        yield from _virtual_cameras(list_virtual_cameras(system), probes.label())


def _missing_module(system: System) -> Finding:
    release = system.read("/proc/sys/kernel/osrelease") or "this kernel"
    if any(system.path(f"/lib/modules/{release}").rglob("v4l2loopback.ko*")):
        return Finding("v4l2loopback", "bad", "is installed and not loaded: there is no virtual camera", SETUP)
    text = system.read("/etc/os-release") or ""
    names = [
        word.strip('"') for line in text.splitlines() if line.startswith("ID") for word in line.split("=")[1].split()
    ]
    install = next((command for name, command in INSTALL.items() if any(name in word for word in names)), "")
    detail = f"is not installed for kernel {release}: there is no virtual camera"
    remedy = f"{install} && {SETUP}" if install else f"install v4l2loopback for this kernel, then: {SETUP}"
    return Finding("v4l2loopback", "bad", detail, remedy)


def _secure_boot(system: System, *, loaded: bool) -> Finding:
    try:
        enabled = system.path(SECURE_BOOT).read_bytes()[-1:] == b"\1"
    except OSError:
        return Finding("Secure Boot", "info", "cannot be read here (no EFI, or no permission): taken as off")
    if not enabled:
        return Finding("Secure Boot", "ok", "is off")
    if loaded:
        return Finding("Secure Boot", "ok", "is on, and the kernel accepted v4l2loopback's signature")
    detail = "is on: the kernel refuses v4l2loopback (“Key was rejected by service”) until its key is enrolled"
    remedy = f"sudo mokutil --import {signing_key(system)}, then reboot and enrol it, then: {SETUP}"
    return Finding("Secure Boot", "warn", detail, remedy)


def _virtual_cameras(found: Sequence[VirtualCamera], label: str) -> Iterator[Finding]:
    if label not in {virtual.label for virtual in found}:
        others = ", ".join(virtual.label for virtual in found) or "none"
        setup = SETUP if label == LABEL else f"{SETUP} --label {shlex.quote(label)}"
        yield Finding(label, "bad", f"there is no virtual camera of that name (there is {others})", setup)
    for virtual in found:
        finding = _virtual_camera(virtual)
        # another program's camera: no remedy is offered
        yield finding if virtual.label == label else replace(finding, status="info", remedy="")


def _virtual_camera(virtual: VirtualCamera) -> Finding:
    title = f"{virtual.label} ({virtual.node})"
    users = ", ".join(map(str, virtual.busy_by)) or "a program of another user"
    if virtual.problem:
        detail, _, remedy = virtual.problem.partition("; run: ")
        return Finding(title, "bad", detail, remedy)
    if not virtual.output and not virtual.producing:
        return Finding(title, "bad", "can be neither written nor read since its producer left (a fault of 0.12)", SETUP)
    if not virtual.exclusive_caps:
        return Finding(title, "bad", "exclusive_caps is off: Chrome and others do not list it", SETUP)
    if virtual.producing:
        return Finding(title, "info", f"is being published on ({virtual.format or 'format unknown'}); open in {users}")
    return Finding(title, "ok", "is ready to be published on; programs list it once frrcam does")


def pipewire(probes: Probes) -> Iterator[Finding]:
    system = probes.system
    if system.platform != "linux":
        return
    folder = probes.environment.get("XDG_RUNTIME_DIR", "")
    if not (folder and system.path(f"{folder}/pipewire-0").exists()):
        yield Finding("PipeWire", "info", "does not run in this session: programs open cameras themselves")
        return
    detail = "runs; a browser that takes its cameras from it may be unable to read v4l2loopback's: for that one,"
    try:
        probes.pipewire()
    except SinkNotFound as error:
        yield Finding("PipeWire", "info", f"{detail} --output pipewire, which cannot be used: {error}")
    else:
        yield Finding("PipeWire", "info", f"{detail} frrcam start --output pipewire")


def user_service(probes: Probes) -> Iterator[Finding]:
    if probes.system.platform != "linux":
        return
    try:
        found = probes.service()
    except ControlError as error:
        yield Finding("service", "info", f"cannot be asked for: {error}")
        return
    if found.active:
        yield Finding("service", "ok", str(found))
    elif not found.installed:
        yield Finding("service", "info", "is not installed; frrcam service install starts it at every login")
    elif found.state.startswith(("failed", "activating")):
        yield Finding("service", "bad", f"does not come up: {found}", "frrcam service logs")
    else:
        yield Finding("service", "warn", f"is installed and does not run: {found}", "frrcam service install")

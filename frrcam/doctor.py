"""What is right and wrong on this machine, and the command that mends it.

Each check looks at one thing through `Probes` and never changes anything; what it cannot look at, it says.
"""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from rich.markup import escape
from rich.table import Table

from frrcam import sysfs
from frrcam.devices import LABEL, MODPROBE, Camera, VirtualCamera, list_cameras, list_virtual_cameras
from frrcam.errors import FrrcamError
from frrcam.restore import models, providers
from frrcam.restore.models import Manifest, ModelEntry
from frrcam.sources.camera import choose_mode
from frrcam.v4l2 import LINUX, System

Status = Literal["ok", "info", "warn", "bad"]
RELOAD: Final = f"sudo modprobe -r v4l2loopback && {MODPROBE}"
SECURE_BOOT: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
PACKAGES: Final = ("onnxruntime", "opencv-python", "insightface", "av", "pyvirtualcam")
RIVALS: Final = {
    "onnxruntime": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-directml",
        "onnxruntime-qnn",
        "onnxruntime-openvino",
    ),
    "OpenCV": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
"""Wheels that overwrite each other's files: of each row, one may be installed."""
INSTALL: Final = {
    "debian": "sudo apt install v4l2loopback-dkms",
    "fedora": "sudo dnf install akmod-v4l2loopback",
    "arch": "sudo pacman -S v4l2loopback-dkms",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
"""By the ID or ID_LIKE of /etc/os-release. Fedora's package is RPM Fusion's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    title: str
    status: Status
    detail: str
    """One line."""
    remedy: str = ""
    """The command to run, or what to do; "" where there is nothing to mend."""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probes:
    """What the checks look through; tests put made-up answers here."""

    system: System = LINUX
    providers: Callable[[], Sequence[tuple[str, str]]] = providers.status
    """(name, one line) of every execution provider."""
    manifest: Callable[[], Manifest] = models.load_manifest
    verify: Callable[[ModelEntry], object] = models.verify
    version: Callable[[str], str] = importlib.metadata.version
    python: tuple[int, ...] = sys.version_info[:3]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def examine(probes: Probes | None = None) -> list[Finding]:
    """Everything worth knowing, in the order in which a person would mend it. Raises nothing."""
    probes = probes or Probes()
    findings: list[Finding] = []
    for check in (_kernel, _cameras, _permissions, _processor, _providers, _models, _packages, _pipewire):
        try:
            findings.extend(check(probes))
        except (FrrcamError, OSError) as error:
            findings.append(Finding(check.__name__.strip("_"), "bad", f"cannot be examined: {error}"))
    return findings


def as_table(findings: Sequence[Finding]) -> Table:
    """For people; each remedy stands under what it mends."""
    marks = {"ok": "[green]ok[/]", "info": "[dim]info[/]", "warn": "[yellow]warn[/]", "bad": "[red]bad[/]"}
    table = Table(show_header=False, box=None)
    for finding in findings:
        mend = f"\n[bold]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(marks[finding.status], escape(finding.title), escape(finding.detail) + mend)
    return table


def _kernel(probes: Probes) -> Iterator[Finding]:
    """The module, Secure Boot, and the virtual cameras that the module gives."""
    system = probes.system
    if system.platform != "linux":
        yield Finding("virtual camera", "info", f"{system.platform}: through OBS's or Unity Capture's virtual camera")
        return
    module = sysfs.module(system=system)
    if module is None:
        yield _missing_module(system)
    elif module.version.startswith("0.12"):
        detail = f"{module.version} is loaded; it can lose its virtual cameras and does not tell who watches"
        yield Finding("v4l2loopback", "warn", detail, "install 0.13 or later")
    else:
        yield Finding("v4l2loopback", "ok", f"{module.version or 'of unknown version'} is loaded")
    yield _secure_boot(system, loaded=module is not None)
    if module is not None:
        yield from _virtual_cameras(list_virtual_cameras(system))


def _missing_module(system: System) -> Finding:
    release = system.read("/proc/sys/kernel/osrelease") or "this kernel"
    if any(system.path(f"/lib/modules/{release}").rglob("v4l2loopback.ko*")):
        return Finding("v4l2loopback", "bad", "is installed and not loaded: there is no virtual camera", MODPROBE)
    text = system.read("/etc/os-release") or ""
    names = [
        word.strip('"') for line in text.splitlines() if line.startswith("ID") for word in line.split("=")[1].split()
    ]
    install = next((command for name, command in INSTALL.items() if any(name in word for word in names)), "")
    detail = f"is not installed for kernel {release}: there is no virtual camera"
    return Finding("v4l2loopback", "bad", detail, install or "install v4l2loopback for this kernel")


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
    return Finding(
        "Secure Boot", "warn", detail, "sudo mokutil --import /var/lib/dkms/mok.pub, then reboot and enrol it"
    )


def _virtual_cameras(found: Sequence[VirtualCamera]) -> Iterator[Finding]:
    if LABEL not in {virtual.label for virtual in found}:
        others = ", ".join(virtual.label for virtual in found) or "none"
        yield Finding(LABEL, "bad", f"there is no virtual camera of that name (there is {others})", RELOAD)
    for virtual in found:
        yield _virtual_camera(virtual)


def _virtual_camera(virtual: VirtualCamera) -> Finding:
    title = f"{virtual.label} ({virtual.node})"
    users = ", ".join(map(str, virtual.busy_by)) or "a program of another user"
    if virtual.problem:
        detail, _, remedy = virtual.problem.partition("; run: ")
        return Finding(title, "bad", detail, remedy)
    if not virtual.output and not virtual.producing:
        return Finding(
            title, "bad", "can be neither written nor read since its producer left (a fault of 0.12)", RELOAD
        )
    if not virtual.exclusive_caps:
        return Finding(title, "bad", "exclusive_caps is off: Chrome and others do not list it", RELOAD)
    if virtual.producing:
        return Finding(title, "info", f"is being published on ({virtual.format or 'format unknown'}); open in {users}")
    return Finding(title, "ok", "is ready to be published on; programs list it once somebody does")


def _cameras(probes: Probes) -> Iterator[Finding]:
    if probes.system.platform != "linux":
        yield Finding("cameras", "info", "chosen by number here: --device 0 is the first")
        return
    cameras = [camera for camera in list_cameras(probes.system) if not camera.loopback]
    if not cameras:
        yield Finding("cameras", "warn", "there is none", "plug one in, or try: frrcam start --source demo")
    for camera in cameras:
        yield _camera(camera)


def _camera(camera: Camera) -> Finding:
    title = f"{camera.name} ({camera.node})"
    if camera.problem:
        detail, _, remedy = camera.problem.partition("; run: ")
        return Finding(title, "bad", detail, remedy)
    mode = choose_mode(camera.formats, None, None)
    gives = f"gives {mode.width}x{mode.height} at {mode.fps:g} fps ({mode.fourcc or 'format of its own'})"
    if camera.busy_by:
        users = ", ".join(map(str, camera.busy_by))
        return Finding(title, "warn", f"{gives}; open in {users}", "close it there if frrcam finds it busy")
    return Finding(title, "ok", f"{gives}; free")


def _permissions(probes: Probes) -> Iterator[Finding]:
    nodes = sysfs.nodes(probes.system)
    refused = []
    for node in nodes:
        try:
            with probes.system.opened(node.path):
                pass
        except PermissionError:
            refused.append(node.path)
        except OSError:
            continue
    if refused:
        remedy = "sudo usermod -aG video $USER, then log in again"
        yield Finding("permissions", "bad", f"may not open {', '.join(refused)}: not in group video", remedy)
    elif nodes:
        yield Finding("permissions", "ok", f"all {len(nodes)} video nodes may be opened")


def _processor(probes: Probes) -> Iterator[Finding]:
    text = probes.system.read("/proc/cpuinfo")
    if text is None:
        yield Finding("processor", "info", "its features cannot be read on this system")
        return
    lines = [line.partition(":") for line in text.splitlines()]
    names = [value.strip() for key, _, value in lines if key.strip() == "model name"] or ["processor"]
    flags = {flag for key, _, value in lines if key.strip() in ("flags", "Features") for flag in value.split()}
    if fast := flags & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}:
        yield Finding("processor", "ok", f"{names[0]}: int8 at full speed ({', '.join(sorted(fast))})")
    elif "avx2" in flags:
        yield Finding(
            "processor", "info", f"{names[0]}: AVX2 without VNNI, so int8 is about half as fast as it could be"
        )
    else:
        yield Finding("processor", "warn", f"{names[0]}: neither VNNI nor AVX2; expect a light rung and few faces")


def _providers(probes: Probes) -> Iterator[Finding]:
    for name, line in probes.providers():
        status: Status = "warn"
        if line.startswith(("ready", "in onnxruntime")):
            status = "ok"
        elif line.startswith("not installed"):
            status = "info"
        yield Finding(f"provider {name}", status, line)


def _models(probes: Probes) -> Iterator[Finding]:
    manifest = probes.manifest()
    entries = manifest.models.values()
    good = []
    for entry in entries:
        try:
            probes.verify(entry)
        except FrrcamError as error:
            yield Finding(f"model {entry.name}", "bad", str(error), "pip install --force-reinstall frrcam")
        else:
            good.append(entry.name)
    if good:
        yield Finding("models", "ok", f"{len(good)} match the manifest's SHA-256: {', '.join(good)}")
    for kind in ("restorer", "detector"):
        if kind not in manifest.default:
            detail = f"the manifest names no default {kind}"
            yield Finding("models", "bad", detail, "pip install --force-reinstall frrcam")


def _packages(probes: Probes) -> Iterator[Finding]:
    python = ".".join(map(str, probes.python))
    if probes.python < (3, 11):
        yield Finding("Python", "bad", f"{python} is too old", "install Python 3.11 or later")
    else:
        yield Finding("Python", "ok", python)
    for name in PACKAGES:
        version = _version(probes, name)
        if version:
            yield Finding(name, "ok", version)
        else:
            yield Finding(name, "bad", "is not installed", f"pip install {name}")
    for name, rivals in RIVALS.items():
        installed = [rival for rival in rivals if _version(probes, rival)]
        if len(installed) > 1:
            detail = f"{' and '.join(installed)} overwrite each other's files"
            yield Finding(name, "warn", detail, f"pip uninstall {' '.join(installed)}, then install one of them again")


def _version(probes: Probes, name: str) -> str | None:
    try:
        return probes.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pipewire(probes: Probes) -> Iterator[Finding]:
    system = probes.system
    if system.platform != "linux":
        return
    folder = probes.environment.get("XDG_RUNTIME_DIR", "")
    if folder and system.path(f"{folder}/pipewire-0").exists():
        detail = f"runs; if a browser that asks it for cameras does not list {LABEL}, run this once frrcam publishes"
        yield Finding("PipeWire", "info", detail, "systemctl --user restart wireplumber")
    else:
        yield Finding("PipeWire", "info", "does not run in this session: programs open cameras themselves")

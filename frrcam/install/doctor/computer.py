"""What pictures are made from and with: cameras, their permissions, the processor, providers, networks, packages."""

import importlib.metadata
from collections.abc import Iterator
from typing import Final

from frrcam.errors import FrrcamError
from frrcam.install.doctor.finding import Finding, Probes, Status
from frrcam.linux import sysfs
from frrcam.linux.devices import Camera, list_cameras
from frrcam.sources.camera import choose_mode

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
"""Wheels that overwrite each other's files: of each row, one may be installed, and any does."""
RENEW: Final = "git restore weights, in the clone that it runs from; else reinstall it"
"""For networks that are damaged: no package index has frrcam."""


def cameras(probes: Probes) -> Iterator[Finding]:
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


def permissions(probes: Probes) -> Iterator[Finding]:
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


def processor(probes: Probes) -> Iterator[Finding]:
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


def providers(probes: Probes) -> Iterator[Finding]:
    for name, line in probes.providers():
        status: Status = "warn"
        if line.startswith(("ready", "in onnxruntime")):
            status = "ok"
        elif line.startswith("not installed") or "lists no" in line:
            status = "info"  # openvino comes with every x86, and serves Intel's alone
        yield Finding(f"provider {name}", status, line)


def models(probes: Probes) -> Iterator[Finding]:
    manifest = probes.manifest()
    entries = manifest.models.values()
    good = []
    for entry in entries:
        try:
            probes.verify(entry)
        except FrrcamError as error:
            yield Finding(f"model {entry.name}", "bad", str(error), RENEW)
        else:
            good.append(entry.name)
    if good:
        yield Finding("models", "ok", f"{len(good)} match the manifest's SHA-256: {', '.join(good)}")
    for kind in ("restorer", "detector"):
        if kind not in manifest.default:
            yield Finding("models", "bad", f"the manifest names no default {kind}", RENEW)


def packages(probes: Probes) -> Iterator[Finding]:
    python = ".".join(map(str, probes.python))
    if probes.python < (3, 11):
        yield Finding("Python", "bad", f"{python} is too old", "install Python 3.11 or later")
    else:
        yield Finding("Python", "ok", python)
    for name in PACKAGES:
        same = next((rivals for rivals in RIVALS.values() if name in rivals), (name,))
        found = next(((each, version) for each in same if (version := _version(probes, each))), None)
        if found:
            yield Finding(found[0], "ok", found[1])
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

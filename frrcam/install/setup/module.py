"""v4l2loopback: what is loaded, what has to happen so that it gives the virtual camera, and doing it (as root)."""

import errno
import os
import re
import shlex
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from frrcam.errors import SinkError, SinkForbidden, SinkNotFound, SinkUnusable
from frrcam.install.setup.run import Ran, Runner
from frrcam.linux import sysfs
from frrcam.linux.devices import VirtualCamera, list_virtual_cameras
from frrcam.linux.v4l2 import System

CONTROL: Final = "/dev/v4l2loopback"
CTL_ADD, CTL_REMOVE = 0x4C80, 0x4C81
"""V4L2LOOPBACK_CTL_* of v4l2loopback.h 0.13; later versions answer these numbers too."""
CONFIG: Final = struct.Struct("ii32sIIIIiiii")
"""struct v4l2_loopback_config: number, unused, label, least and largest sizes, buffers, openers, debug, all_caps."""
DYNAMIC_SINCE: Final = (0, 13)
"""The first version whose CONFIG is that one: 0.12 had the ioctl with another."""
MODPROBE_FOLDERS: Final = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
KEYS: Final = (
    "/var/lib/dkms/mok.pub",
    "/var/lib/shim-signed/mok/MOK.der",
    "/etc/pki/akmods/certs/public_key.der",
)
"""Where Debian's DKMS, Ubuntu and Fedora's akmods keep the certificate that they sign modules with."""

Todo = Literal["nothing", "load", "reload", "add", "replace", "unload", "delete", "advise"]


@dataclass(frozen=True, slots=True)
class Task:
    """What has to happen in the kernel."""

    todo: Todo
    text: str
    """For people: what happens; of "advise", what they have to do, and why we cannot."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The virtual camera that is wanted."""

    label: str
    number: int
    """N of /dev/videoN."""
    formerly: str
    """The label that it was set up with before; the same where there was none."""

    def owns(self, camera: VirtualCamera) -> bool:
        """True if that is the wanted camera, or what is to make way for it."""
        return camera.label in (self.label, self.formerly)

    @property
    def node(self) -> str:
        return f"/dev/video{self.number}"

    @property
    def parameters(self) -> list[str]:
        """For modprobe, one word each."""
        return [
            "devices=1",
            "exclusive_caps=1",
            "max_buffers=2",
            f"video_nr={self.number}",
            f"card_label={self.label}",
        ]


def options_elsewhere(own: str, system: System) -> tuple[str, str] | None:
    """(file, options) of the modprobe.d file, other than `own`, that sets v4l2loopback up; None if there is none."""
    for folder in MODPROBE_FOLDERS:
        place = system.path(folder)
        for path in sorted(place.glob("*.conf")) if place.is_dir() else ():
            name = f"{folder}/{path.name}"
            text = (system.read(name) or "").replace("\\\n", " ") if name != own else ""
            if found := re.findall(r"^\s*options\s+v4l2loopback\s+(.*)", text, re.MULTILINE):
                return name, " ".join(found)
    return None


def merged_options(options: str, wanted: Wanted) -> str:
    """The "options" line for modprobe.d that gives the cameras of `options`, and the wanted one after them."""
    values = dict(word.partition("=")[::2] for word in _words(options))
    labels = values.pop("card_label", "").split(",")
    numbers, caps = (values.pop(name, "").split(",") for name in ("video_nr", "exclusive_caps"))
    count = values.pop("devices", "")
    devices = int(count) if count.isdecimal() else max(len(numbers), len(labels))

    def row(given: Sequence[str], default: str, last: str) -> str:
        filled = [value or default for value in (*given, *[""] * devices)][:devices]
        return ",".join([*filled, last])

    line = [
        f"options v4l2loopback devices={devices + 1}",
        f"video_nr={row(numbers, '-1', str(wanted.number))}",
        f'card_label="{row(labels, "Loopback", wanted.label)}"',
        f"exclusive_caps={row(caps, '0', '1')}",
    ]
    return " ".join([*line, *(f"{name}={value}" for name, value in values.items())])


def plan(wanted: Wanted, elsewhere: tuple[str, str] | None, system: System) -> Task:
    """What makes the camera be there now, by what is loaded."""
    mine, others = _sorted(wanted, system)
    if len(mine) == 1 and (mine[0].label, mine[0].node) == (wanted.label, wanted.node) and _usable(mine[0]):
        return Task("nothing", f"{wanted.label} is there already ({wanted.node})")
    if sysfs.module(system=system) is None:
        return Task("load", f"load the kernel module v4l2loopback: {wanted.label} as {wanted.node}")
    if not others and elsewhere is None:
        return Task("reload", f"reload v4l2loopback: {wanted.label} as {wanted.node}")
    if _dynamic(system) and mine:
        return Task("replace", f"replace {_names(mine)} by {wanted.label} as {wanted.node}")
    if _dynamic(system):
        return Task("add", f"add {wanted.label} as {wanted.node} beside {_names(others)}")
    line = shlex.join(["sudo", "modprobe", "v4l2loopback", *wanted.parameters])
    return Task(
        "advise",
        f"v4l2loopback {_version_text(system)} is loaded with {_names([*mine, *others])} and cannot get another camera "
        f"while it is (0.13 and later can); close what uses it, then: sudo modprobe -r v4l2loopback && {line}",
    )


def plan_removal(wanted: Wanted, system: System) -> Task:
    """What takes the camera away now."""
    mine, others = _sorted(wanted, system)
    if not mine:
        return Task("nothing", f"{wanted.label} is not there")
    if not others:
        return Task("unload", "unload the kernel module v4l2loopback")
    if _dynamic(system):
        return Task("delete", f"delete {_names(mine)}, leaving {_names(others)}")
    return Task("advise", f"{_names(mine)} goes at the next boot: v4l2loopback is loaded for {_names(others)} too")


def carry_out(task: Task, wanted: Wanted, elsewhere: bool, system: System, run: Runner) -> None:
    """Does it. With options `elsewhere`, modprobe takes those, and the camera is added after loading.

    Raises SinkNotFound (no module), SinkForbidden (Secure Boot, no permission), SinkUnusable (in use, anything else).
    """
    match task.todo:
        case "load":
            _load(wanted, elsewhere, system, run)
        case "reload":
            _unload(run)
            _load(wanted, elsewhere, system, run)
        case "add":
            _add(wanted, system)
        case "replace":
            _delete(wanted, system)
            _add(wanted, system)
        case "unload":
            _unload(run)
        case "delete":
            _delete(wanted, system)
        case "nothing" | "advise":
            pass


def _load(wanted: Wanted, elsewhere: bool, system: System, run: Runner) -> None:
    ran = run(["modprobe", "v4l2loopback", *([] if elsewhere else wanted.parameters)], True)
    if ran.code:
        raise refusal(ran, system)
    if all(camera.label != wanted.label for camera in list_virtual_cameras(system)):
        if not _dynamic(system):
            raise SinkUnusable(f"v4l2loopback {_version_text(system)} is loaded without {wanted.label}: see above")
        _add(wanted, system)


def _unload(run: Runner) -> None:
    ran = run(["modprobe", "-r", "v4l2loopback"], True)
    if ran.code:
        raise SinkUnusable(
            f"v4l2loopback cannot be unloaded ({ran.last_line}); close the programs that use the camera, "
            "`frrcam start` too (frrcam service remove), then try again, or reboot"
        )


def refusal(ran: Ran, system: System) -> SinkError:
    """Why modprobe would not load the module, and the way out."""
    if "Key was rejected" in ran.output or "Required key not available" in ran.output:
        return SinkForbidden(
            "Secure Boot: the kernel refuses v4l2loopback because the key that signed it is not enrolled (Key was "
            f"rejected by service). The way out: 1. sudo mokutil --import {signing_key(system)} and think of a "
            "password; 2. reboot, and in the blue screen choose Enroll MOK, Continue, Yes, that password; "
            "3. frrcam setup. Or switch Secure Boot off in the firmware"
        )
    if ran.code == 127 or "not found" in ran.output:
        release = system.read("/proc/sys/kernel/osrelease") or "this kernel"
        return SinkNotFound(
            f"v4l2loopback is not installed for kernel {release} ({ran.last_line}); "
            "`frrcam doctor` tells the command for this system, after which: frrcam setup"
        )
    if "Operation not permitted" in ran.output:
        return SinkForbidden(
            f"the kernel may not be given modules here ({ran.last_line}): a container, or module loading is locked"
        )
    return SinkUnusable(f"v4l2loopback does not load: {ran.last_line}; the kernel's own words: sudo dmesg | tail")


def signing_key(system: System) -> str:
    """The certificate that this system signs modules with, the likeliest one where none can be seen."""
    return next((path for path in KEYS if os.path.exists(system.path(path))), KEYS[0])


def _add(wanted: Wanted, system: System) -> None:
    config = CONFIG.pack(wanted.number, 0, wanted.label.encode(), 0, 0, 0, 0, 2, 0, 0, 0)
    _control(system, CTL_ADD, bytearray(config), f"{wanted.label} cannot be added as {wanted.node}")


def _delete(wanted: Wanted, system: System) -> None:
    for camera in _sorted(wanted, system)[0]:
        number = int(camera.node.removeprefix("/dev/video"))
        _control(system, CTL_REMOVE, number, f"{camera.label} ({camera.node}) cannot be deleted")


def _control(system: System, request: int, argument: bytearray | int, failure: str) -> None:
    try:
        with system.opened(CONTROL) as fd:
            system.ioctl(fd, request, argument)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise SinkUnusable(f"{failure}: it is in use; close the programs that use it, frrcam too") from error
        if error.errno == errno.EEXIST:
            raise SinkUnusable(f"{failure}: the number is taken; choose another with --video-nr") from error
        raise SinkUnusable(f"{failure}: {os.strerror(error.errno or 0)}") from error


def _sorted(wanted: Wanted, system: System) -> tuple[list[VirtualCamera], list[VirtualCamera]]:
    """(what the wanted camera is or replaces, the cameras of others)."""
    cameras = list_virtual_cameras(system)
    return [camera for camera in cameras if wanted.owns(camera)], [each for each in cameras if not wanted.owns(each)]


def _usable(camera: VirtualCamera) -> bool:
    """Listed by meeting programs, and able to be published on; one that may not be asked is not thought ill of."""
    return camera.exclusive_caps is not False and bool(camera.output or camera.producing or camera.problem)


def _dynamic(system: System) -> bool:
    loaded = sysfs.module(system=system)
    return loaded is not None and loaded.release >= DYNAMIC_SINCE and system.path(CONTROL).exists()


def _version_text(system: System) -> str:
    module = sysfs.module(system=system)
    return module.version if module else ""


def _names(cameras: Sequence[VirtualCamera]) -> str:
    return ", ".join(f'"{camera.label}" ({camera.node})' for camera in cameras) or "nothing"


def _words(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError:  # an open quote: modprobe reads to the end of the line, and so do we
        return options.split()

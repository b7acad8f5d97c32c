"""`frrcam setup`: the virtual camera, made once, there after every boot; and all of it undone."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from frrcam.errors import FrrcamError, SinkForbidden, SinkUnusable, UsageError
from frrcam.install.setup import files, module
from frrcam.install.setup.files import Change
from frrcam.install.setup.module import Task, Wanted
from frrcam.install.setup.run import Runner, find, run
from frrcam.linux import sysfs
from frrcam.linux.devices import LABEL, list_virtual_cameras
from frrcam.linux.v4l2 import LINUX, System
from frrcam.say import Say

MODPROBE: Final = "/etc/modprobe.d/frrcam.conf"
MODULES_LOAD: Final = "/etc/modules-load.d/frrcam.conf"
UDEV: Final = "/etc/udev/rules.d/60-frrcam.rules"
FIRST_NUMBER, LAST_NUMBER = 40, 255
"""/dev/videoN: above real cameras and a Raspberry Pi's codecs, so that those keep the numbers that they have."""


@dataclass(frozen=True, slots=True)
class SetupOptions:
    """What was asked for."""

    label: str | None = None
    """None: as it was set up before, else "FRR Camera"."""
    number: int | None = None
    """N of /dev/videoN; None: as before, else the first free one from 40."""
    remove: bool = False
    dry_run: bool = False
    """Show what would happen, and leave it at that."""
    shown: bool = False
    """The half that runs as root: the changes have been shown already."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is set up, and through what; tests put a made-up one here."""

    system: System = LINUX
    run: Runner = run
    find: Callable[[str], str | None] = find
    root: bool = field(default_factory=lambda: hasattr(os, "geteuid") and os.geteuid() == 0)
    terminal: bool = field(default_factory=lambda: sys.stdin is not None and sys.stdin.isatty())


def setup(options: SetupOptions, say: Say, machine: Machine | None = None) -> None:
    """Shows what is to change, then does it, asking for root only for that.

    Raises UsageError (label, number, no Linux), SinkForbidden (no root, Secure Boot), SinkNotFound (no module),
    SinkUnusable (a file or a device that another program made or uses).
    """
    machine = machine or Machine()
    if machine.system.platform != "linux":
        raise UsageError(f"frrcam setup is for Linux; on {machine.system.platform} OBS brings the virtual camera")
    if options.remove:
        _remove(options, say, machine)
    else:
        _install(options, say, machine)


def _install(options: SetupOptions, say: Say, machine: Machine) -> None:
    system = machine.system
    wanted = _wanted(options, system)
    elsewhere = module.options_elsewhere(MODPROBE, system)
    changes = _writing(wanted, elsewhere is not None, system)
    task = module.plan(wanted, elsewhere, system)
    _show(changes, task, options, say)
    lasting = elsewhere is None or wanted.label in elsewhere[1]
    if elsewhere and not lasting:
        path, given = elsewhere
        say(f"{path} sets v4l2loopback up already, and only one file can: for {wanted.label} after a boot, let it say")
        say(f"    {module.merged_options(given, wanted)}")
    if options.dry_run:
        return
    if changes or task.todo not in ("nothing", "advise"):
        if not machine.root:
            _as_root(wanted, changes, task, options, say, machine)
            return
        # first what may be refused: in use, Secure Boot; then no file speaks of a camera that is not there
        module.carry_out(task, wanted, elsewhere is not None, system, machine.run)
        for change in changes:
            files.apply(change, system)
        _udev(machine)
    if task.todo != "advise":
        node = next((camera.node for camera in list_virtual_cameras(system) if camera.label == wanted.label), None)
        if node is None:
            raise SinkUnusable(f"v4l2loopback is loaded and {wanted.label} is not there; see: frrcam doctor")
        when = "and will be after every boot" if lasting else "and after a boot with the line above"
        say(f"{wanted.label} is {node}, {when}; now: frrcam start")


def _remove(options: SetupOptions, say: Say, machine: Machine) -> None:
    system = machine.system
    # not `options.label`: another's camera is not ours to take away
    label = _formerly(system) or LABEL
    wanted = Wanted(label, FIRST_NUMBER, label)
    changes = [change for path in (UDEV, MODULES_LOAD, MODPROBE) if (change := files.removing(path, system))]
    if not changes:
        say("nothing here was written by frrcam setup")
        return
    task = module.plan_removal(wanted, system)
    _show(changes, task, options, say)
    if options.dry_run:
        return
    if not machine.root:
        _as_root(wanted, changes, task, options, say, machine)
        return
    for change in changes:
        files.apply(change, system)
    _udev(machine)
    try:
        module.carry_out(task, wanted, False, system, machine.run)
    except FrrcamError as error:
        say(f"{error} ({wanted.label} is not there any more after the next boot)")
        return
    say("all of it is undone")


def _wanted(options: SetupOptions, system: System) -> Wanted:
    """The label and number asked for, else those of the files that are there, else the usual ones."""
    formerly = _formerly(system)
    label = options.label if options.label is not None else formerly or LABEL
    # a comma would begin the next device's label, a quote end the parameter; the kernel keeps 31 bytes
    if not re.fullmatch(r"[\w .()+-]{1,31}", label, re.ASCII) or label != label.strip():
        raise UsageError(f'label "{label}" cannot be: 1 to 31 letters, digits, spaces or ._()+- (no quotes, no commas)')
    number = options.number
    if number is None:
        there = (camera.node for camera in list_virtual_cameras(system) if camera.label in (label, formerly))
        kept = next(there, "").removeprefix("/dev/video") or _before(MODPROBE, r"video_nr=(\d+)", system)
        number = int(kept) if kept else _free(system)
    if not 0 <= number <= LAST_NUMBER:
        raise UsageError(f"video number {number} cannot be: 0 to {LAST_NUMBER}")
    for node in sysfs.nodes(system):
        if node.number == number and node.name not in (label, formerly):
            raise UsageError(f'/dev/video{number} is "{node.name}"; choose another number, or leave --video-nr out')
    return Wanted(label, number, formerly or label)


def _formerly(system: System) -> str | None:
    """The label that it was set up with before."""
    return _before(UDEV, r'ATTR\{name\}=="([^"]*)"', system)


def _before(path: str, pattern: str, system: System) -> str | None:
    text = files.read(path, system)
    found = re.search(pattern, text) if text is not None and files.ours(text) else None
    return found[1] if found else None


def _free(system: System) -> int:
    taken = {node.number for node in sysfs.nodes(system)}
    return next(number for number in range(FIRST_NUMBER, LAST_NUMBER + 1) if number not in taken)


def _writing(wanted: Wanted, elsewhere: bool, system: System) -> list[Change]:
    """The files as they have to be, where they are not."""
    link = re.sub(r"[^\w.-]", "_", wanted.label, flags=re.ASCII)
    options = files.template("frrcam-modprobe.conf").replace(f'"{LABEL}"', f'"{wanted.label}"')
    rules = files.template("60-frrcam.rules").replace(f'"{LABEL}"', f'"{wanted.label}"')
    texts = {
        MODPROBE: options.replace(f"video_nr={FIRST_NUMBER}", f"video_nr={wanted.number}"),
        MODULES_LOAD: files.template("frrcam-modules-load.conf"),
        UDEV: rules.replace(LABEL.replace(" ", "_"), link),
    }
    changes = [files.writing(path, text, system) for path, text in texts.items() if path != MODPROBE or not elsewhere]
    if elsewhere:  # of two files that set the same parameters, the later name wins: ours would take their cameras away
        changes.append(files.removing(MODPROBE, system))
    return [change for change in changes if change]


def _show(changes: list[Change], task: Task, options: SetupOptions, say: Say) -> None:
    if options.shown:
        return
    for change in changes:
        for line in str(change).splitlines():
            say(line)
    say(task.text)


def _udev(machine: Machine) -> None:
    """Makes udev read its rules and apply them to what is there; a system without udev needs neither."""
    for command in (["control", "--reload"], ["trigger", "--subsystem-match=video4linux"]):
        machine.run(["udevadm", *command], True)


def _as_root(
    wanted: Wanted, changes: list[Change], task: Task, options: SetupOptions, say: Say, machine: Machine
) -> None:
    """Runs this very command again as root."""
    flags = ["--remove"] if options.remove else ["--label", wanted.label, "--video-nr", str(wanted.number)]
    # root's Python need not find what a user installed for himself
    where = f"PYTHONPATH={Path(__file__).parents[3]}"
    command = ["env", where, sys.executable, "-P", "-m", "frrcam", "setup", *flags, "--shown"]
    tools = ("sudo", "pkexec") if machine.terminal else ("pkexec", "sudo")
    tool = next((tool for tool in tools if machine.find(tool)), None)
    if tool is None:
        raise SinkForbidden(f"this needs root, and there is neither sudo nor pkexec; as root: {shlex.join(command)}")
    paths = ", ".join(change.path for change in changes)
    parts = [f"{'remove' if options.remove else 'write'} {paths}"] if changes else []
    parts += [task.text] if task.todo not in ("nothing", "advise") else []
    say(f"asking for root through {tool}, only to {' and to '.join(parts)}")
    ran = machine.run([tool, *command], False)
    if ran.code:
        raise SinkForbidden(f"setup as root did not finish ({tool}: exit code {ran.code}); what it says stands above")

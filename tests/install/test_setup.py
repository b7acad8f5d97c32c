"""`frrcam setup` against a made-up machine whose kernel loads, adds and deletes as v4l2loopback does."""

import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.errors import SinkForbidden, SinkNotFound, SinkUnusable, UsageError
from frrcam.install.setup import Machine, SetupOptions, files, module, setup
from frrcam.install.setup.command import MODPROBE, MODULES_LOAD, UDEV
from frrcam.install.setup.module import Wanted, merged_options
from frrcam.install.setup.run import Ran, find, run
from frrcam.linux.v4l2 import System
from tests.linux.fakes_v4l2 import Hardware

OBS = 'options v4l2loopback devices=1 video_nr=10 card_label="OBS Camera" exclusive_caps=1\n'


@dataclass
class Kernel:
    """Modprobe, udevadm and the module's control device over the fake hardware."""

    hardware: Hardware
    version: str = "0.15.0"
    refuses: str = ""
    in_use: bool = False
    ran: list[list[str]] = field(default_factory=list)
    tools: tuple[str, ...] = ("sudo", "pkexec")

    def machine(self, *, root: bool = True, terminal: bool = True) -> Machine:
        system = replace(self.hardware.system, open=self.open, ioctl=self.ioctl)
        return Machine(system, self.run, lambda tool: tool if tool in self.tools else None, root, terminal)

    def loads(self, **cameras: int) -> None:
        self.hardware.load_module(self.version)
        self.hardware.write(module.CONTROL, "")
        for label, number in cameras.items():
            self.hardware.add_loopback(number, label.replace("_", " "))

    def run(self, command: Sequence[str], captured: bool) -> Ran:
        self.ran.append(list(command))
        match command:
            case ["modprobe", "-r", _]:
                if self.in_use:
                    return Ran(1, "modprobe: FATAL: Module v4l2loopback is in use.")
                for node in list(self.hardware.devices):
                    self.delete(int(node.removeprefix("/dev/video")))
                shutil.rmtree(self.hardware.root / "sys/module")
            case ["modprobe", "v4l2loopback", *parameters]:
                if self.refuses:
                    return Ran(1, self.refuses)
                values = dict(word.split("=", 1) for word in parameters)
                self.loads(**{values.get("card_label", "OBS Camera"): int(values.get("video_nr", 10))})
        return Ran(0)

    def open(self, path: str, flags: int) -> int:
        return 7 if path.endswith(module.CONTROL) else self.hardware._open(path, flags)

    def ioctl(self, fd: int, request: int, argument: bytearray | int) -> object:
        if request in (module.CTL_ADD, module.CTL_REMOVE) and self.in_use:
            raise OSError(errno.EBUSY, "Device or resource busy")
        if request == module.CTL_ADD and isinstance(argument, bytearray):
            number, _, label, *_, caps = struct.unpack("ii32sIIIIiiii", argument)
            assert caps == 0
            self.hardware.add_loopback(number, label.rstrip(b"\0").decode())
        elif request == module.CTL_REMOVE and isinstance(argument, int):
            self.delete(argument)
        else:
            assert isinstance(argument, bytearray)
            return self.hardware._ioctl(fd, request, argument)
        return 0

    def delete(self, number: int) -> None:
        self.hardware.unplug(number)
        shutil.rmtree(self.hardware.root / f"sys/devices/virtual/video4linux/video{number}")

    @property
    def commands(self) -> list[str]:
        return [" ".join(command) for command in self.ran]


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(Hardware(tmp_path))
    kernel.hardware.open_nodes[7] = "control"
    kernel.hardware._close = lambda fd: None  # type: ignore[method-assign]
    kernel.hardware.system = replace(kernel.hardware.system, close=lambda fd: None)
    return kernel


@pytest.fixture
def said() -> list[str]:
    return []


def tree(kernel: Kernel) -> dict[str, str]:
    """Everything under /etc."""
    etc = kernel.hardware.root / "etc"
    return {str(path.relative_to(etc)): path.read_text() for path in sorted(etc.rglob("*")) if path.is_file()}


def labels(kernel: Kernel) -> dict[str, str]:
    return {node: device.card for node, device in kernel.hardware.devices.items()}


def test_makes_the_camera_now_and_for_every_boot(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    assert list(tree(kernel)) == [
        "modprobe.d/frrcam.conf",
        "modules-load.d/frrcam.conf",
        "udev/rules.d/60-frrcam.rules",
    ]
    line = 'options v4l2loopback devices=1 exclusive_caps=1 max_buffers=2 video_nr=40 card_label="FRR Camera"'
    assert line in tree(kernel)["modprobe.d/frrcam.conf"]
    assert labels(kernel) == {"/dev/video40": "FRR Camera"}
    assert kernel.commands == [
        "modprobe v4l2loopback devices=1 exclusive_caps=1 max_buffers=2 video_nr=40 card_label=FRR Camera",
        "udevadm control --reload",
        "udevadm trigger --subsystem-match=video4linux",
    ]
    assert said[-1] == "FRR Camera is /dev/video40, and will be after every boot; now: frrcam start"


def test_shows_every_line_before_writing_it(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(dry_run=True), said.append, kernel.machine(root=False))
    assert tree(kernel) == {}
    assert kernel.ran == []
    setup(SetupOptions(), said.append, kernel.machine())
    for text in tree(kernel).values():
        assert all(f"    {line}" in said for line in text.splitlines())


def test_done_twice_it_does_nothing(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    before, ran = tree(kernel), len(kernel.ran)
    said.clear()
    setup(SetupOptions(), said.append, kernel.machine(root=False))
    assert (tree(kernel), len(kernel.ran)) == (before, ran)
    assert said[0] == "FRR Camera is there already (/dev/video40)"


@pytest.mark.parametrize("others", [{}, {"OBS_Camera": 10}])
def test_undoes_exactly_what_it_did(kernel: Kernel, said: list[str], others: dict[str, int]) -> None:
    kernel.hardware.write("/etc/modprobe.d/sound.conf", "options snd slots=x")
    if others:
        kernel.loads(**others)
    before, cameras = tree(kernel), labels(kernel)
    setup(SetupOptions(), said.append, kernel.machine())
    assert tree(kernel) != before
    setup(SetupOptions(remove=True), said.append, kernel.machine())
    assert (tree(kernel), labels(kernel)) == (before, cameras)
    assert said[-1] == "all of it is undone"


def test_is_undone_where_another_camera_has_taken_the_number(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    kernel.run(["modprobe", "-r", "v4l2loopback"], True)
    kernel.hardware.add_camera(40, "C920")
    setup(SetupOptions(remove=True), said.append, kernel.machine())
    assert (tree(kernel), labels(kernel)) == ({}, {"/dev/video40": "C920"})
    assert said[-1] == "all of it is undone"


def test_a_camera_of_another_is_never_taken_away(kernel: Kernel, said: list[str]) -> None:
    kernel.loads(OBS_Camera=10)
    setup(SetupOptions(), said.append, kernel.machine())
    setup(SetupOptions(label="OBS Camera", remove=True), said.append, kernel.machine())
    assert (tree(kernel), labels(kernel)) == ({}, {"/dev/video10": "OBS Camera"})


def test_removing_nothing_is_fine(kernel: Kernel, said: list[str]) -> None:
    kernel.loads(FRR_Camera=10)
    setup(SetupOptions(remove=True), said.append, kernel.machine(root=False))
    assert said == ["nothing here was written by frrcam setup"]
    assert labels(kernel) == {"/dev/video10": "FRR Camera"}


@pytest.mark.parametrize("path", [MODPROBE, MODULES_LOAD, UDEV])
def test_never_touches_what_others_wrote(kernel: Kernel, said: list[str], path: str) -> None:
    kernel.hardware.write(path, "# my own")
    with pytest.raises(SinkUnusable, match=f"{path} is there and was not written by frrcam"):
        setup(SetupOptions(), said.append, kernel.machine())
    setup(SetupOptions(remove=True), said.append, kernel.machine())
    assert list(tree(kernel).values()) == ["# my own\n"]
    assert kernel.ran == []


def test_a_new_label_and_number_replace_the_old_ones(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    setup(SetupOptions(label="Second (me)", number=44), said.append, kernel.machine())
    assert labels(kernel) == {"/dev/video44": "Second (me)"}
    assert 'SYMLINK+="v4l/by-id/v4l2loopback-Second__me_-video-index0"' in tree(kernel)["udev/rules.d/60-frrcam.rules"]
    assert any(line.startswith("    - options v4l2loopback") for line in said)
    setup(SetupOptions(), said.append, kernel.machine())
    assert said[-1].startswith("Second (me) is /dev/video44")
    setup(SetupOptions(remove=True), said.append, kernel.machine())
    assert (labels(kernel), tree(kernel)) == ({}, {})


def test_a_new_label_may_keep_the_number(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    setup(SetupOptions(label="Second", number=40), said.append, kernel.machine())
    assert labels(kernel) == {"/dev/video40": "Second"}


def test_adds_a_camera_beside_those_of_others(kernel: Kernel, said: list[str]) -> None:
    kernel.loads(OBS_Camera=10)
    kernel.hardware.write("/etc/modprobe.d/obs.conf", OBS)
    setup(SetupOptions(), said.append, kernel.machine())
    assert labels(kernel) == {"/dev/video10": "OBS Camera", "/dev/video40": "FRR Camera"}
    assert "modprobe.d/frrcam.conf" not in tree(kernel)
    assert any("/etc/modprobe.d/obs.conf sets v4l2loopback up already" in line for line in said)
    merged = 'options v4l2loopback devices=2 video_nr=10,40 card_label="OBS Camera,FRR Camera" exclusive_caps=1,1'
    assert f"    {merged}" in said
    setup(SetupOptions(label="Other", number=41), said.append, kernel.machine())
    assert labels(kernel) == {"/dev/video10": "OBS Camera", "/dev/video41": "Other"}


def test_loads_with_the_options_of_others_then_adds(kernel: Kernel, said: list[str]) -> None:
    kernel.hardware.write("/usr/lib/modprobe.d/obs.conf", OBS.replace("devices", "\\\n devices"))
    setup(SetupOptions(), said.append, kernel.machine())
    assert "modprobe v4l2loopback" in kernel.commands
    assert labels(kernel) == {"/dev/video10": "OBS Camera", "/dev/video40": "FRR Camera"}


def test_an_old_module_with_other_cameras_is_explained(kernel: Kernel, said: list[str]) -> None:
    kernel.version = "0.12.7"
    kernel.loads(OBS_Camera=10)
    setup(SetupOptions(), said.append, kernel.machine())
    assert labels(kernel) == {"/dev/video10": "OBS Camera"}
    assert "modprobe.d/frrcam.conf" in tree(kernel)
    line = next(line for line in said if "0.12.7" in line)
    assert "cannot get another camera" in line
    assert "sudo modprobe -r v4l2loopback && sudo modprobe v4l2loopback devices=1" in line
    assert "'card_label=FRR Camera'" in line


@pytest.mark.parametrize("fault", ["no exclusive_caps", "0.12.7's lost output"])
def test_a_camera_that_is_no_use_is_reloaded(kernel: Kernel, said: list[str], fault: str) -> None:
    kernel.loads()
    device = kernel.hardware.add_loopback(0, exclusive=fault != "no exclusive_caps")
    if fault != "no exclusive_caps":
        device.capabilities = device.capabilities & ~3
    setup(SetupOptions(), said.append, kernel.machine())
    assert "modprobe -r v4l2loopback" in kernel.commands
    assert labels(kernel) == {"/dev/video0": "FRR Camera"}


def test_what_is_in_use_is_said(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions(), said.append, kernel.machine())
    kernel.in_use = True
    setup(SetupOptions(remove=True), said.append, kernel.machine())
    assert "is in use" in said[-1]
    assert tree(kernel) == {}
    kernel.loads(OBS_Camera=10)
    with pytest.raises(SinkUnusable, match="it is in use; close the programs"):
        setup(SetupOptions(label="Third"), said.append, kernel.machine())
    assert tree(kernel) == {}


@pytest.mark.parametrize(
    ("output", "error", "words"),
    [
        (
            "modprobe: ERROR: could not insert 'v4l2loopback': Key was rejected by service",
            SinkForbidden,
            ["Secure Boot", "mokutil --import /var/lib/shim-signed/mok/MOK.der", "Enroll MOK"],
        ),
        (
            "modprobe: FATAL: Module v4l2loopback not found in directory /lib/modules/6.1.0",
            SinkNotFound,
            ["not installed for kernel 6.1.0-28-amd64", "frrcam doctor"],
        ),
        ("modprobe: ERROR: could not insert 'v4l2loopback': Operation not permitted", SinkForbidden, ["a container"]),
        ("modprobe: ERROR: could not insert 'v4l2loopback': Exec format error", SinkUnusable, ["Exec format", "dmesg"]),
    ],
)
def test_a_module_that_does_not_load(
    kernel: Kernel, said: list[str], output: str, error: type[Exception], words: list[str]
) -> None:
    kernel.hardware.write("/var/lib/shim-signed/mok/MOK.der", "key")
    kernel.hardware.write("/proc/sys/kernel/osrelease", "6.1.0-28-amd64")
    kernel.refuses = output
    with pytest.raises(error) as caught:
        setup(SetupOptions(), said.append, kernel.machine())
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
    assert not (kernel.hardware.root / "etc").exists()


@pytest.mark.parametrize(("terminal", "tool"), [(True, "sudo"), (False, "pkexec")])
def test_asks_for_root_only_for_that(kernel: Kernel, said: list[str], terminal: bool, tool: str) -> None:
    setup(SetupOptions(), said.append, kernel.machine(root=False, terminal=terminal))
    (command,) = kernel.ran
    assert command[:2] == [tool, "env"]
    assert command[-6:] == ["setup", "--label", "FRR Camera", "--video-nr", "40", "--shown"]
    assert said[-1] == (
        f"asking for root through {tool}, only to write {MODPROBE}, {MODULES_LOAD}, {UDEV} "
        "and to load the kernel module v4l2loopback: FRR Camera as /dev/video40"
    )
    assert tree(kernel) == {}


def test_the_half_that_runs_as_root_does_not_show_again(kernel: Kernel, said: list[str]) -> None:
    setup(SetupOptions("FRR Camera", 40, shown=True), said.append, kernel.machine())
    assert said == ["FRR Camera is /dev/video40, and will be after every boot; now: frrcam start"]


def test_without_root_and_without_a_way_to_it(kernel: Kernel, said: list[str]) -> None:
    kernel.tools = ()
    with pytest.raises(SinkForbidden, match=r"neither sudo nor pkexec; as root: env PYTHONPATH=.* -m frrcam setup"):
        setup(SetupOptions(), said.append, kernel.machine(root=False))


def test_a_refused_password_is_said(kernel: Kernel, said: list[str]) -> None:
    machine = replace(kernel.machine(root=False), run=lambda command, captured: Ran(1))
    with pytest.raises(SinkForbidden, match=r"did not finish \(sudo: exit code 1\)"):
        setup(SetupOptions(), said.append, machine)
    setup(SetupOptions(), said.append, kernel.machine())
    with pytest.raises(SinkForbidden, match="did not finish"):
        setup(SetupOptions(remove=True), said.append, machine)


@pytest.mark.parametrize("label", ["", " FRR", "a,b", 'say "hi"', "x" * 32, "Kamera für mich", "a\nb", "a*"])
def test_labels_that_cannot_be(kernel: Kernel, said: list[str], label: str) -> None:
    with pytest.raises(UsageError, match="label"):
        setup(SetupOptions(label=label), said.append, kernel.machine())


def test_numbers_that_cannot_be(kernel: Kernel, said: list[str]) -> None:
    kernel.hardware.add_camera(2, "C920")
    with pytest.raises(UsageError, match=r'/dev/video2 is "C920"'):
        setup(SetupOptions(number=2), said.append, kernel.machine())
    for number in (-1, 256):
        with pytest.raises(UsageError, match="0 to 255"):
            setup(SetupOptions(number=number), said.append, kernel.machine())


def test_takes_a_free_number(kernel: Kernel, said: list[str]) -> None:
    kernel.hardware.add_camera(40)
    setup(SetupOptions(), said.append, kernel.machine())
    assert labels(kernel)["/dev/video41"] == "FRR Camera"


def test_other_systems_get_a_message(said: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OBS"):
        setup(SetupOptions(), said.append, Machine(System(tmp_path, platform="win32"), root=False, terminal=False))


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    system = System(tmp_path)
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "x.conf").mkdir()
    with pytest.raises(SinkForbidden, match=r"/etc/x\.conf: cannot be written"):
        files.apply(files.Change("/etc/x.conf", None, "text"), system)
    assert [path.name for path in folder.iterdir()] == ["x.conf"]
    with pytest.raises(SinkForbidden, match="cannot be read"):
        files.read("/etc/x.conf", system)


def test_written_files_can_be_read_by_all(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.apply(files.Change("/etc/x.conf", None, "text\n"), System(tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "etc/x.conf").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "name", ["frrcam-modprobe.conf", "frrcam-modules-load.conf", "60-frrcam.rules", "frrcam.service"]
)
def test_what_ships_carries_the_marker(name: str) -> None:
    assert files.ours(files.template(name))


names = st.text("abcXYZ 0-", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(st.tuples(names, st.integers(0, 39)), min_size=1, max_size=5, unique=True))
def test_merged_options_keep_every_camera(cameras: list[tuple[str, int]]) -> None:
    given_labels, given_numbers = ",".join(label for label, _ in cameras), ",".join(str(n) for _, n in cameras)
    options = f'devices={len(cameras)} video_nr={given_numbers} card_label="{given_labels}" max_buffers=4'
    merged = merged_options(options, Wanted("FRR Camera", 40, "FRR Camera"))
    values = dict(word.partition("=")[::2] for word in module._words(merged)[2:])
    assert values == {
        "devices": str(len(cameras) + 1),
        "video_nr": f"{given_numbers},40",
        "card_label": f"{given_labels},FRR Camera",
        "exclusive_caps": ",".join(["0"] * len(cameras) + ["1"]),
        "max_buffers": "4",
    }


@given(st.text(max_size=60))
def test_no_options_of_others_break_it(options: str) -> None:
    assert merged_options(options, Wanted("FRR Camera", 40, "FRR Camera")).startswith("options v4l2loopback devices=")


def test_runs_programs_in_english_and_says_what_is_missing() -> None:
    assert run(["sh", "-c", "echo $LC_ALL; echo oops >&2; exit 3"]) == Ran(3, "C.UTF-8\noops")
    assert run(["sh", "-c", "exit 4"], captured=False) == Ran(4)
    assert run(["no-such-program"]).code == 127
    assert Ran(5).last_line == "exit code 5"


@pytest.mark.skipif(find("udevadm") is None, reason="udevadm is not installed")
def test_udev_takes_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "60-frrcam.rules"
    rules.write_text(files.template("60-frrcam.rules"))
    if "verify" not in subprocess.run(["udevadm", "--help"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this udevadm has no verify (systemd 254 and later)")
    subprocess.run(["udevadm", "verify", str(rules)], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_sleep_hook_is_sound() -> None:
    hook = Path(__file__).parents[2] / "systemd/frrcam-sleep"
    assert os.access(hook, os.X_OK)
    subprocess.run(["shellcheck", str(hook)], check=True)

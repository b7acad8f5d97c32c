"""What is wrong, what was printed: every bad input is one clear line and an exit code.

`python -m tests.test_bad_input` prints the table.
"""

import contextlib
import errno
import io
import re
import shutil
import subprocess
import sys
import tempfile
import wave
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from frrcam.app.start import Openers, StartOptions, start
from frrcam.cli import app
from frrcam.commands.console import fail
from frrcam.config import load_settings
from frrcam.errors import FrrcamError
from frrcam.linux.loopback_node import VideoNode
from frrcam.linux.v4l2 import Capability
from frrcam.restore.models import load_manifest, weights_dir
from frrcam.sinks.base import FakeSink, Sink
from frrcam.sinks.virtual_camera import VirtualCameraSink
from frrcam.sources.base import FakeSource, Source
from frrcam.sources.camera import CameraSource
from tests.disk import full_disk
from tests.enhance.test_enhance import scene, write, write_clip
from tests.linux.fakes_v4l2 import Hardware
from tests.restore.tiny import network
from tests.sinks.fakes import FakeMachine

GREY = np.full((64, 96, 3), 90, np.uint8)
MANIFEST = load_manifest()
RESTORER = MANIFEST.models[MANIFEST.default["restorer"]]


@dataclass(frozen=True)
class Arguments:
    """A command line, typed."""

    line: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Faked:
    """A command line with a faked machine behind it."""

    line: str
    call: Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One bad input."""

    what: str
    make: Callable[[Path], Arguments | Faked]
    """Puts the bad thing into a folder and says what is typed."""
    code: int
    words: tuple[str, ...]
    """What the line must name: the value, the remedy."""
    full: bool = False
    """True if the disk fills up meanwhile."""


def enhance(source: str, target: str, *more: str) -> Callable[[Path], Arguments]:
    return lambda folder: Arguments(["enhance", str(folder / source), str(folder / target), "-p", "cpu", *more])


def with_file(name: str, content: bytes, target: str) -> Callable[[Path], Arguments]:
    """Enhances a file of that content."""

    def make(folder: Path) -> Arguments:
        (folder / name).write_bytes(content)
        return enhance(name, target)(folder)

    return make


def with_clip(name: str, target: str, keep: float = 1.0) -> Callable[[Path], Arguments]:
    """Enhances the first part of a clip."""

    def make(folder: Path) -> Arguments:
        clip = write_clip(folder / name, range(60))
        clip.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * keep)])
        return enhance(name, target)(folder)

    return make


def with_picture(name: str, target: str, keep: float = 1.0) -> Callable[[Path], Arguments]:
    """Enhances the first part of a picture."""

    def make(folder: Path) -> Arguments:
        picture = write(folder / name, scene())
        picture.write_bytes(picture.read_bytes()[: int(picture.stat().st_size * keep)])
        return enhance(name, target)(folder)

    return make


def with_model(spoil: Callable[[Path], object], name: str = "bad.onnx") -> Callable[[Path], Arguments]:
    """Enhances a good picture with a bad network."""

    def make(folder: Path) -> Arguments:
        spoil(folder / name)
        write(folder / "me.png", scene())
        return enhance("me.png", "out.png", "--model", str(folder / name))(folder)

    return make


def cut_network(path: Path) -> None:
    whole = RESTORER.path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def with_media(name: str, target: str) -> Callable[[Path], Arguments]:
    """Enhances a good picture or clip."""

    def make(folder: Path) -> Arguments:
        write(folder / name, scene()) if name.endswith(".png") else write_clip(folder / name)
        return enhance(name, target)(folder)

    return make


def same_file(folder: Path) -> Arguments:
    write(folder / "me.png", scene())
    return enhance("me.png", "me.png")(folder)


def start_onto_itself(folder: Path) -> Arguments:
    clip = str(write_clip(folder / "me.mp4", range(3)))
    return Arguments(["start", "--source", clip, "-o", clip])


def snapshot_onto_itself(folder: Path) -> Arguments:
    picture = str(write(folder / "me.png", scene()))
    return Arguments(["start", "--source", picture, "-o", "preview", "--snapshot", picture])


def snapshot_to(name: str) -> Callable[[Path], Arguments]:
    return lambda folder: Arguments(["start", "-s", "demo", "-o", "preview", "--snapshot", str(folder / name)])


def snapshot_over_folder(folder: Path) -> Arguments:
    (folder / "shot.png").mkdir()
    return snapshot_to("shot.png")(folder)


def empty_folder(folder: Path) -> Arguments:
    (folder / "holiday").mkdir()
    return enhance("holiday", "better")(folder)


def plot_over_folder(folder: Path) -> Arguments:
    (folder / "plot.png").mkdir()
    return Arguments(["bench", "--plot", str(folder / "plot.png")])


def huge_png() -> bytes:
    """A PNG whose header promises 90000×90000 pixels."""
    header = b"IHDR" + (90_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    end = b"\x00\x00\x00\x00IEND\xaeB`\x82"
    return b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\r" + header + zlib.crc32(header).to_bytes(4, "big") + end


def tiny_png() -> bytes:
    return cv2.imencode(".png", GREY[:4, :4])[1].tobytes()


def only_sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    return buffer.getvalue()


class NoPictures:
    """A capture that opens and reads nothing."""

    def __init__(self, node: str | int, backend: int) -> None:
        self.node = node

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        return True

    def get(self, propId: int) -> float:  # noqa: N803
        return 0.0

    def read(self) -> tuple[bool, None]:
        return False, None

    def release(self) -> None:
        """Nothing is held."""


def faked_start(source: Callable[..., Source], sink: Callable[..., Sink], **flags: dict[str, str]) -> Callable[[], int]:
    openers = Openers(source, sink, check=lambda settings: None)
    return lambda: start(load_settings(flags), StartOptions(frames=1), lambda text: None, openers)


def with_camera(prepare: Callable[[Hardware], object], device: str = "0") -> Callable[[Path], Faked]:
    """Starts with a camera of a faked machine."""

    def make(folder: Path) -> Faked:
        hardware = Hardware(folder)
        prepare(hardware)

        def source(device: str | None, *_: object, **__: object) -> Source:
            return CameraSource(device, system=hardware.system, opener=NoPictures)

        def sink(*_: object, **__: object) -> Sink:
            return FakeSink()

        return Faked(f"start --device {device}", faked_start(source, sink, camera={"device": device}))

    return make


def busy(hardware: Hardware) -> None:
    hardware.add_camera(0).streaming = True
    hardware.hold(0, 4711, "zoom")


def forbidden(hardware: Hardware) -> None:
    hardware.add_camera(0).refuses = errno.EACCES


def with_virtual_camera(**machine: object) -> Callable[[Path], Faked]:
    """Starts with an output of a faked machine."""

    def make(folder: Path) -> Faked:
        fake = FakeMachine(folder, **machine)  # type: ignore[arg-type]
        node = "/dev/video10"
        fake.add(node)

        def sink(output: str, width: int, height: int, fps: float, *, label: str) -> Sink:
            return VirtualCameraSink(
                width,
                height,
                fps,
                output,
                label,
                node_opener=lambda path: VideoNode(path, fake.system),
                platform="linux",
            )

        def source(*_: object, **__: object) -> Source:
            return FakeSource([GREY])

        flags = {"camera": {"source": "demo"}, "output": {"output": node}}
        return Faked(f"start --source demo --output {node}", faked_start(source, sink, **flags))

    return make


def typed(*line: str, **env: str) -> Callable[[Path], Arguments]:
    return lambda folder: Arguments([word.replace("@", str(folder)) for word in line], env)


def config(text: str) -> Callable[[Path], Arguments]:
    def make(folder: Path) -> Arguments:
        path = folder / "frrcam" / "config.toml"
        path.parent.mkdir()
        path.write_text(text)
        return Arguments(["start", "--source", "demo"], {"XDG_CONFIG_HOME": str(folder)})

    return make


CASES = [
    Case("no such camera (number)", typed("start", "--device", "99"), 3, ("/dev/video99", "no such device")),
    Case("no such camera (name)", typed("start", "--device", "Nocam 3000"), 3, ("Nocam 3000",)),
    Case("not a camera: another device", typed("start", "--device", "/dev/null"), 3, ("/dev/null", "not a camera")),
    Case("not a camera: a folder", typed("start", "--device", "@"), 3, ("not a camera",)),
    Case("a camera that another program holds", with_camera(busy), 3, ("zoom (pid 4711)", "close it")),
    Case("a camera that may not be opened", with_camera(forbidden), 3, ("group video", "usermod -aG video")),
    Case("a metadata node", with_camera(lambda h: h.add_metadata(0)), 3, ("/dev/video0", "metadata")),
    Case("a camera that gives no pictures", with_camera(lambda h: h.add_camera(0)), 3, ("no pictures",)),
    Case(
        "no virtual camera",
        typed("start", "--source", "demo", "--output", "/dev/video99"),
        4,
        ("/dev/video99", "sudo modprobe v4l2loopback"),
    ),
    Case("output is no video device", typed("start", "--source", "demo", "-o", "/dev/null"), 4, ("/dev/null",)),
    Case("output is a real camera", with_virtual_camera(driver="uvcvideo"), 4, ("not a virtual camera",)),
    Case(
        "a virtual camera that may not be opened",
        with_virtual_camera(open_errno=errno.EACCES),
        4,
        ("usermod -aG video",),
    ),
    Case(
        "a virtual camera that another program publishes to",
        with_virtual_camera(capabilities=Capability.VIDEO_CAPTURE),
        4,
        ("publishes to it already",),
    ),
    Case("an odd size", typed("start", "--size", "641x480"), 2, ("641x480", "odd", "642x480")),
    Case("an absurd size", typed("start", "--size", "99999x99999"), 2, ("99999x99999", "64 to 4096")),
    Case("no size", typed("start", "--size", "0x0"), 2, ("0x0", "64 to 4096")),
    Case("not a size", typed("start", "--size", "big"), 2, ("big", "1280x720")),
    Case("a size of zeros, as a pair", config("[camera]\nsize = [0, 0]\n"), 2, ("camera.size", "0x0", "64 to 4096")),
    Case("a camera and a clip", typed("start", "-d", "0", "-s", "demo"), 2, ("0", "demo", "name one of them")),
    Case("an output of unknown kind", typed("start", "--source", "demo", "-o", "out.xyz"), 2, ("out.xyz", ".mp4")),
    Case("a clip to play that is not there", typed("start", "--source", "@/no.mp4"), 3, ("no.mp4", "no such file")),
    Case("a clip that is not there", enhance("no.mp4", "out.mp4"), 3, ("no.mp4", "no such file")),
    Case("a clip of zero bytes", with_file("a.mp4", b"", "out.mp4"), 3, ("a.mp4", "empty (0 bytes)")),
    Case("a text named .mp4", with_file("a.mp4", b"Dear diary,\n", "out.mp4"), 3, ("a.mp4", "not a clip")),
    Case("a clip without its index", with_clip("a.mp4", "out.mp4", 0.5), 3, ("a.mp4", "truncated")),
    Case("a clip cut short", with_clip("a.mkv", "out.mp4", 0.6), 3, ("a.mkv", "truncated")),
    Case("a sound file as a clip", with_file("a.mp4", only_sound(), "out.mp4"), 3, ("only sound",)),
    Case("a picture of zero bytes", with_file("a.jpg", b"", "out.jpg"), 3, ("a.jpg", "empty (0 bytes)")),
    Case("a truncated JPEG", with_picture("a.jpg", "out.jpg", 0.6), 3, ("a.jpg", "truncated")),
    Case("a truncated PNG", with_picture("a.png", "out.png", 0.6), 3, ("a.png", "truncated")),
    Case("a text named .png", with_file("a.png", b"Dear diary,\n", "out.png"), 3, ("a.png", "not a picture")),
    Case("a picture of absurd size", with_file("a.png", huge_png(), "out.png"), 3, ("a.png",)),
    Case("a picture of 4×4 pixels", with_file("a.png", tiny_png(), "out.png"), 3, ("4x4", "at least 32")),
    Case("a folder with nothing in it", empty_folder, 3, ("holiday", "no picture")),
    Case("output folder not there", with_picture("a.png", "gone/out.png"), 4, ("gone", "mkdir -p")),
    Case("output folder not there (start)", typed("start", "-s", "demo", "-o", "@/gone/a.mp4"), 4, ("mkdir -p",)),
    Case(
        "output folder forbidden",
        lambda folder: Arguments(["enhance", str(write(folder / "a.png", scene())), "/sys/a.png", "-p", "cpu"]),
        4,
        ("/sys/a.png", "no permission"),
    ),
    Case("a plot over a folder", plot_over_folder, 4, ("plot.png", "is a folder")),
    Case("the disk is full (picture)", with_media("me.png", "out.png"), 4, ("out.png", "disk is full"), full=True),
    Case("the disk is full (clip)", with_media("me.mp4", "out.mp4"), 4, ("out.mp4", "disk is full"), full=True),
    Case("output is the input", same_file, 2, ("me.png", "never overwritten")),
    Case("output is the clip that is played", start_onto_itself, 2, ("me.mp4", "never overwritten")),
    Case("snapshot is the picture that is shown", snapshot_onto_itself, 2, ("me.png", "never overwritten")),
    Case("a picture as a clip", with_picture("a.png", "out.mp4"), 2, (".mp4", ".png")),
    Case("a clip as a picture", with_clip("a.mp4", "out.png"), 2, (".png", ".mp4")),
    Case("a clip of too long a name", typed("start", "-s", "@/" + "a" * 300 + ".mp4"), 3, ("File name too long",)),
    Case(
        "a clip of an unknown user's home",
        typed("start", "-s", "~no-such-user/a.mp4"),
        3,
        ("~no-such-user/a.mp4", "no such file"),
    ),
    Case("no clip at all", typed("start", "-s", ""), 2, ("camera.source", "''")),
    Case(
        "an output of too long a name", typed("start", "-s", "demo", "-o", "@/" + "a" * 300 + ".mp4"), 4, ("too long",)
    ),
    Case(
        "an output of an unknown user's home",
        typed("start", "-s", "demo", "-o", "~no-such-user/a.mp4"),
        4,
        ("~no-such-user",),
    ),
    Case("a clip to enhance of too long a name", enhance("a" * 300 + ".mp4", "out.mp4"), 3, ("too long",)),
    Case("a picture to write of too long a name", with_picture("a.png", "a" * 300 + ".png"), 4, ("too long",)),
    Case("a part file of too long a name", with_picture("a.png", "a" * 250 + ".png"), 4, ("too long",)),
    Case("a snapshot over a folder", snapshot_over_folder, 4, ("shot.png", "is a folder")),
    Case("a snapshot of too long a name", snapshot_to("a" * 300 + ".png"), 4, ("too long",)),
    Case("a snapshot where nothing can be written", snapshot_to("/sys/gone/a.png"), 4, ("/sys/gone", "no such folder")),
    Case("no such network", typed("start", "-s", "demo", "--model", "nonet"), 5, ("nonet", RESTORER.name)),
    Case("no such network file", typed("start", "-s", "demo", "--model", "@/no.onnx"), 5, ("no.onnx",)),
    Case(
        "a network file of too long a name",
        typed("start", "-s", "demo", "--model", "@/" + "a" * 300 + ".onnx"),
        5,
        ("no model file",),
    ),
    Case(
        "a network file of an unknown user's home",
        typed("start", "-s", "demo", "--model", "~no-such-user/a.onnx"),
        5,
        ("no model file ~no-such-user",),
    ),
    Case("an ONNX file of zero bytes", with_model(Path.touch), 5, ("bad.onnx", "0 bytes")),
    Case("a text named .onnx", with_model(lambda path: path.write_text("Dear diary")), 5, ("bad.onnx", "no ONNX")),
    Case("a truncated ONNX file", with_model(cut_network), 5, ("bad.onnx", "cut off")),
    Case("a network with other inputs", with_model(lambda path: network(path, image="x")), 5, ("x", "expected image")),
    Case("a network of another shape", with_model(lambda path: network(path, channels=1)), 5, ("expected N×3×S×S",)),
    Case("a network without its outputs", with_model(lambda path: network(path, names=("a", "b", "c"))), 5, ("mask",)),
    Case("no such provider", typed("start", "-s", "demo", "--provider", "abacus"), 2, ("abacus", "openvino")),
    Case("a setting out of range", typed("start", FRRCAM_RESTORE__STRENGTH="7"), 2, ("restore.strength", "7")),
    Case("a variable without its section", typed("start", FRRCAM_STRENGTH="1"), 2, ("FRRCAM_STRENGTH", "restore")),
    Case("a setting that is none", config("[restore]\nstrenght = 1\n"), 2, ("strenght",)),
    Case("a config.toml that is no TOML", config("[restore\n"), 2, ("config.toml",)),
]

CHATTY = ["a picture of absurd size", "a clip cut short", "a truncated ONNX file", "the disk is full (clip)"]
"""Those where a library is known to have something to say."""


@dataclass(frozen=True)
class Printed:
    """What came of it."""

    code: int
    stdout: str
    stderr: str


def run(case: Case, folder: Path) -> tuple[str, Printed]:
    """Types it, in this process; what was typed and what came of it."""
    made = case.make(folder)
    runner = CliRunner()
    env = {"COLUMNS": "400", "XDG_CONFIG_HOME": str(folder / "no-config"), "NO_COLOR": "1"}
    if isinstance(made, Arguments):
        with full_disk() if case.full else contextlib.nullcontext():
            result = runner.invoke(app, made.line, env=env | dict(made.env))
        settings = " ".join(f"{key}={value}" for key, value in made.env.items())
        line = " ".join([*([settings] if settings else []), "frrcam", *made.line])
    else:
        result = runner.invoke(_app_for(made.call), [], env=env)
        line = f"frrcam {made.line}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return line, Printed(result.exit_code, result.stdout, result.stderr)


def _app_for(call: Callable[[], object]) -> typer.Typer:
    """A command that fails as every command of the real one does."""
    faked = typer.Typer()

    @faked.command()
    def command() -> None:
        try:
            call()
        except FrrcamError as error:
            fail(error)

    return faked


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_bad_input_is_one_clear_line_and_an_exit_code(case: Case, tmp_path: Path) -> None:
    _, printed = run(case, tmp_path)
    assert printed.code == case.code, printed
    assert printed.stdout == ""
    assert re.fullmatch(r"frrcam: error: [^\n]+\n", printed.stderr), printed.stderr
    for word in case.words:
        assert word in printed.stderr
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("what", CHATTY)
def test_no_library_adds_a_line_of_its_own(what: str, tmp_path: Path) -> None:
    """The whole program: what OpenCV, FFmpeg or ONNX Runtime write past Python is seen too."""
    case = next(case for case in CASES if case.what == what)
    made = case.make(tmp_path)
    assert isinstance(made, Arguments)
    command = [sys.executable, "-m", "frrcam", *made.line]
    with full_disk() if case.full else contextlib.nullcontext():
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert re.fullmatch(r"frrcam: error: [^\n]+\n", result.stderr), result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("spoil", ["changed", "cut off"])
def test_a_network_that_is_not_the_manifests_is_refused(tmp_path: Path, spoil: str) -> None:
    """The whole program, run from a copy whose weights were spoilt."""
    code, error = run_spoilt(tmp_path, spoil)
    assert code == 5
    assert re.fullmatch(r"frrcam: error: [^\n]+\n", error), error
    assert RESTORER.path.name in error
    assert ("SHA-256" if spoil == "changed" else "cut off") in error


def run_spoilt(folder: Path, spoil: str) -> tuple[int, str]:
    (folder / "frrcam").symlink_to(Path(__file__).parents[1] / "frrcam", target_is_directory=True)
    shutil.copytree(weights_dir(), folder / "weights")
    weights = folder / "weights" / RESTORER.path.name
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data if spoil == "changed" else data[:-100])
    command = [sys.executable, "-m", "frrcam", "start", "--source", "demo", "--model", RESTORER.name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return result.returncode, result.stderr


def table() -> str:
    """All of it as Markdown; too long a name is cut short."""
    rows = [
        "# What bad input prints\n",
        "Made by `python -m tests.test_bad_input`; each row is a test. One line on standard error, no traceback, "
        "nothing half-written.\n",
        "| what is wrong | typed | printed on stderr | exit code |",
        "|---|---|---|---|",
    ]
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            line, printed = run(case, Path(folder))
            short = [text.replace(folder + "/", "").replace(folder, ".") for text in (line, printed.stderr.strip())]
            short = [re.sub(r"(\w)\1{20,}", r"\1\1\1…", text) for text in short]
            rows.append(f"| {case.what} | `{short[0]}` | {short[1].replace('|', chr(92) + '|')} | {printed.code} |")
    for spoil in ("changed", "cut off"):
        with tempfile.TemporaryDirectory() as folder:
            code, error = run_spoilt(Path(folder), spoil)
            line = f"frrcam start --source demo --model {RESTORER.name}"
            rows.append(f"| weights {spoil} | `{line}` | {error.strip().replace(folder + '/', '')} | {code} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())

"""The virtual machine from inside: devices that come and go, programs that use them, and waiting for either.

Real devices keep real time, so there is waiting here, always for something and never longer than said.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import psutil
import pytest

from frrcam.control.discovery import ask_status
from frrcam.daemon.status import Status
from frrcam.errors import ControlError
from frrcam.frame import Image
from frrcam.linux import sysfs
from frrcam.linux.v4l2 import LINUX, Capability, query_capability

INSIDE = os.path.exists("/proc/cpuinfo") and "User Mode Linux" in Path("/proc/cpuinfo").read_text()
MARKS = [
    pytest.mark.vm,
    pytest.mark.skipif(not INSIDE, reason="loads and unloads kernel modules: only in the machine of `make test-vm`"),
]
SHARE = Path("/mnt/frrcam")
"""The one folder that outlives the machine: $FRRCAM_VM_CACHE/share."""
SOURCE, CAMERA = "/dev/video10", "/dev/video11"
"""The loopback that plays a camera, and the one that frrcam publishes on."""
LOOPBACK = ("devices=2", "video_nr=10,11", "card_label=Test Source,FRR Camera", "exclusive_caps=1,1", "max_buffers=2")
"""As `frrcam setup` loads it, and one more."""
OLD_LOOPBACK = "/usr/lib/frrcam-vm/v4l2loopback-old.ko"
VIVID = ("n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x0")
"""One webcam, without outputs, radios and the rest."""
FEWER_FAULTS = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
"""What run.sh sets for Python programs."""
EVERY = 0.1
"""Seconds between looks at what is waited for."""


def until(what: str, condition: Callable[[], Any], seconds: float) -> float:
    """Waits until the condition holds; the seconds that it took. AssertionError when it does not in time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(EVERY)
    return time.monotonic() - began


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A command to its end, at most a minute; its output is in the error if it fails."""
    done = subprocess.run(command, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr.decode(errors='replace')}"
    return done


def load(module: str, *parameters: str) -> None:
    run("modprobe", module, *parameters)


def unload(*modules: str) -> None:
    for module in modules:
        if sysfs.module(module):
            run("modprobe", "-r", module)


def bind(driver: str, device: str, *, plugged: bool) -> None:
    """Plugs a platform device in or pulls it out."""
    Path(f"/sys/bus/platform/drivers/{driver}/{'bind' if plugged else 'unbind'}").write_text(device)


def write_clip(path: Path, pictures: Sequence[Image], fps: float) -> Path:
    """A clip of YUYV pictures as a webcam sends them, so that what a reader must get is known to the bit."""
    height, width = pictures[0].shape[:2]
    raw = b"".join(to_yuyv(picture).tobytes() for picture in pictures)
    shape = ("-f", "rawvideo", "-pix_fmt", "yuyv422", "-s", f"{width}x{height}", "-r", f"{fps:g}")
    run("ffmpeg", "-loglevel", "error", *shape, "-i", "-", "-c", "copy", "-y", str(path), input=raw)
    return path


def to_yuyv(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_YUY2), np.uint8)


def as_camera_gives(picture: Image) -> Image:
    """The picture after its way over the wire as YUYV, as OpenCV hands it out."""
    return np.asarray(cv2.cvtColor(to_yuyv(picture), cv2.COLOR_YUV2BGR_YUY2), np.uint8)


def read_i420(node: str, size: tuple[int, int], count: int = 3) -> Image:
    """`count` pictures as ffmpeg reads them, untouched: I420, N × H·3/2 × W."""
    width, height = size
    done = run(
        *("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "v4l2", "-i", node),
        *("-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"),
    )
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, height * 3 // 2, width)
    assert len(pictures) == count
    return pictures


class Reader:
    """A meeting program: OpenCV on the virtual camera, kept open."""

    def __init__(self, node: str = CAMERA) -> None:
        self._capture = cv2.VideoCapture(node, cv2.CAP_V4L2)
        assert self._capture.isOpened(), f"{node} cannot be read"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def picture(self) -> Image:
        """The next one. AssertionError when there is none."""
        good, image = self._capture.read()
        assert good, "the reader got no picture"
        return np.asarray(image, np.uint8)

    def watch(self, seconds: float) -> "Watched":
        """Reads for that long. AssertionError when a read fails."""
        began = time.monotonic()
        times, image = [began], None
        while times[-1] < began + seconds:
            good, image = self._capture.read()
            assert good, f"the reader got no picture, {time.monotonic() - began:.1f} s after it began to watch"
            times.append(time.monotonic())
        return Watched(np.asarray(image, np.uint8), (len(times) - 1) / (times[-1] - began), float(np.diff(times).max()))


@dataclass(frozen=True, slots=True)
class Watched:
    """What a reader saw."""

    last: Image
    fps: float
    gap: float
    """Seconds: the longest that it waited for a picture."""


class Program:
    """A process with its output in a file, killed at the end of the test."""

    def __init__(self, log: Path, *command: str, **environment: str) -> None:
        self._log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | environment
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float) -> tuple[int, float]:
        """(exit status, seconds that it took)."""
        began = time.monotonic()
        code = self.process.wait(seconds)
        return code, time.monotonic() - began

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Frrcam(Program):
    """`frrcam start`, and what it tells."""

    def status(self) -> Status | None:
        with contextlib.suppress(ControlError):
            return ask_status()
        return None

    def until_state(self, *states: str, seconds: float = 120.0) -> float:
        """Waits until the daemon says that it is in one of these; the seconds that it took."""

        def there() -> bool:
            assert self.process.poll() is None, f"frrcam ended with {self.process.returncode}: {self.said}"
            status = self.status()
            return status is not None and status.state in states

        return until(f"frrcam is {' or '.join(states)}; it said: {self.said}", there, seconds)


class Machine:
    """Everything that a test starts; ends all of it."""

    def __init__(self, logs: Path) -> None:
        self._logs, self._stack = logs, contextlib.ExitStack()

    def program(self, *command: str, kind: type[Program] = Program, **environment: str) -> Any:
        name = Path(command[0]).name if kind is Program else kind.__name__.lower()
        program = kind(self._logs.with_suffix(f".{name}.log"), *command, **environment)
        self._stack.callback(program.kill)
        return program

    def play(self, clip: Path, node: str = SOURCE) -> Program:
        """ffmpeg as the camera behind a loopback, once it is one."""
        number = int(node.removeprefix("/dev/video"))
        play = ("ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(clip))
        player: Program = self.program(*play, "-c", "copy", "-f", "v4l2", node)
        until(f"{node} gives pictures; {player.said}", lambda: is_producing(number), 20)
        return player

    def frrcam(self, *arguments: str) -> Frrcam:
        """`frrcam start` with these arguments, once FRR Camera is listed and it runs, or would if a program watched."""
        frrcam = self.start(*arguments)
        frrcam.until_state("running", "idle")
        until("it publishes", lambda: is_producing(11), 30)
        return frrcam

    def start(self, *arguments: str) -> Frrcam:
        """The same, not waited for."""
        frrcam: Frrcam = self.program(*FRRCAM, "start", *arguments, kind=Frrcam, **PYTHON_ENVIRONMENT)
        return frrcam

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def meeting(frrcam: Frrcam) -> Iterator[Reader]:
    """A reader that watches, so that the daemon has its camera on."""
    with Reader() as reader:
        reader.watch(1)
        frrcam.until_state("running")
        yield reader


def is_producing(number: int) -> bool:
    """True while a program publishes on the loopback /dev/videoN, which has exclusive_caps."""
    loopback = sysfs.loopback(number)
    if loopback is None or loopback.state:
        return loopback is not None and loopback.state == "capture"
    with LINUX.opened(f"/dev/video{number}") as descriptor:  # 0.12.7 does not say it
        return Capability.VIDEO_CAPTURE in query_capability(LINUX, descriptor).capabilities


FRRCAM = (sys.executable, "-m", "frrcam")
PYTHON_ENVIRONMENT = FEWER_FAULTS | {"FRRCAM_RESTORE__THREADS": "1", "PYTHONUNBUFFERED": "1"}


def ask(*arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """An frrcam command to its end; `prefix` is what runs it, if not we."""
    environment = os.environ | PYTHON_ENVIRONMENT
    return subprocess.run([*prefix, *FRRCAM, *arguments], capture_output=True, text=True, timeout=120, env=environment)

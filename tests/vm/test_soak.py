"""Readers that come and go for minutes: nothing may leak, and no picture may stand still.

A minute and a half by default; `make test-vm ARGS="-k soak --soak-minutes 30"` for as long as is wanted.
"""

import csv
import random
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from time import monotonic

import numpy as np
import psutil
import pytest

from tests.vm.machine import CAMERA, MARKS, SHARE, Frrcam, Machine, Program, Reader, meeting, until

pytestmark = MARKS
Seen = Callable[[str], None]

FPS = 15
WARM_S = 20
"""Seconds before the first sample: networks load, caches fill."""
EVERY_S = 2.0
LONG_GAP = 13.0
"""Seconds without a reader, more than the grace time: the camera goes off, and has to come back."""
STUCK_S = 3.0
"""A picture that stands still for longer has got stuck; a camera that reopens, on a shared core, has not."""
GROWTH_MB = 16.0
"""From the median of the first third to that of the last: allocators keep a little more for a while, leaks go on."""
RATE_MB = 1.0
"""A minute, over the second half; asked of long runs only, for a short one's slope is noise."""
SLACK = 2
"""Descriptors or threads that the last third may have more at its highest: a reader that comes while another goes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment."""

    seconds: float
    memory: float
    """Resident, MB."""
    descriptors: int
    threads: int
    readers: int
    """So far."""


class Watch:
    """Samples the daemon, and keeps the longest time for which a reader's picture stood still."""

    def __init__(self, frrcam: Frrcam) -> None:
        self.samples: list[Sample] = []
        self.readers = self.pictures = 0
        self.stuck = 0.0
        self._process, self._began = psutil.Process(frrcam.process.pid), monotonic()

    def look(self) -> None:
        now = monotonic() - self._began
        if self.samples and now - self.samples[-1].seconds < EVERY_S:
            return
        with self._process.oneshot():
            memory = self._process.memory_info().rss / 1e6
            self.samples.append(Sample(now, memory, self._process.num_fds(), self._process.num_threads(), self.readers))

    def read(self, seconds: float) -> None:
        """OpenCV, as a meeting program, for so long."""
        self.readers += 1
        began = changed = monotonic()
        seen = 0
        with Reader() as reader:
            while monotonic() - began < seconds:
                mark = zlib.crc32(np.ascontiguousarray(reader.picture()[::4, ::4]))
                self.pictures += 1
                now = monotonic()
                self.stuck = max(self.stuck, now - changed)
                if mark != seen:
                    changed, seen = now, mark
                self.look()

    def let(self, program: Program, seconds: float) -> None:
        """Another reader, ended by us after so long, if it has not ended before."""
        self.readers += 1
        self.pause(seconds)
        program.kill()

    def pause(self, seconds: float) -> None:
        began = monotonic()
        until("time has passed", lambda: self.look() or monotonic() - began >= seconds, seconds + 10)

    def part(self, name: str, number: int) -> np.ndarray:
        """That figure of all samples in the first, second or last third."""
        values = [getattr(sample, name) for sample in self.samples]
        return np.array_split(np.array(values, float), 3)[number]

    def slope(self) -> float:
        """MB a minute over the second half."""
        half = self.samples[len(self.samples) // 2 :]
        return float(np.polyfit([sample.seconds / 60 for sample in half], [sample.memory for sample in half], 1)[0])


def test_soak(machine: Machine, moving_clip: Path, seen: Seen, request: pytest.FixtureRequest) -> None:
    minutes = float(request.config.getoption("--soak-minutes"))
    machine.play(moving_clip)
    frrcam = machine.frrcam("--device", "Test Source", "--fps", str(FPS))
    with Reader() as reader:
        reader.watch(WARM_S)
    watch = Watch(frrcam)
    come_and_go(machine, watch, minutes)
    write(watch, minutes)
    memory = [float(np.median(watch.part("memory", third))) for third in range(3)]
    descriptors = [int(watch.part("descriptors", third).max()) for third in (0, 2)]
    threads = [int(watch.part("threads", third).max()) for third in (0, 2)]
    seen(f"{minutes:g} minutes, {watch.readers} readers, {watch.pictures} pictures, still {watch.stuck:.1f} s")
    seen(f"memory by thirds {', '.join(f'{part:.1f}' for part in memory)} MB, at the end {watch.slope():+.2f} a minute")
    seen(f"at most {descriptors[0]} → {descriptors[1]} descriptors, {threads[0]} → {threads[1]} threads")
    with meeting(frrcam) as reader:
        assert reader.watch(3).fps > 2, "and it runs on"
    assert watch.stuck <= STUCK_S
    assert memory[2] - memory[0] <= GROWTH_MB
    assert minutes < 5 or watch.slope() <= RATE_MB
    assert descriptors[1] <= descriptors[0] + SLACK
    assert threads[1] <= threads[0] + SLACK


def come_and_go(machine: Machine, watch: Watch, minutes: float) -> None:
    """Three kinds of readers at random, now and then none for longer than the grace time."""
    chance = random.Random(7)
    began = monotonic()
    turn = 0
    while monotonic() - began < 60 * minutes:
        seconds = chance.uniform(1.5, 5)
        match turn % 4:
            case 0 | 2:
                watch.read(seconds)
            case 1:
                watch.let(machine.program("v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=0"), seconds)
            case 3:
                play = ("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "v4l2", "-i", CAMERA, "-f", "null", "-")
                watch.let(machine.program(*play), seconds)
        watch.pause(LONG_GAP if turn % 12 == 11 else chance.uniform(0.2, 2))
        turn += 1


def write(watch: Watch, minutes: float) -> None:
    """soak.csv, and soak.png: what docs/ shows."""
    from matplotlib.figure import Figure

    with (SHARE / "soak.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in fields(Sample))
        rows.writerows(astuple(sample) for sample in watch.samples)
    times = [sample.seconds / 60 for sample in watch.samples]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    above.plot(times, [sample.memory for sample in watch.samples], color="#2060a0")
    above.set(ylabel="resident memory, MB", ylim=(0, 1.2 * max(sample.memory for sample in watch.samples)))
    above.set_title(f"frrcam start, 640x480, {watch.readers} readers in {minutes:g} minutes", fontsize=10)
    below.step(times, [sample.descriptors for sample in watch.samples], label="descriptors", color="#a06020")
    below.step(times, [sample.threads for sample in watch.samples], label="threads", color="#209060")
    below.set(xlabel="minutes", ylim=(0, None))
    below.legend(loc="lower right", ncols=2, fontsize=8, frameon=False)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.savefig(SHARE / "soak.png", dpi=110)

"""Programs that know nothing of frrcam: the kernel developers' own test, ffmpeg, GStreamer, and readers in turn."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from frrcam.frame import Image
from tests.vm.conftest import FPS, SIZE
from tests.vm.machine import CAMERA, MARKS, SOURCE, Machine, Reader, is_producing, read_i420, run, until, write_clip

pytestmark = MARKS
Seen = Callable[[str], None]

COLOURS = {"red": (200, 50, 100), "white": (255, 255, 255), "grey": (128, 128, 128), "green": (30, 220, 40)}
"""R, G, B."""
LEVELS = 3
"""Of 255: what a picture may lose on its way through 8-bit YUV and back."""
RATE = 15
GSTREAMER = ("gst-launch-1.0", "-q", "v4l2src", f"device={CAMERA}", "num-buffers=8", "!")


def plain(colour: tuple[int, int, int], size: tuple[int, int] = SIZE) -> Image:
    return np.full((size[1], size[0], 3), colour[::-1], np.uint8)


def bars(path: Path) -> Path:
    """The colours side by side, 160 pixels each."""
    cv2.imwrite(str(path), np.hstack([plain(colour, (160, 480)) for colour in COLOURS.values()]))
    return path


def worst(rgb: Image) -> int:
    """Of a picture of bars(), R G B: how far any pixel within a bar is from its colour."""
    middles = [rgb[8:-8, 160 * index + 8 : 160 * index + 152] for index in range(len(COLOURS))]
    pairs = zip(middles, COLOURS.values(), strict=True)
    return max(int(np.abs(middle.astype(int) - colour).max()) for middle, colour in pairs)


def failures(output: str) -> set[str]:
    """What v4l2-compliance found wrong, by name."""
    assert "Total for" in output, output
    return {line.split(": FAIL")[0].strip() for line in output.splitlines() if line.rstrip().endswith(": FAIL")}


def compliance(*options: str) -> tuple[set[str], str]:
    """(failures, the last line) of v4l2-compliance on FRR Camera; it ends with the number of failures."""
    output = subprocess.run(
        ["v4l2-compliance", *options, "-d", CAMERA], capture_output=True, text=True, timeout=120
    ).stdout
    return failures(output), output.strip().splitlines()[-1].partition(": ")[2]


@pytest.mark.parametrize("options", [(), ("-s", "20")], ids=["asked", "streaming"])
def test_compliance_is_the_modules_own(machine: Machine, tmp_path: Path, seen: Seen, options: tuple[str, ...]) -> None:
    """No failure that the module does not show with another producer, ffmpeg, in our place."""
    clip = write_clip(tmp_path / "plain.nut", [plain(COLOURS["red"])] * 30, FPS)
    other = machine.play(clip, CAMERA)
    theirs, their_total = compliance(*options)
    other.kill()
    until("the device is free", lambda: not is_producing(11), 10)
    machine.frrcam("--source", "demo", "--size", "640x480", "--fps", str(RATE))
    ours, our_total = compliance(*options)
    seen(f"ffmpeg publishes: {their_total}; frrcam: {our_total}; failing {sorted(ours) or 'nothing'}")
    assert ours <= theirs


def test_gstreamer_reads_exact_colours(machine: Machine, tmp_path: Path, seen: Seen) -> None:
    machine.frrcam("--source", str(bars(tmp_path / "bars.png")))
    wire = "video/x-raw,format=I420,width=640,height=480"
    run(*GSTREAMER, wire, "!", "filesink", f"location={tmp_path}/i420")
    pictures = np.fromfile(tmp_path / "i420", np.uint8).reshape(-1, SIZE[1] * 3 // 2, SIZE[0])
    off = worst(np.asarray(cv2.cvtColor(pictures[-1], cv2.COLOR_YUV2RGB_I420), np.uint8))
    seen(f"{len(pictures)} pictures, {len(COLOURS)} colours, worst difference {off} of R, G or B")
    assert len(pictures) == 8
    assert off <= LEVELS


def test_ffmpeg_reads_exact_rgb(machine: Machine, tmp_path: Path, seen: Seen) -> None:
    machine.frrcam("--source", str(bars(tmp_path / "bars.png")))
    read = ("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "v4l2", "-i", CAMERA, "-frames:v", "8")
    done = run(*read, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)
    seen(f"{len(pictures)} pictures, {len(COLOURS)} colours, worst difference {worst(pictures[-1])} of R, G or B")
    assert worst(pictures[-1]) <= LEVELS


def test_readers_come_one_after_the_other(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    """And two at once: v4l2loopback up to 0.14 serves them all, 0.15 one, and tells the other that it is busy."""
    machine.play(moving_clip)
    frrcam = machine.frrcam("--device", "Test Source", "--fps", str(RATE))
    rates = []
    for _ in range(4):
        with Reader() as reader:
            reader.watch(1)
            frrcam.until_state("running")
            rates.append(reader.watch(2).fps)
    with Reader() as first:
        first.watch(1)
        second = subprocess.run(
            ["v4l2-ctl", "-d", CAMERA, "--stream-mmap=2", "--stream-count=5"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        kept = first.watch(2).fps
    refused = re.search(r"returned -1 \((.*)\)", second.stdout + second.stderr)
    seen(f"four in turn at {', '.join(f'{rate:.0f}' for rate in rates)} fps")
    seen(f"a second one at once: {refused[1] if refused else 'reads too'}; the first goes on at {kept:.0f} fps")
    assert min(rates) > RATE / 2
    assert kept > RATE / 2


@pytest.mark.parametrize("size", [(320, 240), (800, 600), (1280, 720)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_sizes_follow_one_another(machine: Machine, seen: Seen, size: tuple[int, int]) -> None:
    """A second start with another size on the device that the first one has just left."""
    first = machine.frrcam("--source", "demo", "--size", "640x480", "--fps", str(RATE))
    before = read_i420(CAMERA, SIZE)[-1].shape
    first.kill()
    until("the device is free", lambda: not is_producing(11), 10)
    width, height = size
    machine.frrcam("--source", "demo", "--size", f"{width}x{height}", "--fps", str(RATE))
    after = read_i420(CAMERA, size)[-1]
    output = run("v4l2-ctl", "-d", CAMERA, "--get-fmt-video").stdout.decode()
    seen(f"{before[1]}x{before[0] * 2 // 3}, then {width}x{height}, of {after.std():.0f} levels of contrast")
    assert f"{width}/{height}" in output
    assert after.std() > 10, "a picture of something"


def test_a_camera_that_comes_back_in_another_size_changes_nothing(machine: Machine, tmp_path: Path, seen: Seen) -> None:
    """A meeting program has chosen a size; it gets that one, whatever the camera does."""
    small = (320, 240)
    clips = [
        write_clip(tmp_path / f"{width}.nut", [plain(COLOURS["green"], (width, height))] * 30, FPS)
        for width, height in (SIZE, small)
    ]
    player = machine.play(clips[0])
    frrcam = machine.frrcam("--device", "Test Source", "--fps", str(RATE))
    with Reader() as reader:
        reader.watch(1)
        frrcam.until_state("running")
        player.kill()
        frrcam.until_state("no camera", seconds=15)
        until("the source is free", lambda: not is_producing(10), 20)
        machine.play(clips[1])
        frrcam.until_state("running", seconds=30)
        until("the picture is green again", lambda: is_green(reader.watch(0.5).last), 20)
        picture = reader.watch(1).last
    now = run("v4l2-ctl", "-d", SOURCE, "--get-fmt-video").stdout.decode()
    seen(f"the camera is {small[0]}x{small[1]} now, the picture {picture.shape[1]}x{picture.shape[0]}")
    assert f"{small[0]}/{small[1]}" in now
    assert picture.shape[1::-1] == SIZE


def is_green(image: Image) -> bool:
    """B, G, R near the colour in the middle."""
    return bool(np.abs(image[200:280, 280:360].astype(int) - COLOURS["green"][::-1]).max() <= 2 * LEVELS)

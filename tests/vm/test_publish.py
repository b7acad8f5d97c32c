"""The main job on real devices: a camera goes in, FRR Camera comes out."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from frrcam.sources.demo import DemoSource
from tests.vm.conftest import SIZE
from tests.vm.machine import CAMERA, MARKS, SHARE, Machine, as_camera_gives, meeting, read_i420, run, until, write_clip

pytestmark = MARKS
Seen = Callable[[str], None]

ENOUGH_FPS = 15
"""One core for camera, network and reader."""
SLOW_FPS = 5.0
"""At this rate the network fits on one busy core, so that every picture is enhanced."""
FACE = (320, 211)
"""Where the demo's face is, give or take its sway: x, y."""
PICTURES = 15
"""Of them the budget may have left some plain, where the core is shared with other work than ours."""
REACH = 170
"""Pixels around it that enhancement may change: the face is 133 high, the sway 38."""


def test_a_camera_is_published_as_frr_camera(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    machine.play(moving_clip)
    frrcam = machine.frrcam("--device", "Test Source")
    with meeting(frrcam) as reader:
        watched = reader.watch(5)
    status = frrcam.status()
    assert status
    cv2.imwrite(str(SHARE / "published.png"), watched.last)
    width, height = watched.last.shape[1::-1]
    seen(f"{width}x{height}, OpenCV reads {watched.fps:.1f} fps; {status.rung} ({status.rung_reason})")
    seen(f"work p50 {status.frame_ms['p50']:.0f} ms, fresh {status.fresh_share:.0%}, faces {status.faces}")
    assert (width, height) == SIZE
    assert status.faces == 1
    assert status.fresh_share > 0
    assert watched.fps >= ENOUGH_FPS


def test_only_the_face_is_changed(machine: Machine, tmp_path: Path, seen: Seen) -> None:
    picture = DemoSource(SIZE, SLOW_FPS).read().image
    machine.play(write_clip(tmp_path / "still.nut", [picture] * 30, SLOW_FPS))
    frrcam = machine.frrcam("--device", "Test Source", "--fps", f"{SLOW_FPS:g}")
    with meeting(frrcam):
        until("every picture is enhanced", lambda: (status := frrcam.status()) and status.fresh_share > 0.5, 60)
    published = read_i420(CAMERA, SIZE, PICTURES)
    given = np.asarray(cv2.cvtColor(as_camera_gives(picture), cv2.COLOR_BGR2YUV_I420), np.int16)
    luma = np.abs(published[:, : SIZE[1]] - given[: SIZE[1]])
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    near = np.maximum(abs(x - FACE[0]), abs(y - FACE[1]))
    insides, outside = luma[:, near < 60].mean(1), int(luma[:, near > REACH].max())
    best = int(insides.argmax())
    seen(
        f"{PICTURES} pictures: at the face {insides.min():.1f} to {insides.max():.1f} levels, outside at most {outside}"
    )
    after = np.asarray(cv2.cvtColor(published[best], cv2.COLOR_YUV2BGR_I420), np.uint8)
    cv2.imwrite(str(SHARE / "before-after.png"), np.hstack((as_camera_gives(picture), after)))
    assert outside <= 1
    assert insides[best] > 3


def test_ffmpeg_reads_exact_colours(machine: Machine, tmp_path: Path, seen: Seen) -> None:
    colours = [(200, 50, 100), (255, 255, 255), (0, 0, 0), (30, 220, 40), (20, 30, 210), (128, 128, 128)]  # R, G, B
    bars = np.repeat(np.array(colours, np.uint8)[None, :, ::-1], 96, axis=1)
    cv2.imwrite(str(tmp_path / "bars.png"), np.repeat(bars, 320, axis=0))
    machine.frrcam("--source", str(tmp_path / "bars.png"))
    width, height = 96 * len(colours), 320
    published = read_i420(CAMERA, (width, height))[-1]
    luma = published[:height].astype(float)
    chroma = published[height:].reshape(2, height // 2, width // 2).astype(float)
    worst = 0.0
    for index, (red, green, blue) in enumerate(colours):  # BT.601, limited range
        expected = (
            16 + 0.257 * red + 0.504 * green + 0.098 * blue,
            128 - 0.148 * red - 0.291 * green + 0.439 * blue,
            128 + 0.439 * red - 0.368 * green - 0.071 * blue,
        )
        inner, half = slice(96 * index + 16, 96 * index + 80), slice(48 * index + 8, 48 * index + 40)
        planes = (luma[:, inner], chroma[0][:, half], chroma[1][:, half])
        worst = max(worst, *(float(abs(plane - value).max()) for plane, value in zip(planes, expected, strict=True)))
    output = run("v4l2-ctl", "-d", CAMERA, "--get-fmt-video").stdout.decode()
    seen(f"six colours, worst difference {worst:.2f} levels of Y, U or V; {width}x{height} YU12")
    assert f"{width}/{height}" in output
    assert "YU12" in output
    assert worst <= 1

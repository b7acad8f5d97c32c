import contextlib
import errno
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.container import OutputContainer
from hypothesis import given, settings
from hypothesis import strategies as st

from frrcam.errors import SinkForbidden, SinkLost, SinkNotFound, SinkUnusable, SourceUnusable, UsageError
from frrcam.frame import Frame, Image
from frrcam.media.clip import Look
from frrcam.sinks.video import MUXERS, VideoSink
from tests.sinks.clips import gradient, read_clip, write_clip

FPS = 25.0


def send(sink: VideoSink, images: Sequence[Image], times: Sequence[float] | None = None) -> None:
    for index, image in enumerate(images):
        time = index / FPS if times is None else times[index]
        sink.send(sink.convert(image), Frame(image, index, time, "test"))


def write(path: Path, images: Sequence[Image], times: Sequence[float] | None = None, **options: Any) -> None:
    height, width = images[0].shape[:2]
    with VideoSink(path, width, height, options.pop("fps", FPS), **options) as sink:
        send(sink, images, times)


@pytest.mark.parametrize("suffix", MUXERS)
@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_count_size_rate_and_colours_survive(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    images = [gradient(*size, index) for index in range(12)]
    path = tmp_path / f"out{suffix}"
    write(path, images)
    clip = read_clip(path)
    assert len(clip.images) == 12
    assert clip.images[0].shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert clip.pixel_format == "yuv420p", "the only one that phones and browsers show"
    assert clip.rate == 25
    assert clip.colour == (6, 1), "tagged BT.601, limited range"
    assert clip.duration == pytest.approx(12 / 25, abs=0.002)
    for before, after in zip(images, clip.images, strict=True):
        assert np.abs(before.astype(int) - after[: size[1], : size[0]]).mean() < 3
        assert np.abs(after[: size[1], -1].astype(int) - after[: size[1], size[0] - 1]).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("colour", [(200, 50, 100), (0, 0, 255), (255, 255, 255), (0, 0, 0), (20, 220, 40)])
def test_flat_colours_survive_readers_that_follow_tags_and_those_that_do_not(
    tmp_path: Path, colour: tuple[int, int, int]
) -> None:
    path = tmp_path / "out.mp4"
    write(path, [np.full((48, 64, 3), colour, np.uint8)] * 3)
    capture = cv2.VideoCapture(str(path))
    done, naive = capture.read()
    capture.release()
    assert done
    for image in (naive, read_clip(path).images[0]):
        np.testing.assert_allclose(image[24, 32], colour, atol=3)


@pytest.mark.parametrize(
    "fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15), Fraction(60), Fraction(25, 2)]
)
def test_usual_rates_are_exact(tmp_path: Path, fps: Fraction) -> None:
    times = [float(index / fps) for index in range(9)]
    path = tmp_path / "out.mp4"
    write(path, [gradient(32, 32, index) for index in range(9)], times, fps=float(fps))
    clip = read_clip(path)
    assert clip.rate == fps
    assert clip.times == pytest.approx(times, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(gaps=st.lists(st.floats(0.002, 2.0), min_size=1, max_size=12))
def test_a_variable_rate_keeps_its_timing(gaps: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    times = [7.0, *(7.0 + np.cumsum(gaps))]
    path = tmp_path_factory.mktemp("vfr") / "out.mp4"
    write(path, [gradient(32, 32, index) for index in range(len(times))], times)
    clip = read_clip(path)
    assert clip.times == pytest.approx([time - 7.0 for time in times], abs=2e-5)
    assert clip.duration == pytest.approx(times[-1] - 7.0 + 1 / FPS, abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_equal_and_backward_times_lose_no_picture(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.04, 0.04, 0.08, 0.0, 0.04, 0.08]
    path = tmp_path / f"out{suffix}"
    write(path, [gradient(32, 32, index) for index in range(len(times))], times)
    clip = read_clip(path)
    assert len(clip.times) == len(times)
    assert all(later > earlier for earlier, later in zip(clip.times, clip.times[1:], strict=False))
    assert clip.times[5:] == pytest.approx([0.12, 0.16, 0.20], abs=0.002), "a clip played again goes on"


def test_mpeg4_where_x264_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write(path, [gradient(65, 49, index) for index in range(5)], x264=False)
    clip = read_clip(path)
    assert len(clip.images) == 5
    assert clip.images[0].shape == (50, 66, 3)


@pytest.mark.parametrize("suffix", MUXERS)
def test_sound_is_copied_packet_by_packet(tmp_path: Path, suffix: str) -> None:
    images = [gradient(64, 48, index) for index in range(25)]
    source, path = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    write_clip(source, images)
    write(path, images, audio_from=source)
    before, after = read_clip(source), read_clip(path)
    assert after.audio == before.audio
    assert after.times[0] - after.audio_start == pytest.approx(before.times[0] - before.audio_start, abs=0.001)
    assert len(after.images) == 25


def test_plain_samples_of_a_cameras_avi_go_into_an_mp4(tmp_path: Path) -> None:
    """AVI does not tell which channel is which, and MP4 asks for it when all pictures are written."""
    images = [gradient(64, 48, index) for index in range(5)]
    write_clip(tmp_path / "in.avi", images, audio_codec="pcm_s16le")
    write(tmp_path / "out.mp4", images, audio_from=tmp_path / "in.avi")
    assert read_clip(tmp_path / "out.mp4").audio == read_clip(tmp_path / "in.avi").audio
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].layout.name == "stereo"


def test_sound_stays_in_step_with_a_first_picture_that_comes_late(tmp_path: Path) -> None:
    images = [gradient(64, 48, index) for index in range(20)]
    source, path = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_clip(source, images, video_offset=5)
    write(path, images, audio_from=source)
    before, after = read_clip(source), read_clip(path)
    lead = before.times[0] - before.audio_start
    assert lead == pytest.approx(0.2, abs=0.05)
    assert after.times[0] - after.audio_start == pytest.approx(lead, abs=0.002)
    assert after.audio == before.audio


@pytest.mark.parametrize("suffix", MUXERS)
def test_how_pixels_are_shown_is_kept(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"out{suffix}", [gradient(64, 48)] * 3, look=Look(Fraction(64, 45), primaries=9, transfer=18))
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(64, 45)
        assert (stream.codec_context.color_primaries, stream.codec_context.color_trc) == (9, 18)


def test_a_clip_without_sound(tmp_path: Path) -> None:
    images = [gradient(64, 48)] * 3
    write_clip(tmp_path / "in.mp4", images, audio_codec=None)
    write(tmp_path / "out.mp4", images, audio_from=tmp_path / "in.mp4")
    assert read_clip(tmp_path / "out.mp4").audio == []


@pytest.mark.parametrize(("codec", "ending"), [("wmav2", "mp4"), ("flac", "mov")])
def test_sound_that_the_container_cannot_hold(tmp_path: Path, codec: str, ending: str) -> None:
    """The first is turned away as its stream is added, the second when the file is begun."""
    clip = tmp_path / ("in.avi" if codec == "wmav2" else "in.mkv")
    write_clip(clip, [gradient(64, 48)] * 3, audio_codec=codec)
    with pytest.raises(SinkUnusable, match=rf"cannot hold the sound .*{codec}.*\.mkv"):
        VideoSink(tmp_path / f"out.{ending}", 64, 48, FPS, audio_from=clip)
    assert list(tmp_path.iterdir()) == [clip]


def test_what_not_even_matroska_holds_is_reported_with_the_way_out(tmp_path: Path) -> None:
    write_clip(tmp_path / "in.wmv", [gradient(64, 48)] * 5, audio_codec="wmav2")
    with pytest.raises(
        SinkUnusable, match=r"\.mkv file cannot hold .*wmav2.*ffmpeg -i '.*in\.wmv' -c:v copy -c:a flac"
    ):
        VideoSink(tmp_path / "out.mkv", 64, 48, FPS, audio_from=tmp_path / "in.wmv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.wmv"]


def test_sound_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_text("no clip")
    with pytest.raises(SourceUnusable, match=r"in\.mp4"):
        VideoSink(tmp_path / "out.mp4", 64, 48, FPS, audio_from=tmp_path / "in.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_final_name_appears_only_when_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("what was there")
    sink = VideoSink(path, 64, 48, FPS)
    send(sink, [gradient(64, 48)] * 3)
    assert path.read_text() == "what was there"
    assert [part.name[:8] for part in tmp_path.glob("*.part")] == ["out.mp4."]
    sink.abort()
    sink.abort()
    sink.close()
    assert path.read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    with pytest.raises(SinkLost, match="closed"):
        send(sink, [gradient(64, 48)])


@pytest.mark.skipif(sys.platform == "win32", reason="needs a name with a colon")
def test_a_name_with_the_time_of_day_in_it(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        write(Path("18:05.mp4"), [gradient(64, 48)] * 3)
    assert [path.name for path in tmp_path.iterdir()] == ["18:05.mp4"]


def test_two_runs_onto_one_name_do_not_spoil_each_other(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    first, second = VideoSink(path, 64, 48, FPS), VideoSink(path, 64, 48, FPS)
    send(first, [gradient(64, 48)] * 3)
    send(second, [gradient(64, 48)] * 5)
    for sink, count in ((first, 3), (second, 5)):
        sink.close()
        with av.open(str(path)) as clip:
            assert sum(1 for _ in clip.decode(video=0)) == count
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_an_error_in_the_body_leaves_nothing(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 64, 48, FPS)
    send(sink, [gradient(64, 48)])
    with pytest.raises(KeyboardInterrupt), sink:
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_nothing_sent_leaves_nothing(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4", 64, 48, FPS).close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.txt", "out", "out.webm", "out.mp4.part"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov, \.mkv"):
        VideoSink(tmp_path / name, 64, 48, FPS)


@pytest.mark.parametrize(("width", "height", "fps"), [(0, 48, 25), (64, -1, 25), (64, 48, 0), (64, 48, float("nan"))])
def test_absurd_sizes_and_rates_are_refused(tmp_path: Path, width: int, height: int, fps: float) -> None:
    with pytest.raises(UsageError):
        VideoSink(tmp_path / "out.mp4", width, height, fps)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_and_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(SinkNotFound, match=r"missing: no such folder; make it first: mkdir -p"):
        VideoSink(tmp_path / "missing" / "out.mp4", 64, 48, FPS)
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(SinkUnusable, match="is a folder"):
        VideoSink(tmp_path / "out.mp4", 64, 48, FPS)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, SinkUnusable, "the disk is full"),
        (errno.EDQUOT, SinkUnusable, "the disk is full"),
        (errno.EROFS, SinkForbidden, "no permission"),
        (errno.EIO, SinkUnusable, "cannot be written"),
    ],
)
def test_what_the_system_refuses_is_typed(tmp_path: Path, number: int, kind: type[Exception], words: str) -> None:
    def refuse(path: str, muxer: str) -> OutputContainer:
        raise OSError(number, "refused", path)

    with pytest.raises(kind, match=words):
        VideoSink(tmp_path / "out.mp4", 64, 48, FPS, opener=refuse)
    assert not list(tmp_path.iterdir())


class FullDisk:
    """A file that takes `limit` bytes and no more."""

    def __init__(self, room: int) -> None:
        self._room, self._at = room, 0

    def write(self, data: bytes) -> int:
        if self._at + len(data) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset if whence == 0 else self._at + offset
        return self._at

    def tell(self) -> int:
        return self._at


@pytest.mark.parametrize("room", [1000, 40_000])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, room: int) -> None:
    def opener(path: str, muxer: str) -> OutputContainer:
        return av.open(FullDisk(room), "w", format=muxer)

    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(40)]
    with (
        pytest.raises(SinkUnusable, match="the disk is full"),
        VideoSink(tmp_path / "out.mp4", 128, 96, FPS, opener=opener) as sink,
    ):
        send(sink, noise)
    assert not list(tmp_path.iterdir())


FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from frrcam.errors import SinkUnusable
from frrcam.frame import Frame
from frrcam.sinks.video import VideoSink

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
random = np.random.default_rng(0)
try:
    with VideoSink(Path(sys.argv[1]), 320, 240, 25.0) as sink:
        for index in range(100):
            noise = random.integers(0, 256, (240, 320, 3), dtype=np.uint8)
            sink.send(sink.convert(noise), Frame(noise, index, index / 25, "test"))
except SinkUnusable as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_real_file_that_cannot_grow_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "out.mp4")], capture_output=True, text=True, timeout=60, check=True
    )
    assert "the disk is full" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_colours_of_every_matrix_survive(tmp_path: Path, matrix: int) -> None:
    before = gradient(96, 64)
    write(tmp_path / "out.mp4", [before] * 3, look=Look(matrix=matrix))
    clip = read_clip(tmp_path / "out.mp4")
    assert clip.colour == (matrix, 1)
    assert np.abs(clip.images[0].astype(int) - before).mean() < 2


@pytest.mark.parametrize("suffix", MUXERS)
def test_chapters_are_kept_on_the_clock_of_the_first_picture(tmp_path: Path, suffix: str) -> None:
    source, path = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    with av.open(str(source), "w") as container:
        times = ((0, 500, "one"), (500, 900, "two"))
        container.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (a, b, title) in enumerate(times)
            ]
        )
        stream = container.add_stream("libx264", 25, width=64, height=48)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    write(path, [gradient(64, 48)] * 25, audio_from=source, audio_start=Fraction(1, 10))
    with av.open(str(path)) as container:
        found = [
            (
                *(round(float(chapter[key] * (chapter["time_base"] or 0)), 3) for key in ("start", "end")),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]
    assert found == [(0.0, 0.4, "one"), (0.4, 0.8, "two")]

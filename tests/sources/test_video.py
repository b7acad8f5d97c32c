from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from frrcam.errors import SourceError, SourceForbidden, SourceLost, SourceNotFound, SourceUnusable
from frrcam.frame import Frame
from frrcam.sources.video import VideoSource
from tests.sources.clips import number_of, picture, write_clip, write_sound


def play(source: VideoSource) -> list[Frame]:
    frames = []
    while frame := source.read():
        frames.append(frame)
    return frames


def test_plays_every_picture_in_order(tmp_path: Path) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mp4")) as source:
        frames = play(source)
        assert source.read() is None
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 25 for i in range(10)])
    assert {frame.source for frame in frames} == {"clip.mp4"}


def test_says_what_it_is(tmp_path: Path) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mp4")) as source:
        info = source.info
        assert (info.name, info.width, info.height, info.fps) == ("clip.mp4", 96, 64, 25.0)
        assert (info.live, info.pixel_format, source.frames) == (False, "h264", 10)


def test_pictures_are_blue_green_red(tmp_path: Path) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mp4")) as source:
        image = play(source)[0].image
    assert image.dtype == np.uint8
    assert image.shape == (64, 96, 3)
    assert np.abs(image.astype(int) - picture(0)).mean() < 3


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_turned_clips_come_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mp4", 3, rotation=rotation)) as source:
        upright = np.rot90(picture(0), turns)
        assert (source.info.height, source.info.width) == upright.shape[:2]
        frame = source.read()
    assert frame is not None
    assert frame.image.flags.c_contiguous
    assert np.abs(frame.image.astype(int) - upright).mean() < 3


def test_variable_rates_stay_variable(tmp_path: Path) -> None:
    times = [0, 40, 80, 400, 440, 1000]
    with VideoSource(write_clip(tmp_path / "clip.mkv", 6, times=times)) as source:
        assert [frame.timestamp for frame in play(source)] == pytest.approx([time / 1000 for time in times], abs=0.002)


def test_loops_without_a_seam(tmp_path: Path) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mp4", 4), loop=True) as source:
        frames = [source.read() for _ in range(10)]
    played = [frame for frame in frames if frame is not None]
    assert [number_of(frame.image) for frame in played] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [frame.index for frame in played] == list(range(10))
    assert [frame.timestamp for frame in played] == pytest.approx([i / 25 for i in range(10)])


def test_a_clip_deleted_while_it_loops_is_not_found(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1)
    with VideoSource(path, loop=True) as source:
        source.read()
        path.unlink()
        with pytest.raises(SourceNotFound):
            source.read()
        source.close()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_truncated_clip_plays_as_far_as_it_goes(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, 60, noise=True, index_first=name.endswith("mp4"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoSource(path) as source, pytest.raises(SourceLost, match=r"breaks off after picture \d+") as caught:
        play(source)
    assert 15 < int(str(caught.value).split("picture ")[1].split(",")[0]) < 45


def test_a_damaged_stretch_costs_only_itself(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 60, noise=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    with VideoSource(path) as source:
        assert len(play(source)) >= 50


def test_a_length_that_is_none_is_no_fault(tmp_path: Path) -> None:
    """A tag, which a Matroska file has where others have an index, may say anything."""
    clip = write_clip(tmp_path / "clip.mkv", 5)
    data = clip.read_bytes()
    assert data.count(b"00:00:00.200000000") == 1
    for tag in (b"a fifth of a second", b"00:00:00,200000000", b"-1:-1:-1.200000000"):
        clip.write_bytes(data.replace(b"00:00:00.200000000", tag[:18]))
        with VideoSource(clip) as source:
            assert sum(1 for _ in iter(source.read, None)) == 5


def test_a_last_picture_that_is_held_for_long_is_no_missing_end(tmp_path: Path) -> None:
    with VideoSource(write_clip(tmp_path / "clip.mkv", 3, rate=Fraction(1, 5))) as source:
        assert [frame.timestamp for frame in play(source)] == pytest.approx([0, 5, 10])


@pytest.mark.parametrize("count", [5, 50])
def test_a_clock_that_starts_over_goes_on(tmp_path: Path, count: int) -> None:
    clip = write_clip(tmp_path / "clip.ts", count)
    clip.write_bytes(2 * clip.read_bytes())  # as recorders leave them that write two to one file
    with VideoSource(clip) as source:
        times = [frame.timestamp for frame in play(source)]
    assert len(times) > count
    assert times == sorted(times)
    if count > 25:
        assert times == pytest.approx([index / 25 for index in range(2 * count)])


def test_closes_once(tmp_path: Path) -> None:
    source = VideoSource(write_clip(tmp_path / "clip.mp4"))
    source.close()
    source.close()
    with pytest.raises(SourceLost, match="closed"):
        source.read()


def missing(folder: Path) -> Path:
    return folder / "nothing.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is no clip.\n" * 100)
    return folder / "text.mp4"


def headless(folder: Path) -> Path:
    """Cut before the index, which MP4 keeps at the end."""
    path = write_clip(folder / "cut.mp4", 30, noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def sound(folder: Path) -> Path:
    return write_sound(folder / "sound.m4a")


def tiny(folder: Path) -> Path:
    return write_clip(folder / "tiny.mp4", 2, size=(16, 16))


def secret(folder: Path) -> Path:
    path = write_clip(folder / "secret.mp4", 2)
    path.chmod(0)
    if readable_anyway(path):
        pytest.skip("root may read everything")
    return path


def readable_anyway(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except PermissionError:
        return False


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (missing, SourceNotFound, "no such file"),
        (empty, SourceUnusable, "empty"),
        (text, SourceUnusable, "not a clip"),
        (headless, SourceUnusable, "truncated"),
        (sound, SourceUnusable, "only sound"),
        (tiny, SourceUnusable, "16x16 pixels; each side must be 32 to 8192"),
        (secret, SourceForbidden, "chmod"),
        (lambda folder: folder, SourceUnusable, "a folder"),
        (lambda _: Path("/dev/null"), SourceUnusable, "a device"),
        (lambda folder: folder / ("x" * 5000), SourceNotFound, "cannot be opened"),
        (lambda _: Path("nul\0.mp4"), SourceNotFound, "cannot be opened"),
    ],
)
def test_says_in_one_line_what_is_wrong(
    tmp_path: Path, make: Callable[[Path], Path], kind: type[SourceError], says: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(kind, match=says) as caught:
        VideoSource(path)
    assert "\n" not in str(caught.value)


def test_exact_colours_have_no_bias(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1)
    with VideoSource(path) as quick, VideoSource(path, exact=True) as exact:
        bias = [play(source)[0].image.astype(int) - picture(0) for source in (quick, exact)]
    assert abs(bias[1].mean()) < 0.5 < abs(bias[0].mean())

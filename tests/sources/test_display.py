"""How clips are shown: display matrices, YUV matrices, and which stream is the film."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from frrcam.errors import SourceUnusable
from frrcam.frame import Image
from frrcam.sources.video import VideoSource
from tests.sources.clips import write_clip, write_sound

ONE = 65536


def quarters(width: int = 96, height: int = 64) -> Image:
    """BGR: four colours, so that no two of the eight orientations look the same."""
    image = np.zeros((height, width, 3), np.uint8)
    y, x = height // 2, width // 2
    image[:y, :x], image[:y, x:], image[y:, :x], image[y:, x:] = (40, 60, 200), (60, 180, 60), (200, 80, 40), (250,) * 3
    return image


def clip(path: Path, matrix: tuple[int, ...] | None = None, image: Image | None = None) -> Path:
    """Three untagged pictures, whose YUV values are BT.601's."""
    image = quarters() if image is None else image
    with av.open(str(path), "w") as container:
        height, width = image.shape[:2]
        stream = container.add_stream("libx264", 25, width=width, height=height, options={"crf": "1"})
        stream.set_display_matrix(matrix)
        for index in range(3):
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first(path: Path) -> Image:
    with VideoSource(path, exact=True) as source:
        frame = source.read()
    assert frame is not None
    assert frame.image.flags.c_contiguous
    return frame.image


def shown(image: Image, a: int, b: int, c: int, d: int) -> Image:
    """ISO 14496-12's own words, pixel by pixel: (x, y) is shown at (a·x + c·y, b·x + d·y)."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    to_x, to_y = a * x + c * y, b * x + d * y
    result = np.zeros((np.ptp(to_y) + 1, np.ptp(to_x) + 1, 3), np.uint8)
    result[to_y - to_y.min(), to_x - to_x.min()] = image
    return result


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize(("one", "two"), [*product((1, -1), repeat=2)])
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_every_orientation_comes_upright(tmp_path: Path, diagonal: bool, one: int, two: int, ending: str) -> None:
    a, b, c, d = (one, 0, 0, two) if diagonal else (0, one, two, 0)
    matrix = (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    image = first(clip(tmp_path / f"clip.{ending}", matrix))
    expected = shown(quarters(), a, b, c, d)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(("degrees", "turns"), [(10, 0), (80, 1), (-100, 3), (190, 2)])
def test_an_angle_between_is_rounded(tmp_path: Path, degrees: int, turns: int) -> None:
    image = first(write_clip(tmp_path / "clip.mp4", 1, rotation=degrees))
    upright = np.rot90(first(write_clip(tmp_path / "plain.mp4", 1)), turns)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(("lines", "matrix"), [(64, 6), (576, 6), (578, 1), (720, 1)])
def test_an_untagged_clip_has_the_matrix_that_players_take(tmp_path: Path, lines: int, matrix: int) -> None:
    path = clip(tmp_path / "clip.mp4", image=quarters(64, lines))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.colorspace == 2
        frame.colorspace = matrix
        expected = frame.reformat(format="bgr24").to_ndarray()
    away = np.abs(first(path).astype(int) - expected)
    assert np.percentile(away, 90) <= 2, "but for the edges, which are interpolated otherwise"
    with VideoSource(path) as source:
        assert source.look.matrix == matrix


def with_cover(path: Path, *, film: bool, disposition: Disposition = Disposition.attached_pic) -> Path:
    """A red still before a grey film, or before sound alone."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", 1, width=64, height=64, pix_fmt="yuvj420p")
        cover.disposition = disposition
        streams = [container.add_stream("libx264", 25, width=96, height=64)] if film else []
        sound = container.add_stream("aac", 16000, layout="mono")
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), (0, 0, 255), np.uint8), "bgr24")))
        container.mux(cover.encode(None))
        for stream in streams:
            for index in range(5):
                frame = av.VideoFrame.from_ndarray(quarters(), "bgr24").reformat(format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = 16000, 0
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


STILLS = [Disposition.attached_pic, Disposition.still_image, Disposition.timed_thumbnails]


@pytest.mark.parametrize("disposition", STILLS)
def test_the_film_behind_a_still_is_the_film(tmp_path: Path, disposition: Disposition) -> None:
    path = with_cover(tmp_path / "clip.mkv", film=True, disposition=disposition)
    with av.open(str(path)) as container:
        if not container.streams.video[0].disposition & disposition:
            pytest.skip("Matroska does not hold this mark")
    with VideoSource(path) as source:
        assert (source.info.width, source.info.height) == (96, 64)
        assert sum(1 for _ in iter(source.read, None)) == 5
        assert source.lost == ["its cover picture is left out"]


def test_sound_with_a_cover_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match=r"no moving picture.*cover"):
        VideoSource(with_cover(tmp_path / "song.mp4", film=False))
    with pytest.raises(SourceUnusable, match="only sound"):
        VideoSource(write_sound(tmp_path / "plain.m4a"))


def test_a_second_film_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = [container.add_stream("libx264", 25, width=size, height=64) for size in (96, 64)]
        for stream in streams:
            container.mux(stream.encode(av.VideoFrame(stream.width, 64, "yuv420p")))
            container.mux(stream.encode(None))
    with VideoSource(tmp_path / "two.mkv") as source:
        assert source.info.width == 96
        assert source.lost == ["its second video stream is left out"]

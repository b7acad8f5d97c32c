"""`enhance` end to end, with a fake detector and restorer, on pictures and clips made here."""

import json
import re
import signal
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console
from typer.testing import CliRunner

from frrcam.cli import app
from frrcam.config import Settings, load_settings
from frrcam.enhance import Bar, EnhanceOptions, Networks, Report, Silent, enhance
from frrcam.enhance.jobs import plan_jobs
from frrcam.enhance.run import Enhancer
from frrcam.errors import (
    SinkForbidden,
    SinkNotFound,
    SinkUnusable,
    SourceLost,
    SourceNotFound,
    SourceUnusable,
    UsageError,
)
from frrcam.faces.alignment import TEMPLATE, invert, similarity
from frrcam.faces.detector import FakeDetector
from frrcam.faces.types import Detection
from frrcam.frame import Frame, Image
from frrcam.restore.types import FakeRestorer, Restored
from frrcam.sources.demo import DemoSource
from tests.disk import full_disk

WIDTH, HEIGHT = 160, 128
CENTRE, SIDE = (80.0, 64.0), 100.0
POINTS = ((TEMPLATE - 0.5) * SIDE + CENTRE).astype(np.float32)
FACE = Detection((50.0, 34.0, 110.0, 94.0), 0.9, POINTS)


class Interrupted(FakeRestorer):
    """The process gets a signal while the network runs for the n-th time: Ctrl-C, or SIGTERM."""

    def __init__(self, after: int, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.after, self.number = after, number

    def restore(self, crops: list[Image]) -> Restored:
        if self.calls == self.after:
            signal.raise_signal(self.number)
        return super().restore(crops)


class Recorder(Silent):
    """Remembers its calls."""

    def __init__(self) -> None:
        self.files: list[tuple[str, int | None]] = []
        self.frames = self.closed = 0

    def begin(self, source: Path, frames: int | None) -> None:
        self.files.append((source.name, frames))

    def advance(self) -> None:
        self.frames += 1

    def close(self) -> None:
        self.closed += 1


def run(
    source: Path | Sequence[Path],
    target: str | Path,
    *,
    restorer: FakeRestorer | None = None,
    detector: FakeDetector | None = None,
    shown: Silent | None = None,
    said: list[str] | None = None,
    strength: float = 1.0,
    compare: bool = False,
    recursive: bool = False,
    **more: Any,
) -> Report:
    networks = Networks(detector or FakeDetector([FACE]), restorer or FakeRestorer())
    settings = Settings(restore={"strength": strength, "max_faces": 16}, light={"preset": "repair"})
    options = EnhanceOptions(compare, recursive, **more)
    return enhance(
        [source] if isinstance(source, Path) else source,
        target,
        settings,
        options,
        (said if said is not None else []).append,
        load=lambda settings, say: networks,
        monitor=lambda: shown or Silent(),
    )


def scene(shift: int = 0) -> Image:
    """A soft picture (noise, blurred) that optical flow can hold on to."""
    noise = np.random.default_rng(7).integers(40, 180, (HEIGHT + 8, WIDTH + 8, 3), dtype=np.uint8)
    return np.asarray(
        cv2.GaussianBlur(noise, (0, 0), 3)[shift : shift + HEIGHT, shift : shift + WIDTH], np.uint8
    ).copy()


def write(path: Path, image: NDArray[np.uint8]) -> Path:
    _, data = cv2.imencode(path.suffix, image)
    path.write_bytes(data.tobytes())
    return path


def write_clip(
    path: Path,
    times: Sequence[int] = range(12),
    rate: int = 25,
    *,
    sound: bool = False,
    rotation: int = 0,
    pixel_aspect: Fraction = Fraction(1),
    codec: str = "mpeg4",
    gop: int = 12,
    hdr: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """A clip whose pictures are shown at `times` (in units of 1/rate s), with a tone of the same length."""
    with av.open(str(path), "w", container_options={"movflags": "use_metadata_tags"} if tags else {}) as container:
        container.metadata.update(tags or {})
        video = container.add_stream(codec, rate, options={"qscale": "2"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, rate)
        video.codec_context.sample_aspect_ratio = pixel_aspect
        video.codec_context.gop_size = gop
        if hdr:
            video.codec_context.color_primaries, video.codec_context.color_trc = 9, 18
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream("aac", 16000) if sound else None
        if audio:
            audio.metadata["language"] = "fra"
        for time in times:
            frame = av.VideoFrame.from_ndarray(scene(), format="bgr24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            tone = np.sin(np.arange(16000 * max(times) // rate) * 0.2).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts = 16000, start
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def read_clip(path: Path) -> tuple[list[Image], list[float], Fraction | None]:
    """Pictures, their times in seconds, the rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [float(frame.pts * frame.time_base) for frame in frames]
        return [frame.to_ndarray(format="bgr24") for frame in frames], times, stream.average_rate


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path), metadata_errors="replace") as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def nothing_but(folder: Path, names: Iterable[str]) -> bool:
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(names)


def covered(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels that the fake's disc can reach, with a pixel to spare."""
    axis = np.linspace(-1, 1, 64, dtype=np.float32)
    disc = ((axis[:, None] ** 2 + axis**2) < 0.55).astype(np.float32)
    affine = invert(similarity(POINTS, 64))
    return np.asarray(cv2.warpAffine(disc, affine, (shape[1], shape[0]), flags=cv2.INTER_LINEAR) > 0)


def test_a_picture_is_enhanced_in_full_and_equals_the_input_outside_the_mask(tmp_path: Path) -> None:
    before = scene()
    said: list[str] = []
    report = run(write(tmp_path / "in.png", before), tmp_path / "out.png", said=said)
    after = cv2.imread(str(tmp_path / "out.png"))
    assert after is not None
    outside = ~covered(before.shape)
    np.testing.assert_array_equal(after[outside], before[outside])
    centre = np.s_[56:72, 72:88]
    assert np.abs(after[centre].astype(float) - before[centre]).mean() > 10
    assert (report.failed, report.files[0].frames, report.files[0].faces) == (0, 1, 1)
    assert said == [f"{tmp_path / 'out.png'}: 1 picture, 1 face"]


def test_a_doubtful_face_in_a_picture_is_enhanced_too(tmp_path: Path) -> None:
    before = scene()
    doubtful = FakeDetector([Detection(FACE.box, 0.55, POINTS)])
    run(write(tmp_path / "in.png", before), tmp_path / "out.png", detector=doubtful)
    after = cv2.imread(str(tmp_path / "out.png"))
    assert after is not None
    assert gain_of(after, before) > 10


@pytest.mark.parametrize("folder", [False, True])
def test_of_several_pictures_in_a_file_it_is_said_that_only_the_first_is_taken(tmp_path: Path, folder: bool) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    assert cv2.imwritemulti(str(source / "pages.tif"), [scene(), scene(4), scene(8)])
    write(source / "one.png", scene())
    said = list[str]()
    report = run(source, target, said=said) if folder else run(source / "pages.tif", target / "pages.tif", said=said)
    assert said[0] == f"{source / 'pages.tif'} holds 3 pictures; only the first is in {target / 'pages.tif'}"
    assert len(said) == 2
    assert [file["left_out"] for file in report.as_json()["files"]] == ([0, 2] if folder else [2])


def test_strength_scales_the_change(tmp_path: Path) -> None:
    before = scene()
    run(write(tmp_path / "in.png", before), tmp_path / "out.png", strength=0.5)
    after = cv2.imread(str(tmp_path / "out.png"))
    assert after is not None
    run(tmp_path / "in.png", tmp_path / "full.png")
    full = cv2.imread(str(tmp_path / "full.png"))
    assert full is not None
    assert gain_of(after, before) == pytest.approx(gain_of(full, before) / 2, rel=0.1)


def test_a_picture_without_faces_is_copied_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    run(write(tmp_path / "in.png", scene()), tmp_path / "out.png", detector=FakeDetector([]), said=said)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "in.png").read_bytes()
    assert said == [f"{tmp_path / 'out.png'}: 1 picture, no faces; unchanged, a copy"]


def test_compare_puts_before_and_after_side_by_side(tmp_path: Path) -> None:
    before = scene()
    run(write(tmp_path / "in.png", before), tmp_path / "out.png", compare=True)
    both = cv2.imread(str(tmp_path / "out.png"))
    assert both is not None
    assert both.shape == (HEIGHT, 2 * WIDTH, 3)
    np.testing.assert_array_equal(both[:, :WIDTH], before)
    assert both[64, WIDTH + 80].astype(int).sum() > before[64, 80].astype(int).sum() + 60


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".webp", ".bmp", ".tiff", ".png"])
def test_the_ending_of_the_output_is_its_format(tmp_path: Path, ending: str, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / f"out{ending}"
    run(write(tmp_path / "in.png", scene()), target)
    magic = {
        ".jpg": b"\xff\xd8",
        ".jpeg": b"\xff\xd8",
        ".webp": b"RIFF",
        ".bmp": b"BM",
        ".tiff": b"II",
        ".png": b"\x89P",
    }
    assert target.read_bytes().startswith(magic[ending.lower()])
    assert capfd.readouterr() == ("", ""), "OpenCV has something to say"


def test_transparency_is_kept_where_the_format_has_it(tmp_path: Path) -> None:
    alpha = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
    source = write(tmp_path / "in.png", np.dstack((scene(), alpha)))
    run(source, tmp_path / "out.png")
    after = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert after is not None
    np.testing.assert_array_equal(after[..., 3], alpha)
    run(source, tmp_path / "out.jpg")
    assert cv2.imread(str(tmp_path / "out.jpg"), cv2.IMREAD_UNCHANGED).shape == (HEIGHT, WIDTH, 3)
    run(source, tmp_path / "both.png", compare=True)
    assert cv2.imread(str(tmp_path / "both.png"), cv2.IMREAD_UNCHANGED).shape == (HEIGHT, 2 * WIDTH, 4)


@pytest.mark.skipif(not hasattr(cv2, "imdecodeWithMetadata"), reason="this OpenCV tells no profile")
def test_a_colour_profile_is_kept(tmp_path: Path) -> None:
    from PIL import ImageCms  # scikit-image brings it

    profile = np.frombuffer(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), np.uint8)
    _, data = cv2.imencodeWithMetadata(".jpg", scene(), [cv2.IMAGE_METADATA_ICCP], [profile])
    (tmp_path / "in.jpg").write_bytes(data.tobytes())
    for name in ("out.jpg", "out.png", "out.webp"):
        run(tmp_path / "in.jpg", tmp_path / name)
        kinds, chunks = cv2.imreadWithMetadata(str(tmp_path / name), flags=cv2.IMREAD_COLOR)[1:]
        assert bytes(dict(zip(kinds, chunks, strict=True))[cv2.IMAGE_METADATA_ICCP].ravel()) == profile.tobytes()


@pytest.mark.skipif(not hasattr(cv2, "imdecodeWithMetadata"), reason="this OpenCV tells no EXIF")
@pytest.mark.parametrize("compare", [False, True])
def test_when_a_picture_was_taken_is_kept_and_its_turn_is_not(tmp_path: Path, compare: bool) -> None:
    turned = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0) + b"2024:05:06"
    _, data = cv2.imencodeWithMetadata(".jpg", scene(), [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(turned, np.uint8)])
    (tmp_path / "in.jpg").write_bytes(data.tobytes())
    for name in ("out.jpg", "out.png", "out.webp"):
        run(tmp_path / "in.jpg", tmp_path / name, compare=compare)
        after, kinds, chunks = cv2.imreadWithMetadata(str(tmp_path / name), flags=cv2.IMREAD_COLOR)
        kept = bytes(dict(zip(kinds, chunks, strict=True))[cv2.IMAGE_METADATA_EXIF].ravel())
        assert kept == turned.replace(b"\0\x06\0\0", b"\0\x01\0\0")
        assert after.shape[:2] == (WIDTH, HEIGHT * (1 + compare))


@pytest.mark.skipif(not hasattr(cv2, "imdecodeWithMetadata"), reason="this OpenCV tells no EXIF")
def test_notes_too_long_for_a_jpeg_cost_neither_picture_nor_profile(tmp_path: Path) -> None:
    long = b"MM\0*\0\0\0\x08" + struct.pack(">HI", 0, 0) + bytes(70_000)
    profile = np.frombuffer(bytes(16) + b"RGB " + bytes(108), np.uint8)
    kinds = [cv2.IMAGE_METADATA_ICCP, cv2.IMAGE_METADATA_EXIF]
    _, data = cv2.imencodeWithMetadata(".webp", scene(), kinds, [profile, np.frombuffer(long, np.uint8)])
    (tmp_path / "in.webp").write_bytes(data.tobytes())
    run(tmp_path / "in.webp", tmp_path / "out.jpg")
    kinds = cv2.imreadWithMetadata(str(tmp_path / "out.jpg"), flags=cv2.IMREAD_COLOR)[1]
    assert list(kinds) == [cv2.IMAGE_METADATA_ICCP]


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_transparency_in_sixteen_bits_is_kept(tmp_path: Path, ending: str) -> None:
    alpha = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
    noise = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint16)
    before = np.dstack((scene(), alpha)).astype(np.uint16) * 256 + noise
    _, data = cv2.imencode(ending, before)
    (tmp_path / f"in{ending}").write_bytes(data.tobytes())
    run(tmp_path / f"in{ending}", tmp_path / "out.png")
    after = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert after is not None
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    outside = ~covered((HEIGHT, WIDTH))
    np.testing.assert_array_equal(after[outside], before[outside])
    assert after[64, 80, 1] > before[64, 80, 1] + 20 * 257


def test_transparency_is_turned_with_its_picture(tmp_path: Path) -> None:
    alpha = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
    source = write(tmp_path / "in.png", np.dstack((scene(), alpha)))
    turned = b"eXIfMM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 3, 0, 0)
    chunk = struct.pack(">I", len(turned) - 4) + turned + struct.pack(">I", zlib.crc32(turned))
    data = source.read_bytes()
    source.write_bytes(data[:33] + chunk + data[33:])
    run(source, tmp_path / "out.png")
    after = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert after is not None
    np.testing.assert_array_equal(after[..., 3], alpha[::-1, ::-1])


@pytest.mark.skipif(not hasattr(cv2, "imdecodeWithMetadata"), reason="this OpenCV tells no profile")
@pytest.mark.parametrize("kept", [True, False])
def test_only_a_profile_of_the_same_colours_is_kept(tmp_path: Path, kept: bool) -> None:
    profile = np.frombuffer(bytes(16) + b"GRAY" + bytes(108), np.uint8)
    pixels = scene()[..., 0] if kept else scene()
    _, data = cv2.imencodeWithMetadata(".jpg", pixels, [cv2.IMAGE_METADATA_ICCP], [profile])
    (tmp_path / "in.jpg").write_bytes(data.tobytes())
    run(tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert b"GRAY" in data.tobytes()
    assert (b"GRAY" in (tmp_path / "out.jpg").read_bytes()) == kept


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_phones_picture_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    """The EXIF orientation goes into the pixels and is not there twice."""
    turns = {3: 2, 6: 3}[orientation]
    picture = write(tmp_path / "plain.jpg", scene()).read_bytes()
    tags = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00%c\x00\x00\x00\x00\x00\x00" % orientation
    )
    exif = b"Exif\x00\x00" + tags
    source = tmp_path / "in.jpg"
    source.write_bytes(picture[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + picture[2:])
    run(source, tmp_path / "out.png", detector=FakeDetector([]))
    plain = cv2.imread(str(tmp_path / "plain.jpg"))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png")), np.rot90(plain, turns))


def test_a_clip_keeps_frames_size_rate_and_sound(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", range(30), sound=True)
    shown = Recorder()
    restorer = FakeRestorer()
    report = run(source, tmp_path / "out.mp4", shown=shown, restorer=restorer)
    before, times_before, rate_before = read_clip(source)
    after, times_after, rate_after = read_clip(tmp_path / "out.mp4")
    assert len(after) == len(before) == 30
    assert after[0].shape == before[0].shape
    assert rate_after == rate_before == 25
    np.testing.assert_allclose(times_after, times_before, atol=1e-3)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)
    assert len(sound_of(source)) > 10
    assert (shown.files, shown.frames, shown.closed) == ([("in.mp4", 30)], 30, 1)
    assert report.files[0].frames == 30
    assert restorer.calls >= 30
    assert nothing_but(tmp_path, ["in.mp4", "out.mp4"])


def test_the_first_frame_of_a_clip_is_enhanced_as_much_as_the_last(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    run(source, tmp_path / "out.mp4")
    before, after = read_clip(source)[0], read_clip(tmp_path / "out.mp4")[0]
    gains = [gain_of(b, a) for a, b in zip(before, after, strict=True)]
    assert min(gains) > 0.8 * max(gains)
    assert max(gains) > 8


def gain_of(after: Image, before: Image) -> float:
    """Mean change of the face, in levels."""
    centre = np.s_[56:72, 72:88]
    return float(np.abs(after[centre].astype(float) - before[centre]).mean())


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=4), st.sampled_from([0.55, 0.9]))
def test_every_picture_is_enhanced_in_full_however_far_apart_they_are(gaps: list[float], score: float) -> None:
    networks = Networks(FakeDetector([Detection(FACE.box, score, POINTS)]), FakeRestorer())
    enhancer, before = Enhancer(networks, Settings(light={"preset": "repair"})), scene()
    for index, time in enumerate(accumulate([0.0, *gaps])):
        assert gain_of(enhancer.enhance(Frame(before, index, time, "slow")), before) > 10


def test_a_clip_of_a_picture_every_two_seconds_is_enhanced(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", range(0, 250, 50))
    run(source, tmp_path / "out.mkv")
    before, after = read_clip(source)[0], read_clip(tmp_path / "out.mkv")[0]
    gains = [gain_of(one, other) for one, other in zip(after, before, strict=True)]
    assert len(gains) == 5
    assert min(gains) > 0.8 * max(gains)
    assert max(gains) > 8


@pytest.mark.parametrize(
    ("flags", "setting", "faces"),
    [({}, None, 20), ({}, "1", 1), ({"max_faces": 2}, "1", 2), ({"max_faces": 16}, None, 16), ({}, "4", 4)],
)
def test_all_faces_are_enhanced_unless_a_setting_says_how_many(
    environment: MutableMapping[str, str], flags: dict[str, int], setting: str | None, faces: int
) -> None:
    if setting:
        environment["FRRCAM_RESTORE__MAX_FACES"] = setting
    corners = [(100.0 * column, 100.0 * row) for row in range(4) for column in range(5)]
    crowd = [Detection((x, y, x + 60, y + 60), 0.9, (TEMPLATE * 60 + (x, y)).astype(np.float32)) for x, y in corners]
    settings = load_settings({"restore": {"strength": 0.5, **flags}})
    enhancer = Enhancer(Networks(FakeDetector(crowd), FakeRestorer()), settings)
    enhancer.enhance(Frame(np.asarray(cv2.resize(scene(), (500, 400)), np.uint8), 0, 0.0, "crowd"))
    assert enhancer.faces == faces


def test_a_clip_of_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 1, 2, 6, 7, 15, 16, 17, 40]
    source = write_clip(tmp_path / "in.mp4", times)
    run(source, tmp_path / "out.mp4")
    np.testing.assert_allclose(read_clip(tmp_path / "out.mp4")[1], np.array(times) / 25, atol=1e-3)


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_turned_clip_comes_out_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    run(write_clip(tmp_path / "in.mp4", rotation=rotation), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    upright = np.rot90(scene(), turns)
    assert frame.rotation == 0
    assert (frame.height, frame.width) == upright.shape[:2]
    away = np.abs(frame.to_ndarray(format="bgr24").astype(float) - upright)
    assert away[~covered(upright.shape[:2])].mean() < 6


@pytest.mark.parametrize("rotation", [0, 90])
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, rotation: int) -> None:
    source = write_clip(tmp_path / "in.mp4", rotation=rotation, pixel_aspect=Fraction(4, 3))
    run(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    assert aspect == (Fraction(3, 4) if rotation else Fraction(4, 3))


def test_colours_of_hdr_are_expected_lines_as_such(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", codec="libx264", hdr=True)
    run(source, tmp_path / "out.mp4", detector=FakeDetector([]))
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc) == (ColorPrimaries.BT2020, ColorTrc.ARIB_STD_B67)


PLACE = "+48.8577+002.2950/"
TAKEN = "2023-07-14T18:30:05.000000Z"
CAMERA = {"make": "Apple", "model": "iPhone 13"}


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("phone", ["com.apple.quicktime.location.ISO6709", "location"])
def test_when_where_and_with_what_a_clip_was_taken_is_kept(tmp_path: Path, phone: str, ending: str) -> None:
    prefix = phone.removesuffix("location.ISO6709").removesuffix("location")
    tags = {phone: PLACE, "creation_time": TAKEN, "timecode": "01:00:00:00", "x-of-theirs": "no"}
    tags |= {f"{prefix}{name}": text for name, text in CAMERA.items()}
    source = write_clip(tmp_path / "in.mov", sound=True, tags=tags)
    run(source, tmp_path / f"middle{ending}")
    run(tmp_path / f"middle{ending}", tmp_path / f"out{ending}")
    with av.open(str(tmp_path / f"out{ending}")) as container:
        metadata = {name.lower(): text for name, text in container.metadata.items()}
        sound = container.streams.audio[0].metadata
        assert len(container.streams) == 2
    assert metadata["creation_time"] == TAKEN
    assert metadata["location"].startswith(PLACE[:-1])
    assert ending == ".mp4" or CAMERA.items() <= metadata.items()
    assert "x-of-theirs" not in metadata
    assert sound["language"] == "fra"


def test_a_clip_whose_title_is_not_utf8_is_a_clip(tmp_path: Path) -> None:
    """As programs of Windows wrote it."""
    source = write_clip(tmp_path / "in.avi", sound=True, tags={"title": "Cafe au lait"})
    source.write_bytes(source.read_bytes().replace(b"Cafe au", "Café au".encode("latin-1")))
    run(source, tmp_path / "out.mp4")
    assert len(read_clip(tmp_path / "out.mp4")[0]) == 12
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)


SUBTITLES = """1
00:00:00,000 --> 00:00:00,400
Hello
"""


@pytest.mark.parametrize(
    ("codec", "pixels", "options", "expected_lines"),
    [
        ("ffv1", "yuv420p", {}, []),
        ("ffv1", "yuv420p10le", {}, ["its 10 bits a colour become 8"]),
        ("libx264", "yuv420p10le", {"color_trc": "18"}, ["its 10 bits a colour become 8, in which HDR may show steps"]),
        ("libx264", "yuv420p", {"flags": "+ildct", "x264-params": "tff=1"}, ["it is interlaced, .* -vf bwdif .*"]),
    ],
)
@pytest.mark.parametrize("subtitled", [False, True])
def test_what_a_clip_loses_is_said_before_it_does(
    tmp_path: Path, codec: str, pixels: str, options: dict[str, str], expected_lines: list[str], subtitled: bool
) -> None:
    source, words = tmp_path / "in.mkv", tmp_path / "in.srt"
    words.write_text(SUBTITLES)
    with av.open(str(source), "w") as container, av.open(str(words)) as script:
        video = container.add_stream(codec, 25, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pixels
        text = container.add_stream_from_template(script.streams.subtitles[0]) if subtitled else None
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene(), format="bgr24")))
        container.mux(video.encode(None))
        for packet in script.demux() if text else ():
            if packet.size:
                packet.stream = text
                container.mux(packet)
    said = list[str]()
    run(source, tmp_path / "out.mkv", detector=FakeDetector([]), said=said)
    assert len(said) == len(expected_lines) + subtitled + 1
    for line, expected in zip(said, [*expected_lines, *["its subtitles are left out"] * subtitled], strict=False):
        assert re.fullmatch(re.escape(f"{source}: ") + expected, line)


def test_sound_that_ffmpeg_does_not_know_is_left_out(tmp_path: Path) -> None:
    """As phones' spatial sound, beside a plain one."""
    source = write_clip(tmp_path / "in.mp4", range(50), sound=True, codec="libx264")
    source.write_bytes(source.read_bytes().replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    run(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def sound_times(path: Path) -> dict[bytes, float]:
    """When each packet of the sound is heard, in seconds from the first picture."""
    with av.open(str(path)) as container:
        first = float(next(container.decode(video=0)).time)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size and packet.pts is not None]
        header = 7 if path.suffix == ".ts" else 0  # before each
        return {bytes(packet)[header:]: float(packet.pts * packet.time_base) - first for packet in packets}


def test_the_sound_of_a_clip_whose_beginning_was_cut_off_stays_in_step(tmp_path: Path) -> None:
    """As of every recording of a broadcast: it begins between two pictures that stand by themselves."""
    clip = write_clip(tmp_path / "in.ts", range(100), sound=True, codec="mpeg2video", gop=50)
    packets = clip.read_bytes()
    clip.write_bytes(packets[: 3 * 188] + packets[len(packets) // 188 // 8 * 188 :])
    run(clip, tmp_path / "out.mkv")
    before, after = sound_times(clip), sound_times(tmp_path / "out.mkv")
    assert len(read_clip(tmp_path / "out.mkv")[0]) == 50
    assert len(before.keys() & after.keys()) > 30
    for packet in before.keys() & after.keys():
        assert after[packet] == pytest.approx(before[packet], abs=0.002)


def test_two_recordings_joined_are_one_after_the_other(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.ts", range(50), sound=True)
    sound = len(sound_of(clip))
    clip.write_bytes(2 * clip.read_bytes())
    run(clip, tmp_path / "out.mp4")
    _, times, _ = read_clip(tmp_path / "out.mp4")
    assert times == pytest.approx([index / 25 for index in range(100)], abs=0.002)
    assert len(sound_of(tmp_path / "out.mp4")) == 2 * sound


def test_compare_doubles_the_width_of_a_clip(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    run(source, tmp_path / "out.mp4", compare=True)
    frames = read_clip(tmp_path / "out.mp4")[0]
    assert len(frames) == 12
    assert frames[0].shape == (HEIGHT, 2 * WIDTH, 3)
    centre, beside = np.s_[56:72, 72:88], np.s_[56:72, WIDTH + 72 : WIDTH + 88]
    assert float(np.abs(frames[-1][beside].astype(float) - frames[-1][centre]).mean()) > 8


ENDINGS: list[tuple[int, type[BaseException]]] = [
    (signal.SIGINT, KeyboardInterrupt),
    (signal.SIGTERM, SystemExit),
    *([(signal.SIGHUP, SystemExit)] if hasattr(signal, "SIGHUP") else []),
]


@pytest.mark.parametrize(("number", "end"), ENDINGS)
@pytest.mark.parametrize("name", ["clip.mp4", "picture.png"])
def test_an_interrupt_leaves_nothing(tmp_path: Path, name: str, number: int, end: type[BaseException]) -> None:
    source = tmp_path / "in" / name
    source.parent.mkdir()
    if name.endswith("png"):
        write(source, scene())
    else:
        write_clip(source)
    shown, before = Recorder(), signal.getsignal(number)
    restorer = Interrupted(1 if name.endswith("png") else 5, number)
    with pytest.raises(end):
        run(source, tmp_path / name, restorer=restorer, shown=shown)
    assert nothing_but(tmp_path, [name])
    assert shown.closed == 1
    assert signal.getsignal(number) == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal that hangs up")
def test_what_nohup_started_outlives_its_terminal(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        report = run(write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", restorer=Interrupted(5, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert report.files[0].frames == 12


def test_a_failure_keeps_the_older_output(tmp_path: Path) -> None:
    source, target = write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    target.write_bytes(b"from last week")
    with pytest.raises(KeyboardInterrupt):
        run(source, target, restorer=Interrupted(after=6))
    assert target.read_bytes() == b"from last week"
    run(source, target)
    assert len(read_clip(target)[0]) == 12
    assert nothing_but(tmp_path, ["in.mp4", "out.mp4"])


def test_a_truncated_clip_fails_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", range(60))
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    with pytest.raises((SourceLost, SourceUnusable)):
        run(source, tmp_path / "out.mp4")
    assert nothing_but(tmp_path, ["in.mkv"])


def test_a_folder_goes_on_past_bad_files(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(source / "a.png", scene())
    (source / "b.jpg").write_bytes(b"")
    (source / "c.mp4").write_text("this is no clip")
    write_clip(source / "d.mp4")
    (source / "notes.txt").write_text("not for us")
    (source / ".hidden.png").write_bytes(b"nor this")
    said: list[str] = []
    report = run(source, target, said=said)
    assert nothing_but(target, ["a.png", "d.mp4"])
    assert [file.source.name for file in report.files if file.error] == ["b.jpg", "c.mp4"]
    assert report.failed == 2
    assert len(said) == 4
    assert said[0] == "passed over: 1 file of other kinds (.txt)"
    assert said[1].startswith(f"error: {source / 'b.jpg'}")
    assert said[2].startswith(f"error: {source / 'c.mp4'}")
    assert said[3] == f"{target}: 2 files enhanced, 2 failed"
    as_json = report.as_json()
    assert (as_json["done"], as_json["failed"], len(as_json["files"])) == (2, 2, 4)


def test_a_phones_heic_is_refused_and_no_clip_of_its_first_tile(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write(source / "a.png", scene())
    write_clip(tmp_path / "tiles.mp4").rename(source / "b.heic")  # which FFmpeg would play
    said: list[str] = []
    report = run(source, tmp_path / "out", said=said)
    assert nothing_but(tmp_path / "out", ["a.png"])
    assert report.failed == 1
    assert said[0].startswith(f"error: {source / 'b.heic'}: not a picture that can be decoded (JPEG, ")


def test_a_folder_goes_on_past_a_network_that_breaks(tmp_path: Path) -> None:
    class Hiccup(FakeRestorer):
        def restore(self, crops: list[Image]) -> Restored:
            self.broken = self.calls == 0
            return super().restore(crops)

    source = tmp_path / "in"
    source.mkdir()
    write(source / "a.png", scene())
    write(source / "b.png", scene())
    report = run(source, tmp_path / "out", restorer=Hiccup())
    assert [file.error for file in report.files] == ["fake: the provider broke", None]
    assert nothing_but(tmp_path / "out", ["b.png"])


def test_subfolders_are_taken_in_when_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    write(source / "a.png", scene())
    write(source / "deep" / "b.png", scene())
    run(source, tmp_path / "flat")
    assert nothing_but(tmp_path / "flat", ["a.png"])
    run(source, source / "out", recursive=True)
    assert (source / "out" / "deep" / "b.png").is_file()
    jobs = plan_jobs([source], source / "out", recursive=True).jobs
    assert [job.source.name for job in jobs] == ["a.png", "b.png"]


def test_an_output_folder_inside_the_input_is_left_out_however_it_is_spelt(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "out" / "deep").mkdir(parents=True)
    for name in ("a.png", "out/a.png", "out/deep/b.png"):
        write(source / name, scene())
    (tmp_path / "link").symlink_to(source)
    for target in (source / "out", source / ".." / "in" / "out", tmp_path / "link" / "out"):
        assert [job.source for job in plan_jobs([source], target, recursive=True).jobs] == [source / "a.png"]


def test_an_output_folder_around_the_input_leaves_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.png", scene())
    assert [job.target for job in plan_jobs([tmp_path / "in"], tmp_path).jobs] == [tmp_path / "a.png"]


def test_names_that_cannot_be_written_change_without_falling_together(tmp_path: Path) -> None:
    for name in ("a.avi", "a.mkv", "b.webm", "c.jfif", "d.MP4", "e.avi", "e.webm"):
        (tmp_path / name).write_bytes(b"x")
    jobs = plan_jobs([tmp_path], tmp_path / "out").jobs
    assert [job.target.name for job in jobs] == ["a.avi.mkv", "a.mkv", "b.mkv", "c.png", "d.MP4", "e.mkv", "e.webm.mkv"]


def test_a_picture_is_one_by_whatever_name(tmp_path: Path) -> None:
    picture = write(tmp_path / "in.jpg", scene()).rename(tmp_path / "in")
    assert [job.target.name for job in plan_jobs([picture], f"{tmp_path}/out/").jobs] == ["in.png"]


def test_an_output_folder_takes_the_name_of_the_input(tmp_path: Path) -> None:
    source = write(tmp_path / "in.png", scene())
    run(source, f"{tmp_path}/new/")
    (tmp_path / "there").mkdir()
    run(source, tmp_path / "there")
    assert (tmp_path / "new" / "in.png").is_file()
    assert (tmp_path / "there" / "in.png").is_file()


def _same_file(folder: Path) -> tuple[Path, Path]:
    source = write(folder / "in.png", scene())
    (folder / "link.png").symlink_to(source)
    return source, folder / "link.png"


def _picture_as_clip(folder: Path) -> tuple[Path, Path]:
    return write(folder / "in.png", scene()), folder / "out.mp4"


def _clip_as_picture(folder: Path) -> tuple[Path, Path]:
    return write_clip(folder / "in.mp4"), folder / "out.png"


def _unknown_ending(folder: Path) -> tuple[Path, Path]:
    return write_clip(folder / "in.mp4"), folder / "out.xyz"


def _folder_into_file(folder: Path) -> tuple[Path, Path]:
    (folder / "in").mkdir()
    write(folder / "in" / "a.png", scene())
    return folder / "in", folder / "out.mp4"


def _folder_into_itself(folder: Path) -> tuple[Path, Path]:
    write(folder / "a.png", scene())
    return folder, folder


def _missing(folder: Path) -> tuple[Path, Path]:
    return folder / "in.mp4", folder / "out.mp4"


def _empty_folder(folder: Path) -> tuple[Path, Path]:
    (folder / "in").mkdir()
    return folder / "in", folder / "out"


def _no_output_folder(folder: Path) -> tuple[Path, Path]:
    return write(folder / "in.png", scene()), folder / "nowhere" / "out.png"


def _text_named_mp4(folder: Path) -> tuple[Path, Path]:
    (folder / "in.mp4").write_text("hello")
    return folder / "in.mp4", folder / "out.mp4"


def _no_bytes(folder: Path) -> tuple[Path, Path]:
    (folder / "in.png").touch()
    return folder / "in.png", folder / "out.png"


def _half_a_picture(folder: Path) -> tuple[Path, Path]:
    source = write(folder / "in.jpg", scene())
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return source, folder / "out.jpg"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_same_file, UsageError),
        (_picture_as_clip, UsageError),
        (_clip_as_picture, UsageError),
        (_unknown_ending, UsageError),
        (_folder_into_file, UsageError),
        (_folder_into_itself, UsageError),
        (_missing, SourceNotFound),
        (_empty_folder, SourceUnusable),
        (_no_output_folder, SinkNotFound),
        (_text_named_mp4, SourceUnusable),
        (_no_bytes, SourceUnusable),
        (_half_a_picture, SourceUnusable),
    ],
)
def test_what_cannot_be_meant_raises_one_line_and_writes_nothing(
    tmp_path: Path, make: Callable[[Path], tuple[Path, Path]], error: type[Exception]
) -> None:
    source, target = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error) as caught:
        run(source, target)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["clip.mp4", "picture.png"])
def test_a_full_disk_is_named_and_nothing_stays(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    write(source, scene()) if name.endswith("png") else write_clip(source)
    target = source.with_stem("out")
    with full_disk(), pytest.raises(SinkUnusable, match="disk is full"):
        run(source, target)
    assert nothing_but(tmp_path, [name])


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that not even root may write to")
def test_a_forbidden_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkForbidden, match="no permission"):
        run(write(tmp_path / "in.png", scene()), "/sys/out.png")


def test_the_bar_is_invisible_in_a_pipe_and_shows_progress_on_a_terminal(tmp_path: Path) -> None:
    with (tmp_path / "pipe").open("w") as file, Bar(Console(file=file)) as bar:
        bar.begin(tmp_path, 3)
        bar.advance()
    assert (tmp_path / "pipe").read_text().strip() == ""
    with (tmp_path / "tty").open("w") as file, Bar(Console(file=file, force_terminal=True, width=100)) as bar:
        bar.begin(Path("clip.mp4"), 2)
        bar.advance()
        bar.advance()
    shown = (tmp_path / "tty").read_text()
    assert "clip.mp4" in shown
    assert "2/2" in shown


def test_the_command_with_the_shipped_networks_finds_and_changes_a_face(tmp_path: Path) -> None:
    with DemoSource((640, 480)) as demo:
        before = demo.read().image
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "me.png", before)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    command = ["enhance", str(tmp_path / "in"), str(tmp_path / "out"), "--provider", "cpu", "--json", "--where", "face"]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "400"})
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0].startswith(f"frrcam: error: {tmp_path / 'in' / 'bad.png'}")
    report = json.loads(result.stdout)
    assert (report["done"], report["failed"]) == (1, 1)
    assert report["files"][1]["faces"] >= 1
    after = cv2.imread(str(tmp_path / "out" / "me.png"))
    assert after is not None
    changed = np.abs(after.astype(int) - before).max(axis=2) > 0
    assert 0.005 < changed.mean() < 0.5

"""`enhance` with several files, outputs that are there, files in which nothing changes, and faces that lie down."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from frrcam.cli import app
from frrcam.enhance import Bar
from frrcam.enhance.confirm import ConfirmingDetector
from frrcam.enhance.jobs import plan_jobs
from frrcam.errors import SourceLost, UsageError
from frrcam.faces.detector import FakeDetector
from frrcam.faces.types import Detection
from frrcam.frame import Image
from frrcam.restore.types import FakeRestorer
from tests.enhance.test_enhance import (
    FACE,
    HEIGHT,
    POINTS,
    WIDTH,
    nothing_but,
    read_clip,
    run,
    scene,
    write,
    write_clip,
)
from tests.sources.stills import raw_tiff


class Nothing(FakeRestorer):
    """Must not be asked."""

    def restore(self, crops: list[Image]) -> None:  # type: ignore[override]
        raise AssertionError("no face may be restored here")


NO_FACES = FakeDetector([])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_picture_without_faces_is_the_same_file(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / name, scene())
    source.write_bytes(source.read_bytes() + b"and what a maker puts behind it")
    report = run(source, f"{tmp_path}/out/", detector=NO_FACES)
    assert (tmp_path / "out" / name).read_bytes() == source.read_bytes()
    assert report.files[0].copied
    assert str(report.files[0]).endswith("no faces; unchanged, a copy")


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_picture_whose_faces_are_left_as_they_are_is_the_same_file(tmp_path: Path, strength: float) -> None:
    source = write(tmp_path / "a.jpg", scene())
    run(source, tmp_path / "b.jpg", strength=strength)
    assert ((tmp_path / "b.jpg").read_bytes() == source.read_bytes()) == (strength == 0)


def test_in_another_format_a_picture_without_faces_is_only_converted(tmp_path: Path) -> None:
    report = run(write(tmp_path / "a.png", scene()), tmp_path / "b.tif", detector=NO_FACES)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "b.tif")), scene())
    assert not report.files[0].copied


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("target", ["b.mp4", "b.m4v", "b.mov", "b.mkv"])
def test_a_clip_without_faces_has_the_same_packets(tmp_path: Path, target: str, rotation: int) -> None:
    source = write_clip(tmp_path / "a.mp4", sound=True, rotation=rotation)
    report = run(source, tmp_path / target, detector=NO_FACES)
    assert report.files[0].copied
    assert packets_of(tmp_path / target) == packets_of(source)
    assert nothing_but(tmp_path, ["a.mp4", target])
    with av.open(str(tmp_path / target)) as container:
        frame = next(container.decode(video=0))
    assert frame.rotation == rotation
    if target in ("b.mp4", "b.m4v"):
        assert (tmp_path / target).read_bytes() == source.read_bytes()


def test_a_clip_that_its_container_does_not_hold_is_encoded(tmp_path: Path) -> None:
    """No player knows FFV1 in MP4."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("ffv1", 25, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p")
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(scene(), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    report = run(tmp_path / "a.mkv", tmp_path / "b.mp4", detector=NO_FACES)
    assert not report.files[0].copied
    assert len(read_clip(tmp_path / "b.mp4")[0]) == 3
    assert nothing_but(tmp_path, ["a.mkv", "b.mp4"])


def packets_of(path: Path) -> list[bytes]:
    """Without what containers wrap them in."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def test_an_output_that_is_there_is_kept_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.png", scene()), tmp_path / "b.png"
    target.write_bytes(b"from last week")
    with pytest.raises(UsageError, match=r"b\.png: is there already; --overwrite replaces it"):
        run(source, target, existing="refuse", restorer=Nothing())
    assert target.read_bytes() == b"from last week"
    said: list[str] = []
    report = run(source, target, existing="skip", restorer=Nothing(), said=said)
    assert (report.failed, report.skipped, report.files) == (0, 1, [])
    assert said == [f"{target}: 0 files enhanced, 1 there already"]
    run(source, target, existing="overwrite")
    assert target.read_bytes() != b"from last week"


def test_a_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / "in" / name, scene())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").write_bytes(b"done")
    with pytest.raises(UsageError, match=r"1 of 3 outputs are there already.*--skip-existing.*--overwrite"):
        run(tmp_path / "in", tmp_path / "out", existing="refuse", restorer=Nothing())
    report = run(tmp_path / "in", tmp_path / "out", existing="skip")
    assert [file.source.name for file in report.files] == ["a.png", "c.png"]
    assert (tmp_path / "out" / "b.png").read_bytes() == b"done"
    assert report.as_json()["skipped"] == 1


def test_several_inputs_go_to_one_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    sources = [write(tmp_path / "a.png", scene()), write_clip(tmp_path / "b.mp4"), tmp_path / "in", tmp_path / "a.png"]
    write(tmp_path / "in" / "a.png", scene())
    report = run(sources, f"{tmp_path}/out/")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.png", "b.mp4", "in/a.png"]
    assert (len(report.files), report.failed) == (3, 0)


def test_of_several_inputs_a_bad_one_is_reported_and_the_others_follow(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    said: list[str] = []
    report = run([tmp_path / "bad.png", write(tmp_path / "a.png", scene())], f"{tmp_path}/out/", said=said)
    assert (report.failed, len(report.files)) == (1, 2)
    assert said[0].startswith(f"error: {tmp_path / 'bad.png'}")


def test_several_inputs_need_a_folder(tmp_path: Path) -> None:
    sources = [write(tmp_path / name, scene()) for name in ("a.png", "b.png")]
    with pytest.raises(UsageError, match=r"2 inputs and .*c\.png names a file; name a folder to write to"):
        plan_jobs(sources, tmp_path / "c.png")


def test_two_inputs_of_one_name_do_not_fall_together(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    sources = [write(tmp_path / folder / "a.png", scene()) for folder in ("one", "two")]
    with pytest.raises(UsageError, match=r"one/a\.png and .*two/a\.png would both become .*out/a\.png"):
        plan_jobs(sources, f"{tmp_path}/out/")


def test_an_input_among_several_is_never_its_own_output(tmp_path: Path) -> None:
    sources = [write(tmp_path / name, scene()) for name in ("a.png", "b.png")]
    with pytest.raises(UsageError, match="is the input itself"):
        plan_jobs(sources, tmp_path)


def test_what_is_passed_over_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep" / "deeper").mkdir(parents=True)
    (source / "out").mkdir()
    for name in ("a.jxl", "b.jxl", "notes.txt", "README", ".hidden"):
        (source / name).touch()
    for name in ("a.png", "b.jpe", "out/a.png"):
        path = source / name
        path.write_bytes(cv2.imencode(".jpg", scene())[1].tobytes())
    for name in ("c.m2ts", "d.vob"):
        write_clip(tmp_path / "clip.ts", codec="mpeg2video").rename(source / name)
    said: list[str] = []
    report = run(source, source / "out" / "new", said=said)
    assert [file.source.name for file in report.files] == ["a.png", "b.jpe", "c.m2ts", "d.vob"]
    assert report.failed == 0
    assert said[0] == (
        "passed over: 2 subfolders (-r takes them in) and 4 files of other kinds (.jxl, .txt, no ending)"
    )


def test_a_raw_file_in_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.png", scene())
    (tmp_path / "in" / "b.nef").write_bytes(raw_tiff())
    (tmp_path / "in" / "c.tif").write_bytes(raw_tiff())
    said: list[str] = []
    report = run(tmp_path / "in", tmp_path / "out", said=said)
    assert nothing_but(tmp_path / "out", ["a.png"])
    assert report.failed == 2
    assert all("raw file" in line and "develop it" in line for line in said[:2])


def test_the_beginning_of_a_clip_that_breaks_off_is_kept_when_asked_for(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mkv", range(60), rate=2, gop=1)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 9 // 10])
    with pytest.raises(SourceLost, match="--keep-partial keeps what comes before"):
        run(source, tmp_path / "b.mp4")
    said: list[str] = []
    report = run(source, tmp_path / "b.mp4", keep_partial=True, said=said)
    assert 45 < report.files[0].frames < 60
    assert len(read_clip(tmp_path / "b.mp4")[0]) == report.files[0].frames
    assert "breaks off" in said[0]
    assert f"{report.files[0].frames} pictures kept" in said[0]
    assert nothing_but(tmp_path, ["a.mkv", "b.mp4"])


def test_the_bar_counts_the_files(tmp_path: Path) -> None:
    with (tmp_path / "tty").open("w") as file, Bar(Console(file=file, force_terminal=True, width=100)) as bar:
        bar.expect(21)
        for number in range(8):
            bar.begin(Path(f"{number}.jpg"), 1)
            bar.advance()
    shown = (tmp_path / "tty").read_text()
    assert "8 of 21: 7.jpg" in shown
    assert "7/21" in shown


class FacesUp(FakeDetector):
    """Finds the face only in a picture whose brightest quarter is the upper left one."""

    def __init__(self, score: float = 0.9, otherwise: list[Detection] | None = None) -> None:
        super().__init__()
        self.score, self.otherwise = score, otherwise or []

    def detect(self, image: Image) -> list[Detection]:
        self.calls += 1
        height, width = image.shape[:2]
        corners = [(y, x) for y in (0, height // 2) for x in (0, width // 2)]
        means = [image[y : y + height // 2, x : x + width // 2].mean() for y, x in corners]
        if means.index(max(means)) != 0:
            return self.otherwise
        x, y = width / 2 - 80, height / 2 - 64
        x1, y1, x2, y2 = FACE.box
        points = POINTS + np.array((x, y), np.float32)
        return [Detection((x1 + x, y1 + y, x2 + x, y2 + y), self.score, points)]


def leaning(turns: int) -> Image:
    """A picture that is upright once it is turned by this number of quarter turns."""
    image = scene() // 2
    image[: HEIGHT // 2, : WIDTH // 2] += 100
    return np.ascontiguousarray(np.rot90(image, -turns))


@pytest.mark.parametrize("turns", range(4))
def test_a_face_that_lies_down_is_found_and_the_picture_is_not_turned(tmp_path: Path, turns: int) -> None:
    before, said = leaning(turns), list[str]()
    report = run(write(tmp_path / "a.png", before), tmp_path / "b.png", detector=FacesUp(), said=said)
    after = cv2.imread(str(tmp_path / "b.png"))
    assert after is not None
    assert after.shape == before.shape
    changed = np.abs(after.astype(int) - before).max(axis=2) > 0
    y, x = np.argwhere(changed).mean(axis=0)
    assert (round(y / 4), round(x / 4)) == (before.shape[0] // 8, before.shape[1] // 8)
    assert report.files[0].turned == 90 * turns
    assert ("turned" in said[0]) == (turns > 0)


def test_a_doubtful_upright_face_does_not_hide_a_sure_one_that_lies_down(tmp_path: Path) -> None:
    doubtful = Detection((10.0, 10.0, 60.0, 60.0), 0.6, POINTS)
    report = run(write(tmp_path / "a.png", leaning(1)), tmp_path / "b.png", detector=FacesUp(0.9, [doubtful]))
    assert report.files[0].turned == 90
    report = run(write(tmp_path / "c.png", leaning(1)), tmp_path / "d.png", detector=FacesUp(0.65, [doubtful]))
    assert report.files[0].turned == 0


def test_faces_that_lie_down_in_a_clip_are_found(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        image = leaning(3)
        video = container.add_stream("libx264", 25, width=image.shape[1], height=image.shape[0], pix_fmt="yuv420p")
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    report = run(tmp_path / "a.mp4", tmp_path / "b.mp4", detector=FacesUp())
    assert (report.files[0].faces, report.files[0].turned) == (1, 270)
    assert read_clip(tmp_path / "b.mp4")[0][0].shape == image.shape


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotate_turns_pictures_and_clips_clockwise(tmp_path: Path, quarters: int) -> None:
    upright = np.rot90(scene(), -quarters)
    run(write(tmp_path / "a.png", scene()), tmp_path / "b.png", rotate=quarters, detector=NO_FACES)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "b.png")), upright)
    clip = write_clip(tmp_path / "a.mp4", pixel_aspect=Fraction(4, 3))
    run(clip, tmp_path / "b.mp4", rotate=quarters, detector=NO_FACES)
    images = read_clip(tmp_path / "b.mp4")[0]
    assert images[0].shape == upright.shape
    assert np.abs(images[0].astype(int) - upright).mean() < 6
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == (Fraction(3, 4) if quarters % 2 else Fraction(4, 3))


@pytest.mark.parametrize("score", [0.5, 0.9])
def test_a_doubtful_face_is_kept_only_if_the_mirror_shows_it(score: float) -> None:
    face = Detection((10.0, 10.0, 50.0, 50.0), score, POINTS)
    mirrored = Detection((110.0, 10.0, 150.0, 50.0), 0.55, POINTS)
    image = np.zeros((100, 160, 3), np.uint8)
    assert ConfirmingDetector(FakeDetector([face], [mirrored])).detect(image) == [face]
    assert ConfirmingDetector(FakeDetector([face], [face])).detect(image) == ([face] if score == 0.9 else [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rotate", "45"], "--rotate 45 cannot be meant; choose 90, 180 or 270"),
        (["--overwrite", "--skip-existing"], "name one of them"),
        ([], "is there already; --overwrite replaces it"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    source = write(tmp_path / "a.png", scene())
    (tmp_path / "b.png").write_bytes(b"from last week")
    result = CliRunner().invoke(app, ["enhance", str(source), str(tmp_path / "b.png"), *arguments])
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "b.png").read_bytes() == b"from last week"

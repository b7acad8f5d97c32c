"""One clip and kind: what a publisher does to the pictures shows in the figures."""

import numpy as np
import pytest

from benchmarks.scene.clips import Clip
from benchmarks.scene.light import encode, linear
from benchmarks.scene.measures import IDENTICAL
from benchmarks.scene.publish import Published
from benchmarks.scene.report import FIGURES
from benchmarks.scene.score import score
from benchmarks.scene.spoil import DIM, KINDS
from frrcam.frame import Frame, Image

BOX = (60.0, 30.0, 140.0, 130.0)
GAIN = 1 / np.array(DIM, np.float32)


def picture() -> Image:
    """A slope of grey: flat, and of many levels."""
    return np.broadcast_to(np.linspace(90, 200, 240, dtype=np.uint8)[None, :, None], (176, 240, 3)).copy()


def clip(frames: int = 6, faces: bool = True) -> Clip:
    times = [index / 25 for index in range(frames)]
    return Clip("invented", 25, [picture() for _ in range(frames)], times, [[BOX] if faces else [] for _ in times])


def plain(frame: Frame) -> Published:
    return Published(frame.image, 5.0, 4.0)


def relit(frame: Frame) -> Published:
    """Returns the light that `dim` takes."""
    return Published(encode(linear(frame.image) * GAIN), 5.0, 4.0)


def test_untouched_input_has_its_own_figures() -> None:
    figures = score(clip(), "dim", plain, every=1)[0].figures
    assert figures["face_out"] == figures["face_in"]
    assert figures["gain"] == pytest.approx(1)
    assert figures["gain_spread"] == pytest.approx(1)
    assert figures["returned"] == pytest.approx(0.7152 * DIM[1] + 0.0722 * DIM[0] + 0.2126 * DIM[2], rel=0.03)
    assert figures["change"] == 0


def test_light_given_back_is_right_and_even() -> None:
    figures = score(clip(), "dim", relit, every=1)[0].figures
    assert figures["returned"] == pytest.approx(1, rel=0.03)
    assert figures["returned_spread"] == pytest.approx(1, abs=0.05)
    assert figures["face_out"] > figures["face_in"] + 10
    assert figures["head_out"] > figures["head_in"] + 10
    assert figures["noise_rest_by_gain"] == pytest.approx(1, rel=0.1)
    assert figures["noise_rest"] > 1.8


def test_clean_clip_published_as_it_is_is_identical() -> None:
    figures = score(clip(), "nothing", plain, every=1)[0].figures
    names = ("face_out", "head_out", "background_out", "whole_out")
    assert [figures[name] for name in names] == [IDENTICAL] * 4


def test_clip_that_is_no_truth_is_compared_with_nothing() -> None:
    one, sample = score(clip(), "as_is", lambda frame: Published(frame.image // 2, 5.0, 4.0), every=1)
    assert sample.clean is None
    assert one.figures["gain"] == pytest.approx(0.5**2.2, rel=0.03)
    assert not {"face_out", "returned", "noise_face"} & one.figures.keys()


def test_gain_that_pumps_shows_in_its_deviation() -> None:
    def pumping(frame: Frame) -> Published:
        return Published(encode(linear(frame.image) * np.float32(0.9 if frame.index % 2 else 1.1)), 5.0, 4.0)

    steady, pumped = (score(clip(), "as_is", publish, every=1)[0].figures for publish in (plain, pumping))
    assert steady["gain_sd"] == pytest.approx(0, abs=1e-6)
    assert pumped["gain_sd"] == pytest.approx(0.1, rel=0.05)


def test_still_flickers_less_where_it_is_averaged() -> None:
    past: list[Image] = []

    def averaging(frame: Frame) -> Published:
        past.append(frame.image)
        return Published(np.mean(past[-4:], axis=0).astype(np.uint8), 5.0, 4.0)

    figures = score(clip(24), "still", averaging, settle=4)[0].figures
    for place in ("face", "around", "background"):
        assert figures[f"flicker_{place}"] == pytest.approx(0.5, abs=0.08)


def test_every_second_frame_is_scored_and_all_are_published() -> None:
    seen: list[Frame] = []

    def publish(frame: Frame) -> Published:
        seen.append(frame)
        return plain(frame)

    one = score(clip(), "dim", publish, every=2, settle=3)[0]
    assert (one.frames, one.scored) == (6, 3)
    assert [frame.index for frame in seen] == list(range(9))
    assert np.diff([frame.timestamp for frame in seen]) == pytest.approx(1 / 25)


def test_frames_shown_to_settle_cost_no_time() -> None:
    taken = iter([100.0] * 3 + [5.0] * 6)
    figures = score(clip(), "dim", lambda frame: Published(frame.image, next(taken), 1.0), settle=3)[0].figures
    assert (figures["wall_p50"], figures["wall_p95"], figures["cpu_p50"]) == (5, 5, 1)


def test_clip_without_faces_has_figures_of_the_background_alone() -> None:
    figures = score(clip(faces=False), "dim", plain, every=1)[0].figures
    assert "background_out" in figures
    assert not {"face_out", "head_out", "gain", "returned"} & figures.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_has_a_description(kind: str) -> None:
    assert score(clip(), kind, relit, every=1)[0].figures.keys() <= FIGURES.keys()

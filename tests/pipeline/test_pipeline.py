from collections.abc import Mapping

import numpy as np
import pytest

from frrcam.amounts import PRESETS, Amounts
from frrcam.errors import ModelError
from frrcam.faces.tracker import Tracker
from frrcam.faces.types import Track
from frrcam.frame import Frame, Image
from frrcam.pipeline.budget import GAP_S, longest_gap
from frrcam.pipeline.levels import Plan
from frrcam.pipeline.metrics import Stopwatch
from frrcam.pipeline.pipeline import Pipeline
from frrcam.restore.types import FakeRestorer, Restored
from tests.fakes import FakeClock, FakeDetector, FakeTracker, detection, picture, track

FPS = 30
REPAIR = PRESETS["repair"]
"""Without light: what the network draws is all that changes."""


class Rig:
    """A pipeline over fakes, fed frame after frame."""

    def __init__(self, *tracks: Track, restorer: FakeRestorer | None = None, **options: object) -> None:
        self.clock, self.detector, self.tracker = FakeClock(), FakeDetector(), FakeTracker(list(tracks))
        self.restorer = restorer or FakeRestorer()
        restorers: Mapping[str, FakeRestorer] = {"fake": self.restorer, "other": FakeRestorer("other", 96)}
        self.pipeline = Pipeline(self.detector, restorers, self.tracker, clock=self.clock, **options)  # type: ignore[arg-type]
        self.image = picture(320, 240)
        self.time, self.index = 1000.0, 0

    def step(
        self,
        faces: int = 4,
        fresh: int = 4,
        detect: bool = False,
        model: str | None = "fake",
        strength: float = 1.0,
        after: float = 1 / FPS,
        amounts: Amounts = REPAIR,
    ):  # type: ignore[no-untyped-def]
        self.time, self.index = self.time + after, self.index + 1
        plan = Plan("rung", "", model, faces, fresh, detect)
        return self.pipeline.process(Frame(self.image, self.index, self.time, "fake"), plan, strength, amounts)

    def settle(self, frames: int = 30, **plan: object):  # type: ignore[no-untyped-def]
        for _ in range(frames):
            outcome = self.step(**plan)
        return outcome


def changed(before: Image, after: Image) -> float:
    return float(np.abs(after.astype(float) - before).max())


def test_without_faces_it_is_the_frames_own_picture():
    rig = Rig()
    outcome = rig.step(detect=True)
    assert outcome.image is rig.image
    assert (outcome.tracks, outcome.fresh, outcome.wanted) == ([], 0, 0)
    assert rig.detector.calls == 1
    assert rig.restorer.calls == 0


def test_a_face_is_changed_and_nothing_else_is():
    rig = Rig(track(x=100, y=80, side=80))
    outcome = rig.settle()
    assert (outcome.fresh, outcome.wanted) == (1, 1)
    where = np.argwhere((outcome.image != rig.image).any(axis=2))
    assert len(where) > 500
    top, left = where.min(axis=0)
    bottom, right = where.max(axis=0)
    assert 60 <= top < bottom <= 180
    assert 80 <= left < right <= 200
    assert changed(picture(320, 240), rig.image) == 0, "the source's picture is never written to"


def test_no_strength_and_no_distortion_change_nothing():
    rig = Rig(track(x=100, y=80, side=80))
    assert changed(rig.image, rig.settle(strength=0.0).image) == 0
    good = Rig(track(x=100, y=80, side=80), restorer=FakeRestorer(distortion=0.0))
    assert changed(good.image, good.settle().image) == 0


def test_every_stage_that_ran_is_timed():
    class Slow(FakeRestorer):
        def restore(self, crops: list[Image]) -> Restored:
            rig.clock.sleep(0.010 * len(crops))
            return super().restore(crops)

    rig = Rig(track(1), track(2, x=150, side=70), restorer=Slow())
    assert rig.step(detect=True).stages.keys() == {"detect", "track", "align", "restore", "light", "compose"}
    assert rig.step().stages["restore"] == pytest.approx(0.020)
    assert rig.step(fresh=0).stages.keys() == {"track", "align", "light", "compose"}
    rig.tracker.tracks = []
    assert rig.step().stages.keys() == {"track"}
    assert rig.detector.calls == 1


def test_stopwatch_adds_up():
    clock = FakeClock()
    watch = Stopwatch(clock)
    for seconds in (0.1, 0.2):
        clock.sleep(seconds)
        watch.lap("a")
    watch.lap("b")
    assert watch.laps == {"a": pytest.approx(0.3), "b": 0.0}


def test_the_largest_faces_are_served_and_small_ones_left_alone():
    rig = Rig(track(1, side=39), track(2, x=60, side=80), track(3, x=200, side=60), min_size=40)
    outcome = rig.step(faces=4)
    assert [one.id for one in outcome.tracks] == [2, 3, 1]
    assert (outcome.fresh, outcome.wanted) == (2, 2)
    assert rig.pipeline.face_count == 2, "what is never served is no reason to go down a rung"
    assert rig.step(faces=1).wanted == 1


def test_two_faces_of_one_size_do_not_take_turns():
    rig = Rig(track(1, side=80), track(2, x=150, side=79))
    rig.settle(faces=1)
    left, right = slice(0, 130), slice(130, None)
    for larger in (79, 81, 78, 82) * 3:
        rig.tracker.tracks = [track(1, side=80), track(2, x=150, side=larger)]
        outcome = rig.step(faces=1)
        assert changed(rig.image[:, left], outcome.image[:, left]) > 0
        assert changed(rig.image[:, right], outcome.image[:, right]) == 0
    rig.tracker.tracks = [track(1, side=80), track(2, x=150, side=120)]
    outcome = rig.settle(faces=1)
    assert changed(rig.image[:, left], outcome.image[:, left]) == 0


def test_each_face_has_its_turn():
    served: list[float] = []

    class Notes(FakeRestorer):
        def restore(self, crops: list[Image]) -> Restored:
            served.extend(float(crop.mean()) for crop in crops)
            return super().restore(crops)

    rig = Rig(track(1, 0, 0, 90), track(2, 110, 0, 80), track(3, 210, 0, 70), restorer=Notes())
    for _ in range(12):
        assert rig.step(fresh=1).fresh == 1
    turns = served[:3]
    assert len(set(turns)) == 3
    assert served == turns * 4


def test_between_its_turns_a_face_keeps_its_change():
    rig = Rig(track(x=100, y=80, side=80))
    full = rig.settle()
    again = rig.step(fresh=0)
    assert again.fresh == 0
    assert changed(full.image, again.image) <= 1


def test_a_face_comes_up_and_goes_without_a_jump():
    rig = Rig(track(x=100, y=80, side=80))
    strengths = [changed(rig.image, rig.step().image) for _ in range(20)]
    assert strengths[0] == 0
    assert strengths[-1] > 10
    assert max(np.diff(strengths)) < 0.6 * strengths[-1]
    fading = [changed(rig.image, rig.step(faces=0).image) for _ in range(20)]
    assert fading[-1] == 0
    assert max(np.diff(fading)) <= 1
    assert min(np.diff([strengths[-1], *fading])) > -0.6 * strengths[-1]


def test_a_face_that_is_served_again_shows_nothing_of_the_last_time():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    rig.settle(100, faces=0)
    assert changed(rig.image, rig.settle(5, fresh=0).image) == 0, "its first result is still to come"
    assert changed(rig.image, rig.settle().image) > 10


def test_confidence_scales_the_effect():
    doubtful = Rig(track(x=100, y=80, side=80, confidence=0.3))
    sure = Rig(track(x=100, y=80, side=80))
    assert changed(doubtful.image, doubtful.settle().image) < 0.5 * changed(sure.image, sure.settle().image)


def test_after_a_gap_nothing_is_remembered():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    outcome = rig.step(fresh=0, after=GAP_S + 0.1)
    assert rig.tracker.resets == 1
    assert changed(rig.image, outcome.image) == 0
    assert changed(rig.image, rig.step(after=9 * 3600.0).image) == 0, "and the next face comes up slowly again"


def test_a_face_found_again_after_a_gap_does_not_come_up_a_second_time():
    """A camera that stalls leaves the enhanced picture standing: a plain one after it would flash."""
    rig = Rig(track(x=100, y=80, side=80))
    full = changed(rig.image, rig.settle().image)
    assert changed(rig.image, rig.step(after=GAP_S + 0.1).image) > 0.9 * full
    rig.settle(faces=0)
    assert changed(rig.image, rig.step(after=GAP_S + 0.1).image) == 0, "it had gone before the gap"


def test_the_effect_comes_up_only_from_its_first_result_on():
    """On a low rung, or with several faces, the first result is some pictures late: it must not pop."""
    rig = Rig(track(x=100, y=80, side=80))
    for _ in range(10):
        assert changed(rig.image, rig.step(fresh=0).image) == 0
    strengths = [changed(rig.image, rig.step().image) for _ in range(20)]
    assert strengths[0] < 0.25 * strengths[-1]


def test_at_a_slow_rate_every_picture_is_enhanced():
    rig = Rig(track(x=100, y=80, side=80), gap_s=longest_gap(1.0))
    rig.step()
    assert all(changed(rig.image, rig.step(after=after).image) > 10 for after in (1.04, 0.97, 1.1, 2.9))
    assert rig.tracker.resets == 0
    rig.step(after=3.1)
    assert rig.tracker.resets == 1


def test_a_clock_that_goes_backwards_is_survived():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    assert changed(rig.image, rig.step(after=-500.0).image) > 10


def test_reset_forgets_the_faces():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    rig.pipeline.reset()
    assert rig.pipeline.face_count == 0
    assert rig.tracker.resets == 1
    assert changed(rig.image, rig.step(fresh=0).image) == 0


def test_the_model_may_change_from_frame_to_frame():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    for _ in range(4):
        for model in ("other", "fake", None):
            outcome = rig.step(model=model)
    assert outcome.image is rig.image


def test_a_broken_restorer_raises_and_works_again():
    rig = Rig(track(x=100, y=80, side=80))
    rig.settle()
    rig.restorer.broken = True
    for _ in range(3):
        with pytest.raises(RuntimeError):
            rig.step()
    rig.restorer.broken = False
    assert rig.step().fresh == 1
    assert changed(rig.image, rig.step().image) > 10


def test_a_broken_detector_raises_and_works_again():
    rig = Rig(track(x=100, y=80, side=80))
    rig.detector.broken = True
    with pytest.raises(RuntimeError):
        rig.step(detect=True)
    rig.detector.broken = False
    assert rig.step(detect=True).fresh == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_never_reach_the_picture(value: float):
    class Overflowing(FakeRestorer):
        def restore(self, crops: list[Image]) -> Restored:
            result = super().restore(crops)
            if self.broken:
                result.restored[0, 0, 5, 5] = value
            return result

    class Sound(Overflowing):
        def restore(self, crops: list[Image]) -> Restored:
            broken, self.broken = self.broken, False
            try:
                result = super().restore(crops)
            finally:
                self.broken = broken
            if broken:
                result.restored[0, 0, 5, 5] = value
            return result

    rig = Rig(track(x=100, y=80, side=80), restorer=Sound())
    rig.settle()
    rig.restorer.broken = True
    with pytest.raises(ModelError, match="not finite"):
        rig.step()
    rig.restorer.broken = False
    assert changed(rig.image, rig.step().image) < 60


def test_an_unknown_model_raises_and_the_next_frame_works():
    rig = Rig(track(x=100, y=80, side=80))
    with pytest.raises(KeyError):
        rig.step(model="unknown")
    assert rig.step().fresh == 1


def test_with_the_real_tracker_a_detected_face_is_followed_and_enhanced():
    one = track(x=100, y=80, side=80)
    image = picture(320, 240)
    clock = FakeClock()
    pipeline = Pipeline(FakeDetector([detection(one)]), {"fake": FakeRestorer()}, Tracker(), clock=clock)
    for index in range(40):
        plan = Plan("rung", "", "fake", 4, 1 if index else 0, index % 8 == 0)
        outcome = pipeline.process(Frame(image, index, 1000 + index / FPS, "fake"), plan, 1.0)
    assert pipeline.face_count == 1
    assert outcome.fresh == 1
    assert changed(image, outcome.image) > 10
    assert not pipeline.urgent

"""The tracker against pictures whose truth is known."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from benchmarks.drawn.moving_head import Image, Pose, picture, wall
from frrcam.faces.confirm import Confirmation
from frrcam.faces.tracker import Tracker
from frrcam.faces.types import Detection, Track

DT = 1 / 30
WALL = wall()


def run(
    tracker: Tracker, pictures: Iterable[tuple[Image, list[Detection] | None]], start: float = 0.0, dt: float = DT
) -> list[list[Track]]:
    return [tracker.update(image, start + i * dt, found) for i, (image, found) in enumerate(pictures)]


def still(seconds: float, detect_every: int = 1, noise: float = 1.0, side: float = 150.0) -> list[list[Track]]:
    random = np.random.default_rng(1)
    pose = Pose(320, 180, side)
    shots = (
        (
            picture(WALL, pose, noise=4.0, random=random),
            [pose.detection(random, noise)] if i % detect_every == 0 else None,
        )
        for i in range(round(seconds * 30))
    )
    return run(Tracker(), shots)


@pytest.mark.parametrize("detect_every", [1, 3, 6])
def test_a_still_face_does_not_shake(detect_every: int) -> None:
    points = np.stack([tracks[0].points for tracks in still(4.0, detect_every)])[60:]
    truth = Pose(320, 180, 150.0).points
    assert points.std(axis=0).max() <= 0.15
    assert np.abs(np.diff(points, axis=0)).max() <= 0.15
    assert np.abs(points.mean(axis=0) - truth).max() <= 0.8


@pytest.mark.parametrize("detect_every", [1, 4])
def test_a_moving_face_is_not_behind(detect_every: int) -> None:
    """300 px/s to the right: the points are where the face is, not where it was."""
    random = np.random.default_rng(2)
    poses = [Pose(150 + 10.0 * i, 180, 150) for i in range(35)]
    shots = (
        (
            picture(WALL, pose, noise=2.0, random=random),
            [pose.detection(random, 0.5)] if i % detect_every == 0 else None,
        )
        for i, pose in enumerate(poses)
    )
    tracks = run(Tracker(), shots)
    errors = np.array([(t[0].points - pose.points).mean(axis=0) for t, pose in zip(tracks, poses, strict=True)])[10:]
    assert np.abs(errors).max() <= 1.5
    assert np.abs(errors.mean(axis=0)).max() <= 1.0


@pytest.mark.parametrize("side", [24.0, 60.0, 150.0, 300.0])
def test_flow_alone_follows_shift_turn_and_size(side: float) -> None:
    poses = [
        Pose(320 + 0.25 * side * np.sin(i / 8), 180 + 1.0 * i / 8, side * (1 + 0.004 * i), 0.15 * np.sin(i / 10))
        for i in range(30)
    ]
    shots = [(picture(WALL, pose), [pose.detection()] if i == 0 else None) for i, pose in enumerate(poses)]
    tracks = run(Tracker(), shots)
    error = np.abs(tracks[-1][0].points - poses[-1].points).mean()
    assert error <= 0.02 * side + 0.3
    assert {t.id for shot in tracks for t in shot} == {1}
    assert min(t.confidence for shot in tracks for t in shot) == 1.0


def test_a_wrong_start_is_corrected_within_a_second() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    off = Pose(328, 180, 150).detection()
    shots = [(image, [off if i == 0 else pose.detection()] if i % 3 == 0 else None) for i in range(30)]
    tracks = run(Tracker(), shots)
    assert np.abs(tracks[-1][0].points - pose.points).max() <= 1.2


def test_one_wild_detection_hardly_moves_a_known_face() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    wild = Pose(340, 190, 150).detection()
    tracks = run(Tracker(), [(image, [wild if i == 30 else pose.detection()]) for i in range(40)])
    errors = [np.abs(t[0].points - pose.points).max() for t in tracks]
    assert max(errors[30:]) <= 4.0
    assert errors[-1] <= 2.0


def test_a_hand_over_the_mouth_is_survived() -> None:
    pose = Pose(320, 180, 150)
    tracker = Tracker()
    plain = picture(WALL, pose)
    run(tracker, [(plain, [pose.detection()])] * 30)
    shots: list[tuple[Image, list[Detection] | None]] = []
    for i in range(24):
        covered = plain.copy()
        top = max(330 - 20 * i, 195)
        hand = cv2.resize(wall(60, 140, 5), (140, 120))
        covered[top : top + 120, 250:390] = hand[: 360 - top]
        shots.append((covered, [] if i % 3 == 0 else None))
    hidden = run(tracker, shots, start=1.0)
    assert all(len(tracks) == 1 for tracks in hidden)
    assert 0.1 < hidden[-1][0].confidence < 0.9
    assert np.abs(hidden[-1][0].points - pose.points).max() <= 2.5
    back = run(tracker, [(plain, [pose.detection()])] * 10, start=1.8)
    assert back[-1][0].id == 1
    assert back[-1][0].confidence == 1.0


def test_a_blink_of_the_detector_changes_nothing() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    shots = [(image, [] if 30 <= i < 35 else [pose.detection()]) for i in range(50)]
    tracks = run(Tracker(), shots)
    assert all(t[0].confidence == 1.0 and t[0].id == 1 for t in tracks)
    assert not tracks[32][0].detected


@pytest.mark.parametrize("fps", [15, 30])
def test_a_face_refused_for_long_ends(fps: int) -> None:
    """In the same time, however many pictures that is."""
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    shots = [(image, [pose.detection()] if i < 1.33 * fps else []) for i in range(round(2.66 * fps))]
    tracks = run(Tracker(), shots, dt=1 / fps)
    confidences = [t[0].confidence for t in tracks[len(tracks) // 2 :] if t]
    assert confidences == sorted(confidences, reverse=True)
    assert len(tracks[2 * fps]) == 1
    assert not tracks[-1]


def test_a_false_face_on_the_wall_ends_soon() -> None:
    ghost = Pose(100, 100, 80).detection(score=0.9)
    tracks = run(Tracker(), [(WALL, [ghost] if i == 0 else []) for i in range(10)])
    assert len(tracks[0]) == 1
    assert not tracks[6]


def test_no_ghost_stays_where_a_face_leaves() -> None:
    """It walks out to the right; the detector loses it at the edge."""
    tracker = Tracker()
    gone = None
    for i in range(90):
        pose = Pose(400 + 8.0 * i, 180, 150)
        seen = [pose.detection()] if pose.x + 40 < 640 else []
        tracks = tracker.update(picture(WALL, pose), i * DT, seen if i % 3 == 0 else None)
        if pose.x - 60 > 640 and gone is None:
            gone = i
        if gone is not None and i >= gone + 3:
            assert not tracks


def test_what_is_left_of_a_face_that_leaves_does_not_pop() -> None:
    """It sinks below the picture; the forehead is still there when too little is left to follow."""
    poses = [Pose(320, 180 + 8.0 * i, 150) for i in range(30)]
    seen = [[pose.detection()] if pose.y < 330 else [] for pose in poses]
    pictures = [(picture(WALL, pose), seen[i] if i % 3 == 0 else None) for i, pose in enumerate(poses)]
    shown = [found[0].confidence if found else 0.0 for found in run(Tracker(), pictures)]
    assert shown[18] == 1.0
    assert shown[-1] == 0.0
    assert -min(np.diff(shown)) < 0.5


@pytest.mark.parametrize("later", [0, 1])
def test_a_face_that_flow_lost_is_where_the_detector_sees_it(later: int) -> None:
    """A jerk of the head at few pictures a second; the detector looks at once, or when flow follows the face again."""
    still, jerked = Pose(250, 180, 150), Pose(305, 190, 150, angle=0.5)
    tracker = Tracker()
    run(tracker, [(picture(WALL, still), [still.detection()])] * 10)
    moved = picture(WALL, jerked)
    run(tracker, [(moved, None)], start=10 * DT)
    assert tracker.urgent, "flow fails: else this would test nothing"
    *_, found = run(tracker, [(moved, None)] * later + [(moved, [jerked.detection()])], start=11 * DT)
    assert np.abs(found[0].points - jerked.points).max() < 0.1 * 150


def test_a_face_that_vanishes_is_gone_at_once() -> None:
    pose = Pose(320, 180, 150)
    tracker = Tracker()
    run(tracker, [(picture(WALL, pose), [pose.detection()])] * 20)
    tracks = run(tracker, [(WALL, [] if i % 3 == 0 else None) for i in range(12)], start=20 * DT)
    assert not tracks[6]


def test_a_face_that_flow_loses_keeps_its_effect_while_it_looks_like_itself() -> None:
    """The camera hunts for focus: from sharp to blurred and back no motion is found, and the face is plainly there."""
    pose = Pose(320, 180, 150)
    sharp = picture(WALL, pose)
    hunting = [np.asarray(cv2.blur(sharp, (21, 21)), np.uint8), sharp]
    tracker = Tracker()
    run(tracker, [(sharp, [pose.detection()])] * 20)
    tracks = run(tracker, [(hunting[i % 2], None) for i in range(8)], start=20 * DT)
    assert tracker.urgent, "flow fails: else this would test nothing"
    assert [found[0].confidence for found in tracks] == [1.0] * 8
    refused = run(tracker, [(hunting[i % 2], [] if i == 0 else None) for i in range(6)], start=28 * DT)
    assert not refused[-1], "unless the detector says no"


def lying(detected: float = 1.8, seconds: float = 3.0) -> tuple[Tracker, list[list[Track]]]:
    """A head that leans over by 1.2 radians within a second; the detector sees it until it leans too far."""
    tracker, tracks = Tracker(), []
    for i in range(round(seconds * 30)):
        pose = Pose(320, 180, 150, 1.2 * min(max(i / 30 - 1.2, 0.0), 1.0))
        found = [pose.detection()] if i / 30 < detected else []
        tracks.append(tracker.update(picture(WALL, pose), i * DT, found if i % 4 == 0 else None))
    return tracker, tracks


def test_a_head_that_leans_over_further_than_the_detector_sees_keeps_its_effect() -> None:
    _, tracks = lying(seconds=6.0)
    assert [(one.id, one.confidence) for found in tracks for one in found] == [(1, 1.0)] * 180
    truth = Pose(320, 180, 150, 1.2).points
    assert np.abs(tracks[-1][0].points - truth).mean() < 4.0


def test_a_head_that_leans_over_and_goes_is_let_go() -> None:
    tracker, _ = lying()
    gone = [tracker.update(WALL, (90 + i) * DT, [] if i % 4 == 0 else None) for i in range(12)]
    assert not gone[-1]


def test_a_leaning_face_that_was_seen_for_a_moment_only_is_not_kept() -> None:
    pose = Pose(320, 180, 150, 1.2)
    image = picture(WALL, pose)
    tracks = run(Tracker(), [(image, ([pose.detection()] if i < 5 else []) if i % 4 == 0 else None) for i in range(45)])
    assert tracks[10]
    assert not tracks[-1]


def test_flow_that_takes_hold_of_the_wall_restores_no_confidence() -> None:
    pose = Pose(320, 180, 150)
    tracker = Tracker()
    run(tracker, [(picture(WALL, pose), [pose.detection()])] * 20)
    tracks = run(tracker, [(WALL, None)] * 4, start=20 * DT)
    assert all(one.confidence < 0.8 for found in tracks for one in found)
    assert tracker.urgent


def test_light_of_another_colour_is_no_cut() -> None:
    """A screen beside the camera turns from blue to red, and the camera, which must focus again, blurs for a moment."""
    pose = Pose(320, 180, 150)
    grey = cv2.cvtColor(picture(wall(), pose), cv2.COLOR_BGR2GRAY)[..., None]
    blue, red = ((grey * np.array(light)).astype(np.uint8) for light in ((1.0, 0.3, 0.1), (0.1, 0.3, 1.0)))
    tracker = Tracker()
    run(tracker, [(blue, [pose.detection()])] * 10)
    tracks = run(tracker, [(np.asarray(cv2.blur(red, (21, 21)), np.uint8), None), (red, None)], start=10 * DT)
    assert [[(one.id, one.confidence) for one in found] for found in tracks] == [[(1, 1.0)]] * 2


def test_a_cut_waits_for_the_detector() -> None:
    pose, other = Pose(320, 180, 150), Pose(200, 170, 180)
    tracker = Tracker()
    run(tracker, [(picture(WALL, pose), [pose.detection()])] * 10)
    scene = np.ascontiguousarray(255 - wall(seed=9))
    assert tracker.update(picture(scene, other), 10 * DT, None) == []
    tracks = tracker.update(picture(scene, other), 11 * DT, [other.detection()])
    assert [t.id for t in tracks] == [2]
    assert np.abs(tracks[0].points - other.points).max() < 0.1


def test_a_lamp_switched_on_is_no_cut() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    run(tracker, [((image * 0.5).astype(np.uint8), [pose.detection()])] * 10)
    tracks = run(tracker, [(image, None)] * 5, start=10 * DT)
    assert tracks[-1][0].id == 1
    assert np.abs(tracks[-1][0].points - pose.points).max() < 0.5


def test_faces_that_cross_keep_their_names() -> None:
    tracker = Tracker()
    names: list[set[int]] = []
    for i in range(60):
        behind, front = Pose(140 + 6.0 * i, 170, 120), Pose(500 - 6.0 * i, 190, 150)
        image = picture(WALL, behind, front)
        hidden = abs(behind.x - front.x) < 75
        found = [front.detection()] + ([] if hidden else [behind.detection()])
        tracks = tracker.update(image, i * DT, found if i % 2 == 0 else None)
        front_track = min(tracks, key=lambda t: float(np.abs(t.points - front.points).mean()))
        names.append({front_track.id})
        assert np.abs(front_track.points - front.points).mean() < 12
        assert len({t.id for t in tracks}) == len(tracks)
    assert set.union(*names) == names[0]
    assert len(tracks) == 2


def test_of_two_tracks_on_one_face_the_one_that_nothing_speaks_for_ends_at_once() -> None:
    """Else that face is enhanced twice for as long as a detector's blink is forgiven."""
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    twice, once = run(Tracker(), [(image, [pose.detection(), pose.detection()]), (image, [pose.detection()])])
    assert (len(twice), len(once)) == (2, 1)


def test_a_weak_face_needs_two_looks() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    assert tracker.update(image, 0.0, [pose.detection(score=0.55)]) == []
    assert tracker.urgent
    assert tracker.update(image, DT, [pose.detection(score=0.6)]) == [], "the same moment is no second look"
    assert tracker.update(image, 2 * DT, None) == []
    assert [t.id for t in tracker.update(image, 7 * DT, [pose.detection(score=0.65)])] == [1]
    assert not tracker.urgent


def test_a_weak_face_of_another_size_at_each_look_is_not_shown() -> None:
    image = picture(WALL, Pose(320, 180, 150))
    sides = (150, 60, 150, 60, 150, 60)
    shots = [(image, [Pose(320, 180, side).detection(score=0.65)]) for side in sides]
    assert all(tracks == [] for tracks in run(Tracker(), shots, dt=0.1))


def test_two_looks_of_too_low_a_score_are_not_enough() -> None:
    pose = Pose(320, 180, 150)
    shots = [(picture(WALL, pose), [pose.detection(score=0.52)])] * 6
    assert all(tracks == [] for tracks in run(Tracker(), shots, dt=0.1))


def test_a_vetoed_track_stays_hidden_then_needs_evidence_again() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker(Confirmation(veto=1.0))
    assert [t.id for t in tracker.update(image, 0.0, [pose.detection()])] == [1]
    tracker.veto(1)
    assert not tracker.urgent
    hidden = run(tracker, [(image, [pose.detection()])] * 28, start=DT)
    assert all(tracks == [] for tracks in hidden)
    back = run(tracker, [(image, [pose.detection()])] * 4, start=1.0)
    assert [t.id for t in back[-1]] == [1], "followed all the while: the same identity"


def test_a_vetoed_track_that_is_not_detected_keeps_its_place_hidden() -> None:
    """Else the next detection of the same plant would be a new face, shown until it is rejected again."""
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    tracker.update(image, 0.0, [pose.detection()])
    tracker.veto(1)
    shots = [(image, [pose.detection()] if i % 4 == 3 else []) for i in range(40)]
    assert all(tracks == [] for tracks in run(tracker, shots, start=DT))


def test_a_veto_of_an_unknown_track_changes_nothing() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    tracker.update(image, 0.0, [pose.detection()])
    tracker.veto(7)
    assert len(tracker.update(image, DT, [pose.detection()])) == 1


def test_a_weak_face_seen_once_is_never_shown() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    shots = [(image, [pose.detection(score=0.55)] if i == 0 else []) for i in range(5)]
    assert all(tracks == [] for tracks in run(tracker, shots))


def test_names_are_not_used_again() -> None:
    pose = Pose(320, 180, 150)
    image = picture(WALL, pose)
    tracker = Tracker()
    assert tracker.update(image, 0.0, [pose.detection()])[0].id == 1
    tracker.reset()
    assert tracker.update(image, 1.0, [pose.detection()])[0].id == 2


@pytest.mark.parametrize("steps", [[0.0] * 12, [0.033, 0.2, 0.0, 0.01, 0.5, 0.033], [-1.0, 0.033, 0.033], [1e-9] * 5])
def test_odd_clocks(steps: list[float]) -> None:
    tracker, time = Tracker(), 0.0
    for i, step in enumerate([0.0, *steps]):
        time += step
        pose = Pose(300 + 2.0 * i, 180, 150)
        tracks = tracker.update(picture(WALL, pose), time, [pose.detection()] if i % 2 == 0 else None)
        assert [t.id for t in tracks] == [1]
        assert np.abs(tracks[0].points - pose.points).max() < 3.0


def test_another_picture_size_starts_over() -> None:
    pose = Pose(320, 180, 150)
    tracker = Tracker()
    tracker.update(picture(WALL, pose), 0.0, [pose.detection()])
    assert tracker.update(picture(wall(200, 300), Pose(150, 100, 100)), DT, None) == []


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (30, 400)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    tracker = Tracker()
    for i in range(3):
        assert len(tracker.update(image, i * DT, [Pose(2, 2, 20).detection()] if i == 0 else None)) <= 1


def test_a_face_partly_outside_is_followed() -> None:
    tracker = Tracker()
    for i in range(20):
        pose = Pose(20 + i, 180, 150)
        tracks = tracker.update(picture(WALL, pose), i * DT, [pose.detection()] if i % 5 == 0 else None)
        assert [t.id for t in tracks] == [1]
        assert np.abs(tracks[0].points - pose.points).max() < 2.5


def test_nonsense_detections_are_ignored() -> None:
    good = Pose(320, 180, 150).detection()
    bad = [
        Detection((float("nan"), 0, 1, 1), 0.9, good.points),
        Detection((10, 10, 5, 5), 0.9, good.points),
        Detection(good.box, 0.9, np.zeros((5, 2), np.float32)),
        Detection(good.box, 0.9, np.tile(np.float32((320, 180)), (5, 1))),
        Detection(good.box, 0.9, np.full((5, 2), np.inf, np.float32)),
    ]
    assert Tracker().update(WALL, 0.0, bad) == []

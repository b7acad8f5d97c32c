"""The filter's promises, on a synthetic face with a noisy camera and a noisy restorer."""

import numpy as np
import pytest

from benchmarks.drawn.noisy_face import DT, Scene, flicker, mask_of
from frrcam.compose.temporal import HOLD_SECONDS, FaceMemory


@pytest.mark.parametrize("size", [112, 336])
def test_a_still_face_flickers_at_least_three_times_less(size: int) -> None:
    scene, memory = Scene(size), FaceMemory()
    raw = []
    shown = []
    for _ in range(40):
        crop, change = scene.look()
        remembered = memory.update(crop, change, scene.mask, 1.0, DT)
        assert remembered is not None
        raw.append(crop + change)
        shown.append(crop + remembered.change)
    before, after = flicker(raw[15:], scene.mask), flicker(shown[15:], scene.mask)
    assert before / after >= 3.0
    assert np.abs(np.mean(shown[15:], axis=0) - scene.clean)[scene.mask > 0].mean() < 2.0


def test_the_whole_colour_flickers_less_too() -> None:
    scene, memory = Scene(shift=4.0), FaceMemory()
    shown = [scene.show(memory)[scene.mask > 0].mean() for _ in range(60)]
    assert np.std(np.diff(shown[20:])) < 4.0 / np.sqrt(3) * np.sqrt(2) / 3


def test_a_moved_mouth_is_there_within_two_pictures() -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(30):
        scene.show(memory)
    opened = scene.clean.copy()
    mouth = np.s_[72:90, 40:72]
    opened[mouth] = np.clip(opened[mouth] - 60, 0, 255)
    scene.show(memory, opened)
    shown = scene.show(memory, opened)
    inside = np.s_[74:88, 42:70]
    way = (shown[inside] - scene.clean[inside]).mean() / (opened[inside] - scene.clean[inside]).mean()
    assert way >= 0.9


def test_exposure_of_the_camera_is_not_taken_for_motion() -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(30):
        scene.show(memory)
    shown = []
    for index in range(20):
        crop, change = scene.look()
        gain = 1.0 + 0.15 * np.sin(index)
        brighter = np.clip(crop * gain, 0, 255).astype(np.uint8)
        remembered = memory.update(brighter, crop + change - brighter, scene.mask, 1.0, DT)
        assert remembered is not None
        shown.append(brighter + remembered.change)
    raw = [crop + change for crop, change in (scene.look() for _ in range(20))]
    assert flicker(raw, scene.mask) / flicker(shown, scene.mask) >= 3.0


def test_a_real_change_of_light_comes_through() -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(20):
        scene.show(memory)
    darker = scene.clean * 0.7
    shown = scene.show(memory, darker)
    for _ in range(20):
        shown = scene.show(memory, darker)
    assert np.abs((shown - darker)[scene.mask > 0].mean()) < 2.0


def test_light_that_is_switched_is_followed_at_once_and_a_whim_is_not() -> None:
    """The same step of the restored face, with and without one of the light that the camera sees."""
    scene, switched, whim = Scene(shift=0.0), FaceMemory(), FaceMemory()
    for _ in range(20):
        scene.show(switched)
        before = scene.show(whim)[scene.mask > 0].mean()
    darker = scene.clean * 0.6
    assert abs(scene.show(switched, darker)[scene.mask > 0].mean() - darker[scene.mask > 0].mean()) < 10.0
    crop, _ = scene.look()
    remembered = whim.update(crop, darker - crop, scene.mask, 1.0, DT)
    assert remembered is not None
    assert abs((crop + remembered.change)[scene.mask > 0].mean() - before) < 6.0


def test_the_time_of_reused_pictures_counts() -> None:
    """A network that runs on each sixth picture only must not take six times as long to follow the light."""
    scene, sparse, dense = Scene(noise=0.0, waver=0.0, shift=0.0), FaceMemory(), FaceMemory()
    scene.show(sparse)
    scene.show(dense)
    brighter = scene.clean + 12.0
    for _ in range(4):
        crop, change = scene.look(brighter)
        for _ in range(5):
            sparse.update(crop, None, None, None, DT)
            scene.show(dense, brighter)
        remembered = sparse.update(crop, change, scene.mask, 1.0, DT)
        left = (scene.show(dense, brighter) - brighter)[scene.mask > 0].mean()
    assert remembered is not None
    assert -6.0 < left < -0.5
    assert abs((crop + remembered.change - brighter)[scene.mask > 0].mean()) < abs(left) + 1.0


def test_a_word_that_wavers_does_not_pump() -> None:
    """Of a dim picture the classifier says now this and now that, with every smile: the effect stays up."""
    scene, memory = Scene(), FaceMemory()
    effects = []
    for index in range(240):
        crop, change = scene.look()
        remembered = memory.update(crop, change, scene.mask, float(index % 60 < 40), DT)
        assert remembered is not None
        effects.append(remembered.effect)
    assert min(effects[90:]) > 0.75
    for _ in range(450):
        crop, change = scene.look()
        remembered = memory.update(crop, change, scene.mask, 0.0, DT)
    assert remembered is not None
    assert remembered.effect < 0.1


def test_light_that_wavers_on_a_still_face_does_not_pump() -> None:
    """The same camera picture, and a network that lifts it by ten levels more and less within a second."""
    scene, memory = Scene(noise=1.0, waver=0.0, shift=0.0), FaceMemory()
    lifts = []
    for index in range(120):
        crop, change = scene.look()
        wavering = change + np.float32(10.0 * np.sin(2 * np.pi * index / 30))
        remembered = memory.update(crop, wavering, scene.mask, 1.0, DT)
        assert remembered is not None
        lifts.append(float(remembered.change[scene.mask > 0].mean()))
    assert np.ptp(lifts[60:]) < 20.0 / 5


def test_a_first_result_that_is_off_is_soon_forgotten() -> None:
    scene, memory = Scene(noise=1.0, waver=0.0, shift=0.0), FaceMemory()
    crop, change = scene.look()
    memory.update(crop, change + np.float32(20.0), scene.mask, 1.0, DT)
    for _ in range(30):
        crop, change = scene.look()
        remembered = memory.update(crop, change, scene.mask, 0.0, DT)
    assert remembered is not None
    assert (remembered.change - change)[scene.mask > 0].mean() < 20.0 / 5
    assert remembered.effect < 1.0 / 5


def test_a_cut_starts_over_at_once() -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(20):
        scene.show(memory)
    other = np.ascontiguousarray(255 - scene.clean[::-1])
    shown = scene.show(memory, other)
    assert np.abs(shown - other)[scene.mask > 0].mean() < 12.0


def test_a_covered_camera_shows_no_ghost() -> None:
    """Of the noise that is left the network makes a face: it has no part in what was remembered, and fades in again."""
    scene, memory = Scene(), FaceMemory()
    for _ in range(20):
        scene.show(memory)
    for _ in range(3):
        black = np.clip(scene.random.normal(0, 2, scene.clean.shape).round(), 0, 255).astype(np.uint8)
        remembered = memory.update(black, scene.clean - black, scene.mask, 1.0, DT)
        assert remembered is not None
        assert remembered.effect == 0.0
    effects = [memory.update(*scene.look(), scene.mask, 1.0, DT) for _ in range(30)]
    assert [round(one.effect, 1) for one in effects if one][::29] == [0.0, 1.0]


def test_a_single_picture_is_not_faded() -> None:
    scene = Scene()
    crop, change = scene.look()
    remembered = FaceMemory().update(crop, change, scene.mask, 0.8, 0.0)
    assert remembered is not None
    assert remembered.effect == 0.8
    assert np.allclose(remembered.change, change, atol=1e-3)


def test_the_last_result_is_used_again_and_then_dropped() -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(30):
        shown = scene.show(memory)
    crop, _ = scene.look()
    again = memory.update(crop, None, None, None, DT)
    assert again is not None
    assert np.abs(crop + again.change - shown)[scene.mask > 0].mean() < 1.0
    effects = [again.effect]
    for _ in range(60):
        again = memory.update(crop, None, None, None, DT)
        effects.append(0.0 if again is None else again.effect)
    assert effects[int(HOLD_SECONDS / DT) - 2] == pytest.approx(1.0)
    assert effects == sorted(effects, reverse=True)
    assert effects[-1] == 0.0


def test_reuse_does_not_freeze_a_moving_mouth() -> None:
    scene, memory = Scene(noise=1.0), FaceMemory()
    for _ in range(30):
        scene.show(memory)
    opened = scene.clean.copy()
    opened[72:90, 40:72] = np.clip(opened[72:90, 40:72] - 80, 0, 255)
    crop, _ = scene.look(opened)
    again = memory.update(crop, None, None, None, DT)
    assert again is not None
    inside = np.s_[76:86, 46:66]
    difference = (crop + again.change)[inside].mean() - scene.clean[inside].mean()
    assert difference < -25.0


def test_a_lid_that_closes_between_two_results_is_lit_like_skin() -> None:
    """Where the dark eye was the network had added next to nothing: no shadow of it is to stay on the lid."""
    scene, memory = Scene(noise=1.0, waver=0.0, shift=0.0), FaceMemory()
    skin = scene.clean[44:54, 44:64].mean(axis=(0, 1))
    eye, within = np.s_[38:46, 30:46], np.s_[40:44, 33:43]
    scene.clean[eye] = 20.0
    closed = scene.clean.copy()
    closed[eye] = skin
    for _ in range(30):
        scene.show(memory)
    crop, _ = scene.look(closed)
    again = memory.update(crop, None, None, None, DT)
    assert again is not None
    assert np.abs((crop + again.change - closed)[within].mean()) < 0.15 * skin.mean()


def test_nothing_to_reuse() -> None:
    assert FaceMemory().update(np.zeros((64, 64, 3), np.uint8), None, None, None, DT) is None


@pytest.mark.parametrize(("first", "second"), [(112, 168), (168, 112)])
def test_another_size_does_not_pop(first: int, second: int) -> None:
    memory, scene = FaceMemory(), Scene(first, noise=0.0, waver=0.0, shift=0.0)
    for _ in range(20):
        scene.show(memory)
    other = Scene(second, noise=0.0, waver=0.0, shift=0.0)
    crop, _ = other.look()
    again = memory.update(crop, None, None, None, DT)
    assert again is not None
    assert again.change.shape == (second, second, 3)
    assert np.abs(crop + again.change - other.clean)[other.mask > 0].mean() < 4.0
    assert again.effect == pytest.approx(1.0)


@pytest.mark.parametrize("dt", [0.0, -1.0, 5.0])
def test_odd_time_steps(dt: float) -> None:
    scene, memory = Scene(), FaceMemory()
    for _ in range(5):
        assert np.isfinite(scene.show(memory, dt=dt)).all()


def test_a_flat_crop() -> None:
    memory = FaceMemory()
    flat = np.full((64, 64, 3), 90, np.uint8)
    for _ in range(3):
        remembered = memory.update(flat, np.zeros((64, 64, 3), np.float32), mask_of(64), 1.0, DT)
        assert remembered is not None
        assert np.isfinite(remembered.change).all()

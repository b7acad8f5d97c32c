"""The light of a scene over time, on invented frames and without any clock."""

from dataclasses import replace

import numpy as np
import pytest

from frrcam.amounts import PRESETS, Amounts
from frrcam.compose.relight import Relight, Seen
from frrcam.frame import Image
from tests.compose.scenes import SIZE, dimmed, scene, seen

FPS = 30
NATURAL = PRESETS["natural"]


class Rig:
    """A scene that is filmed frame after frame."""

    def __init__(self, image: Image, *faces: Seen) -> None:
        self.relight, self.image, self.faces = Relight(), image, list(faces) or [seen(image)]

    def stops(
        self, frames: int = 1, *, image: Image | None = None, faces: list[Seen] | None = None,
        amounts: Amounts = NATURAL, strength: float = 1.0,
    ) -> list[float]:  # fmt: skip
        """Stops on the first face's middle, frame by frame."""
        given = []
        for _ in range(frames):
            shown = self.faces if faces is None else faces
            picture = self.image if image is None else image
            field = self.relight.update(picture, shown, 1 / FPS, strength, amounts, SIZE)
            given.append(0.0 if field is None else float(field[0][field[0].shape[0] // 2, field[0].shape[1] // 2]))
        return given


def test_a_scene_in_good_light_is_left_alone():
    assert max(Rig(scene()).stops(30)) < 0.05


@pytest.mark.parametrize("skin", [0.35, 0.12])
def test_every_skin_keeps_its_tone_in_good_light(skin: float):
    assert max(Rig(scene(skin)).stops(30)) < 0.35


@pytest.mark.parametrize("dark", [0.08, 0.12, 0.2])
def test_a_dim_scene_is_lit_as_far_as_it_is_dim(dark: float):
    given = Rig(dimmed(scene(), dark)).stops(60)[-1]
    assert 0.45 * -np.log2(dark) < given < 1.2 * -np.log2(dark)


def test_light_comes_up_without_a_pop_and_then_stays():
    given = Rig(dimmed(scene(), 0.1)).stops(60)
    assert given[0] < 0.5
    assert np.abs(np.diff(given)).max() < 0.5
    assert np.ptp(given[20:]) < 0.02


def test_the_network_refines_and_never_switches():
    dim = dimmed(scene(), 0.1)
    measured = Rig(dim).stops(60)[-1]
    more, less = (Rig(dim, seen(dim, dimmed(dim, gain))).stops(60)[-1] for gain in (40.0, 0.5))
    assert 0.6 * measured < less < measured < more < 1.4 * measured


def test_a_wavering_opinion_does_not_pump():
    dim = dimmed(scene(), 0.1)
    sure, unsure = seen(dim, dimmed(dim, 12)), seen(dim, dim, trust=0.0)
    rig = Rig(dim, sure)
    rig.stops(60)
    given = [rig.stops(faces=[face])[0] for face in [sure, unsure] * 30]
    assert np.abs(np.diff(given)).max() < 0.03
    assert np.ptp(given) < 0.3


def test_the_cameras_own_exposure_is_answered_at_once():
    dim, brighter = dimmed(scene(), 0.1), dimmed(scene(), 0.2)
    rig = Rig(dim)
    before = rig.stops(60)[-1]
    after = rig.stops(1, image=brighter, faces=[seen(brighter)])[0]
    assert before - after == pytest.approx(1.0, abs=0.25)


def test_a_lost_face_fades_in_half_a_second_and_then_nothing_is_left():
    rig = Rig(dimmed(scene(), 0.1))
    full = rig.stops(60)[-1]
    gone = rig.stops(20, faces=[])
    assert 0.8 * full < gone[0] < full
    assert gone == sorted(gone, reverse=True)
    assert gone[14] == 0.0
    assert not rig.relight.active


def test_a_face_that_blinks_out_for_a_moment_keeps_its_light():
    rig = Rig(dimmed(scene(), 0.1))
    full = rig.stops(60)[-1]
    rig.stops(3, faces=[])
    assert rig.stops(1)[0] > 0.75 * full


def test_a_face_under_a_new_number_takes_over_the_light():
    rig = Rig(dimmed(scene(), 0.1))
    full = rig.stops(60)[-1]
    given = rig.stops(1, faces=[replace(rig.faces[0], id=2)])[0]
    assert given == pytest.approx(full, rel=0.05)


def test_a_cut_is_judged_afresh_and_at_once():
    rig = Rig(dimmed(scene(), 0.1))
    rig.stops(60)
    other = np.ascontiguousarray(scene(x=100, y=90)[::-1, ::-1])
    assert rig.stops(1, image=other, faces=[seen(scene(), id=2)])[0] < 0.1


def test_the_order_of_the_faces_does_not_matter():
    image = dimmed(scene(), 0.1)
    one, two = seen(image, x=100, side=60), seen(image, id=2, x=220, side=60)
    fields = []
    for faces in ([one, two], [two, one]):
        rig = Rig(image, *faces)
        rig.stops(20)
        fields.append(rig.relight.update(image, faces, 1 / FPS, 1.0, NATURAL, SIZE))
    assert fields[0] is not None
    assert fields[1] is not None
    assert np.allclose(fields[0][0], fields[1][0], atol=1e-4)


def test_amounts_and_strength_scale_the_light():
    dim = dimmed(scene(), 0.1)
    full = Rig(dim).stops(30)[-1]
    assert Rig(dim).stops(30, strength=0.5)[-1] == pytest.approx(full / 2, rel=0.05)
    assert Rig(dim).stops(30, amounts=replace(NATURAL, light=0.35))[-1] == pytest.approx(full / 2, rel=0.05)
    assert Rig(dim).stops(30, amounts=PRESETS["repair"])[-1] == 0.0
    assert Rig(dimmed(scene(), 0.4)).stops(30, amounts=PRESETS["bright"])[-1] > 0.8


def colours(image: Image, answer: Image, amounts: Amounts = NATURAL) -> np.ndarray:
    face = seen(image, answer)
    relight = Relight()
    for _ in range(30):
        field = relight.update(image, [face], 1 / FPS, 1.0, amounts, SIZE)
    assert field is not None
    return np.asarray(field[1][field[1].shape[0] // 2, field[1].shape[1] // 2])


def test_a_cast_that_network_and_scene_agree_on_is_taken_off():
    warm = dimmed(scene(), (0.06, 0.12, 0.2))
    blue, green, red = colours(warm, scene())
    assert 0.3 * np.log2(0.2 / 0.06) < blue - red < 1.2 * np.log2(0.2 / 0.06)
    assert blue > green > red
    assert np.abs(colours(warm, scene(), replace(NATURAL, colour=0.0))).max() == 0.0


def test_a_cast_that_the_scenes_white_denies_is_none():
    dim = dimmed(scene(), 0.12)
    tinted = dimmed(scene(), (0.5, 1.0, 1.4))
    assert np.abs(colours(dim, tinted)).max() < 0.1


def test_a_grey_picture_gets_no_colour():
    grey = np.repeat(dimmed(scene(), 0.12)[..., 1:2], 3, axis=2)
    assert np.abs(colours(grey, scene())).max() < 0.02

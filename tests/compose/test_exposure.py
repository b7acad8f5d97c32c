import numpy as np
import pytest

from frrcam.compose import exposure
from frrcam.compose.exposure import FaceReading, Meter, SceneReading
from tests.compose.scenes import dimmed, scene, seen

GOOD = SceneReading(white=-0.4, upper=-1.2, around=-0.8, bright_share=0.2)


def reading(gain: float = 1.0, face: float = 0.35) -> tuple[FaceReading, SceneReading]:
    image = dimmed(scene(face), gain)
    light = exposure.luminance(image)
    cells = exposure.small_face(seen(image).crop)
    return exposure.read_face(cells), exposure.read_scene(image, light, [(160, 80, 90)])


def test_readings_are_stops_below_white():
    face, picture = reading()
    assert picture.white == pytest.approx(np.log2(0.6), abs=0.05)
    assert picture.around == pytest.approx(np.log2(0.6), abs=0.05)
    assert face.bright > face.middle > -2.5


def test_half_the_light_reads_a_stop_less():
    (face, picture), (dim_face, dim_picture) = reading(), reading(0.5)
    assert face.bright - dim_face.bright == pytest.approx(1, abs=0.05)
    assert picture.white - dim_picture.white == pytest.approx(1, abs=0.05)


def test_a_face_in_good_light_lacks_nothing():
    meter = Meter()
    assert meter.face_stops(FaceReading(bright=-1.0, middle=-2.2), GOOD) < 0.05
    assert meter.scene_stops(GOOD) == 0.0


def test_dark_skin_with_its_highlights_in_good_light_lacks_next_to_nothing():
    assert Meter().face_stops(FaceReading(bright=-1.7, middle=-3.4), GOOD) < 0.4


def test_what_a_dim_scene_lacks_grows_with_the_darkness():
    meter = Meter()
    stops = []
    for dark in (0.0, 1.0, 2.0, 3.0):
        picture = SceneReading(GOOD.white - dark, GOOD.upper - dark, GOOD.around - dark, 0.0)
        stops.append(meter.face_stops(FaceReading(-1.0 - dark, -2.2 - dark), picture))
    assert stops == sorted(stops)
    assert stops[0] < 0.05
    assert stops[3] == pytest.approx(3, abs=0.6)


def test_a_face_half_in_the_shade_before_a_window_is_filled_in():
    shaded = FaceReading(bright=-0.5, middle=-3.2)
    assert 0.5 < Meter().face_stops(shaded, GOOD) < 1.3
    dark_room = SceneReading(white=-0.5, upper=-4.0, around=-4.0, bright_share=0.02)
    assert Meter().face_stops(shaded, dark_room) < 0.1


def test_who_wants_it_bright_gets_more_light():
    meter, face = Meter(), FaceReading(bright=-2.0, middle=-3.0)
    assert meter.face_stops(face, GOOD, eager=1.0) > meter.face_stops(face, GOOD) + 0.4


def test_no_more_is_given_than_noise_allows():
    black = SceneReading(-13.0, -13.0, -13.0, 0.0)
    assert Meter().face_stops(FaceReading(-13.0, -13.0), black, eager=1.0) == Meter().most


def test_the_cast_of_the_surroundings_is_what_makes_them_neutral():
    image = dimmed(scene(), (0.5, 1.0, 2.0))
    picture = exposure.read_scene(image, exposure.luminance(image), [(160, 80, 90)])
    blue, green, red = picture.cast
    assert blue - green == pytest.approx(1, abs=0.1)
    assert red < green


def test_a_picture_full_of_a_face_can_be_read():
    image = scene()
    picture = exposure.read_scene(image, exposure.luminance(image), [(160, 90, 900)])
    assert np.isfinite([picture.white, picture.around, *picture.cast]).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (700, 3, 3), (33, 479, 3)])
def test_small_pictures_of_any_shape(shape: tuple[int, int, int]):
    small = exposure.small_scene(np.full(shape, 90, np.uint8))
    assert small.shape[1] <= exposure.SCENE_WIDTH
    assert int(small.mean()) == 90

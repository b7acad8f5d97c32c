from dataclasses import replace

import numpy as np
import pytest

from frrcam.compose.exposure import CELLS
from frrcam.compose.field import NEUTRAL, WIDTH, FaceLight, Plane, extend, face_map, field_size
from tests.compose.scenes import SIDE, SIZE, scene, seen

DARK = np.full((10, 10), -5.0, np.float32)


def face(stops: float = 2.0, *, x: float = 160, side: float = 60, **changes: object) -> FaceLight:
    one = FaceLight(seen(scene(), x=x, side=side).affine, SIDE, stops, NEUTRAL)
    return replace(one, **changes)  # type: ignore[arg-type]


def light(*faces: FaceLight, scene_stops: float = 0.0, brightness: Plane = DARK, reach: str = "person") -> Plane:
    field = extend(list(faces), scene_stops, brightness, SIZE, reach)  # type: ignore[arg-type]
    assert field is not None
    return field[0]


def at(field: Plane, x: float, y: float) -> float:
    height, width = field.shape
    return float(field[min(int(y * height / SIZE[1]), height - 1), min(int(x * width / SIZE[0]), width - 1)])


def test_the_field_has_square_cells():
    assert field_size((1280, 720)) == (WIDTH, round(WIDTH * 9 / 16))
    assert light(face()).shape == field_size(SIZE)[::-1]


def test_the_head_gets_it_all_and_it_falls_off_smoothly():
    field = light(face())
    assert at(field, 160, 80) == pytest.approx(2.0, abs=0.01)
    row = field[round(field.shape[0] * 80 / 180)]
    right = row[row.size // 2 :]
    assert np.diff(right).max() <= 1e-4
    assert np.abs(np.diff(right)).max() < 0.1
    assert right[-1] < 1.3


@pytest.mark.parametrize(("reach", "least", "most"), [("face", 0.0, 0.1), ("person", 0.4, 1.6), ("picture", 1.4, 2.0)])
def test_reach_says_how_far(reach: str, least: float, most: float):
    assert least <= at(light(face(), reach=reach), 310, 90) <= most


def test_the_scenes_exposure_is_given_everywhere_but_no_more_than_to_the_face():
    assert at(light(face(), scene_stops=1.0), 5, 5) >= 1.0
    assert light(face(0.5), scene_stops=3.0).max() <= 0.51


def test_no_seam_and_no_order_between_faces():
    left, right = face(2.5, x=90, side=40), face(0.5, x=230, side=40)
    field = light(left, right)
    assert np.allclose(field, light(right, left), atol=1e-5)
    assert at(field, 90, 80) == pytest.approx(2.5, abs=0.2)
    assert at(field, 230, 80) == pytest.approx(0.5, abs=0.4)
    assert np.abs(np.diff(field, axis=1)).max() < 0.2


def test_a_face_that_fades_takes_its_light_along_smoothly():
    peaks = [light(face(amount=amount), scene_stops=1.0).max() for amount in (1.0, 0.5, 0.1)]
    assert peaks == pytest.approx([2.0, 1.0, 0.2], rel=0.6)
    assert extend([face(amount=0.0)], 1.0, DARK, SIZE, "person") is None


def test_fill_light_leaves_out_a_window():
    brightness = np.full((18, 32), -4.0, np.float32)
    brightness[:, 26:] = -0.2
    field = light(face(level=-3.0), brightness=brightness)
    assert at(field, 310, 90) < 0.05
    assert at(field, 20, 90) > 0.4


def test_uneven_light_stays_with_the_face_and_goes_beyond_its_mask():
    shape = np.tile(np.linspace(-1, 1, CELLS, dtype=np.float32), (CELLS, 1))
    known = np.zeros((CELLS, CELLS), np.float32)
    known[8:34, 10:32] = 1
    field = light(face(map=face_map(np.zeros((CELLS, CELLS, 3), np.float32), shape, known)))
    assert at(field, 170, 80) - at(field, 150, 80) > 0.3
    assert np.abs(np.diff(field, axis=1)).max() < 0.4


def test_colour_is_kept_in_part_far_away():
    colour = np.zeros((CELLS, CELLS, 3), np.float32)
    colour[..., 0] = 0.4
    known = np.ones((CELLS, CELLS), np.float32)
    field = extend([face(map=face_map(colour, colour[..., 1], known))], 0.0, DARK, SIZE, "person")
    assert field is not None
    assert field[1][..., 0].max() == pytest.approx(0.4, abs=0.02)
    assert 0.08 < field[1][-1, -1, 0] < 0.3


def test_a_face_outside_the_picture_does_no_harm():
    field = light(face(x=-400))
    assert np.isfinite(field).all()

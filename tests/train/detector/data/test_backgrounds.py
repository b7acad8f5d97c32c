from pathlib import Path

import numpy as np
import pytest

from train.detector.data import drawings
from train.detector.data.backgrounds import background, build, erased, load_or_build, scrambled, shreds
from train.detector.data.degrade import blur, compress, degrade, expose, noise, relight, shrink
from train.detector.data.drawings import SIDE
from train.detector.data.faces import FaceBank

DRAWN = (drawings.blobs, drawings.texture, drawings.stripes, drawings.furniture, drawings.lettering, drawings.figures)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: str(draw.__name__))
def test_drawings_fill_their_square(draw: object) -> None:
    assert callable(draw)
    image = draw(np.random.default_rng(1))
    assert image.shape == (SIDE, SIDE, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("cut", [shreds, scrambled, erased], ids=lambda cut: str(cut.__name__))
def test_pieces_of_pictures_fill_their_square(cut: object, bank: FaceBank) -> None:
    assert callable(cut)
    for seed in range(4):
        image = cut(np.random.default_rng(seed), bank)
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.uint8


def test_a_bank_is_built_once(bank: FaceBank, tmp_path: Path) -> None:
    first = np.array(load_or_build(tmp_path, 6, bank, np.random.default_rng(0)))
    again = load_or_build(tmp_path, 6, bank, np.random.default_rng(99))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, build(6, bank, np.random.default_rng(0)))


@pytest.mark.parametrize("size", [(96, 320), (320, 320), (33, 47)])
def test_a_piece_has_the_asked_size_and_is_a_copy(size: tuple[int, int]) -> None:
    backgrounds = np.full((2, SIDE, SIDE, 3), 200, np.uint8)
    for seed in range(8):
        piece = background(backgrounds, *size, np.random.default_rng(seed))
        assert piece.shape == (*size, 3)
        piece[:] = 0
    assert (backgrounds == 200).all()


@pytest.mark.parametrize(
    "step", [expose, relight, shrink, blur, noise, compress, degrade], ids=lambda s: str(s.__name__)
)
def test_degradations_keep_shape_and_input(step: object) -> None:
    assert callable(step)
    image = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    before = image.copy()
    for seed in range(6):
        worse = step(image, np.random.default_rng(seed))
        assert worse.shape == image.shape
        assert worse.dtype == np.uint8
    np.testing.assert_array_equal(image, before)

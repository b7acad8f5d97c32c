import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from frrcam.restore.contract import to_image, to_tensor


def crops(count: int, size: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (size, size, 3)).astype(np.uint8) for _ in range(count)]


@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 99))
def test_tensor_is_rgb_planes_in_unit_range(count: int, size: int, seed: int) -> None:
    faces = crops(count, size, seed)
    tensor = to_tensor(faces)
    assert tensor.shape == (count, 3, size, size)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    for face, planes in zip(faces, tensor, strict=True):
        for channel in range(3):
            expected = face[..., 2 - channel].astype(np.float32) * np.float32(1 / 255)
            assert np.array_equal(planes[channel], expected)


@given(st.integers(1, 40), st.integers(0, 99))
def test_image_undoes_tensor(size: int, seed: int) -> None:
    (face,) = crops(1, size, seed)
    image = to_image(to_tensor([face])[0])
    assert image.shape == face.shape
    assert np.array_equal(np.rint(image).astype(np.uint8), face)


def test_tensor_takes_crops_that_are_views() -> None:
    picture = crops(1, 20, 1)[0]
    view = picture[3:11, 4:12]
    assert np.array_equal(to_tensor([view]), to_tensor([view.copy()]))

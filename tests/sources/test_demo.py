import numpy as np
import pytest
from skimage import data

from frrcam.config import load_settings
from frrcam.errors import SourceLost, UsageError
from frrcam.frame import Image
from frrcam.pipeline.engine import load_detector
from frrcam.sources.demo import FACE_SHARE, DemoSource, _portrait


def images(source: DemoSource, count: int) -> list[Image]:
    with source:
        return [source.read().image for _ in range(count)]


def test_the_same_seed_gives_the_same_pictures() -> None:
    first, again, other = (images(DemoSource((320, 180), seed=seed), 5) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("size", [(160, 120), (480, 640), (641, 361), (1280, 720), (1280, 200)])
def test_fills_any_size_without_borders(size: tuple[int, int]) -> None:
    source = DemoSource(size, fps=1)
    assert (source.info.width, source.info.height, source.info.live) == (*size, False)
    for image in images(source, 6):
        assert image.dtype == np.uint8
        assert image.shape == (size[1], size[0], 3)
        edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (edges.max(axis=1) > 2).mean() > 0.9


def test_is_dim_noisy_and_moving() -> None:
    first, second, *_, late = images(DemoSource((640, 360)), 60)
    assert 20 < first.mean() < 110
    assert 2 < np.abs(first.astype(int) - second).mean() < 15
    assert np.abs(first.astype(int) - late).mean() > np.abs(first.astype(int) - second).mean()


def test_colour_cast_wanders() -> None:
    balance = [image[..., 0].mean() / image[..., 2].mean() for image in images(DemoSource((320, 180), fps=1), 13)]
    assert max(balance) / min(balance) > 1.3


def test_keeps_time_by_its_rate() -> None:
    with DemoSource((160, 120), fps=15) as source:
        frames = [source.read() for _ in range(4)]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 1 / 15, 2 / 15, 3 / 15])
    with pytest.raises(SourceLost, match="closed"):
        source.read()


@pytest.mark.parametrize(("size", "fps"), [((64, 64), 30), ((1280, 5000), 30), ((1280, 720), 0), ((1280, 720), 500)])
def test_absurd_wishes_are_refused(size: tuple[int, int], fps: float) -> None:
    with pytest.raises(UsageError, match="choose"):
        DemoSource(size, fps)


def test_the_portrait_is_scikit_images() -> None:
    assert np.array_equal(_portrait(), data.astronaut()[..., ::-1])


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_our_detector_finds_one_face_and_no_other(size: tuple[int, int]) -> None:
    detector = load_detector(load_settings())
    assert {len(detector.detect(image)) for image in images(DemoSource(size, fps=1), 16)} == {1}


@pytest.mark.parametrize("size", [(160, 120), (480, 640), (1280, 200), (640, 480)])
def test_the_face_is_in_the_picture(size: tuple[int, int]) -> None:
    source = DemoSource(size)
    window = min(size[1], size[0] * 9 / 16)
    assert source._level * size[1] - FACE_SHARE * window / 2 >= 0
    assert source._level * size[1] + FACE_SHARE * window / 2 <= size[1]

"""Each degradation against OpenCV or against what it must do, and Algorithm 1's bookkeeping."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from train import degrade as d
from train import operators
from train.jpeg import jpeg


def picture(size: int = 64) -> Tensor:
    """A smooth coloured picture with some edges (1×3×S×S)."""
    row, column = np.mgrid[0:size, 0:size] / size
    image = np.stack([row, column, 0.5 + 0.4 * np.sin(9 * row * column)], -1)
    image[size // 4 : size // 2, size // 3 : size // 2] = (0.9, 0.2, 0.1)
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]


def as_cv(image: Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("sigma", [0.4, 1.3, 5.0])
def test_blur_is_opencvs(sigma: float) -> None:
    image = picture()
    wanted = cv2.GaussianBlur(as_cv(image), (61, 61), sigma, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(as_cv(d.blur(image, torch.tensor([sigma]))) - wanted).max() < 1e-4


@pytest.mark.parametrize("ratio", [2.0, 2.56, 4.0])
def test_downscale_is_opencvs(ratio: float) -> None:
    image = picture()
    small = round(64 / ratio)
    reduced = cv2.resize(as_cv(image), (small, small), interpolation=cv2.INTER_AREA)
    wanted = cv2.resize(reduced, (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.abs(as_cv(d.downscale(image, torch.tensor([ratio]))) - wanted).max() < 1e-4


def test_shift_is_opencvs() -> None:
    image = picture()
    wanted = cv2.warpAffine(
        as_cv(image), np.float32([[1, 0, 1.25], [0, 1, 0]]), (64, 64), borderMode=cv2.BORDER_REPLICATE
    )
    columns, rows = operators.shift(torch.tensor([1.25]), 64), torch.eye(64)[None]
    # OpenCV keeps 1/32 of a pixel
    assert np.abs(as_cv(operators.apply(rows, columns, image)) - wanted).max() < 0.02


def test_motion_of_odd_length_is_opencvs_box() -> None:
    image = picture()
    wanted = cv2.blur(as_cv(image), (7, 1), borderType=cv2.BORDER_REPLICATE)
    columns, rows = operators.motion(torch.tensor([7.0]), 64), torch.eye(64)[None]
    assert np.abs(as_cv(operators.apply(rows, columns, image)) - wanted).max() < 1e-4


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_jpeg_is_libjpegs(quality: int) -> None:
    image = (picture() * 255).round() / 255
    bgr = (as_cv(image)[..., ::-1] * 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    wanted = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
    found = as_cv(jpeg(image, torch.tensor([float(quality)]))) * 255
    difference = np.abs(found - wanted)
    # libjpeg transforms in integers, so a coefficient may round the other way now and then
    assert difference.mean() < 0.6
    assert np.mean(difference < 4) > 0.98


def test_jpeg_takes_a_quality_below_one_for_one() -> None:
    image = picture()
    assert torch.equal(jpeg(image, torch.tensor([0.0])), jpeg(image, torch.tensor([1.0])))


def test_jpeg_keeps_a_size_that_is_no_multiple_of_the_block() -> None:
    assert jpeg(torch.rand(2, 3, 50, 37), torch.tensor([50.0, 90.0])).shape == (2, 3, 50, 37)


@pytest.mark.parametrize("turns", [-0.2, 0.0, 0.13])
def test_hue_is_opencvs(turns: float) -> None:
    image = picture()
    hsv = cv2.cvtColor(as_cv(image), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * turns) % 360
    wanted = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    assert np.abs(as_cv(d.turn_hue(image, torch.tensor([turns]))) - wanted).max() < 2e-3


def test_no_jitter_changes_nothing() -> None:
    zero = torch.zeros(1)
    assert torch.allclose(d.colour_jitter(picture(), zero, zero, zero, zero), picture(), atol=1e-5)


def test_full_desaturation_is_grey() -> None:
    zero = torch.zeros(1)
    grey = d.colour_jitter(picture(), zero, zero, -torch.ones(1), zero)
    assert float((grey.amax(1) - grey.amin(1)).max()) < 1e-5


def test_aberration_leaves_green_alone() -> None:
    image = picture()
    moved = d.aberration(image, torch.tensor([1.5]), torch.tensor([0.7]))
    assert torch.allclose(moved[:, 1], image[:, 1], atol=1e-5)
    assert float((moved[:, 0] - image[:, 0]).abs().max()) > 0.05


def one(**chosen: float) -> d.Degradation:
    return d.Degradation(percent_dist=1, **chosen)


def test_the_same_seed_gives_the_same_batch() -> None:
    images = picture().repeat(8, 1, 1, 1)
    first, second = (d.degrade(images, d.WEBCAM, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_percent_dist_leaves_the_rest_as_it_came() -> None:
    images = torch.rand(16, 3, 32, 32)
    degraded, labels = d.degrade(images, d.PAPER, torch.Generator().manual_seed(1))
    untouched = (degraded == images).flatten(1).all(1)
    # Algorithm 1 distorts while count / N <= 0.85: 14 of 16
    assert untouched.sum() == 2
    assert not labels[untouched].any()
    assert labels[~untouched].any(1).all()


def test_a_distorted_picture_always_gets_something() -> None:
    images = torch.rand(64, 3, 16, 16)
    _, labels = d.degrade(images, one(probability=0), torch.Generator().manual_seed(2))
    assert labels.any(1).all()


def test_values_stay_in_range_at_8_bits() -> None:
    degraded, _ = d.degrade(torch.rand(16, 3, 48, 48), d.WEBCAM, torch.Generator().manual_seed(3))
    assert float(degraded.min()) >= 0
    assert float(degraded.max()) <= 1
    steps = degraded[:13] * 255
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_noise_has_the_deviation_asked_for() -> None:
    grey = torch.full((1, 3, 128, 128), 0.5)
    draw = d.Sampler(torch.Generator().manual_seed(4), 1)
    assert float((draw.normal(grey) * 0.06).std()) == pytest.approx(0.06, rel=0.03)


@pytest.mark.parametrize("light", [d.screen_light, d.side_shade])
def test_added_light_is_smooth(light: d.Operation) -> None:
    lit = light(torch.full((4, 3, 64, 64), 0.4), d.Sampler(torch.Generator().manual_seed(6), 4))
    assert float((lit[..., 1:] - lit[..., :-1]).abs().max()) < 0.08
    assert float((lit - 0.4).abs().max()) > 0.02

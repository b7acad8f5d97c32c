"""Each degradation against OpenCV or against what it must do, and Algorithm 1's bookkeeping."""

import math
from dataclasses import replace

import cv2
import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from torch import Tensor

from train.degrade import operators
from train.degrade import pipeline as d
from train.degrade.jpeg import jpeg


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


@pytest.mark.parametrize(("amount", "sigma"), [(0.3, 0.5), (1.5, 1.2)])
def test_sharpening_is_opencvs_unsharp_mask(amount: float, sigma: float) -> None:
    image = picture()
    soft = cv2.GaussianBlur(as_cv(image), (61, 61), sigma, borderType=cv2.BORDER_REPLICATE)
    wanted = cv2.addWeighted(as_cv(image), 1 + amount, soft, -amount, 0)
    found = as_cv(d.sharpen(image, torch.tensor([amount]), torch.tensor([sigma])))
    assert np.abs(found - wanted).max() < 1e-3


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


@pytest.mark.parametrize("quality", [1, 5, 10, 25, 50, 75, 90, 95, 100])
def test_jpeg_is_libjpegs(quality: int) -> None:
    image = (picture() * 255).round() / 255
    bgr = (as_cv(image)[..., ::-1] * 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    wanted = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
    found = as_cv(jpeg(image, torch.tensor([float(quality)]))) * 255
    difference = np.abs(found - wanted)
    # libjpeg transforms in integers: a coefficient may round the other way, and shows in its block, 1 of 16 in chroma
    assert difference.mean() < 0.8
    assert np.mean(difference < 4) > 1 - 1 / 16


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


def test_exposure_is_opencvs() -> None:
    image = picture() / 2
    factors = (0.4, 0.95, 1.5)
    wanted = cv2.multiply(as_cv(image), (*factors, 1.0))
    settings = one(exposure=(0.4, 1.5))
    assert np.allclose(as_cv(image * torch.tensor(factors)[:, None, None]), wanted, atol=1e-6)
    exposed, labels = alone("exposed", image, settings)
    ratio = (exposed / image.clamp_min(1e-3))[0, :, 40:, 40:].flatten(1)
    # one factor per channel, up to the rounding to 8 bits
    assert float((ratio.amax(1) - ratio.amin(1)).max()) < 0.1
    assert ((ratio.mean(1) > 0.38) & (ratio.mean(1) < 1.52)).all()
    assert float(ratio.mean(1).diff().abs().min()) > 0.05, "each channel has its own"
    assert labels.tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("change", [-0.2, 0.2])
def test_brightness_contrast_and_saturation_are_pillows(change: float) -> None:
    image = (picture() * 255).round() / 255
    pillow = Image.fromarray((as_cv(image) * 255).astype(np.uint8))
    for place, enhancer in enumerate((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)):
        wanted = np.asarray(enhancer(pillow).enhance(1 + change), np.float32) / 255
        changes = [torch.tensor([change if i == place else 0.0]) for i in range(4)]
        # Pillow rounds the grey and the result to 8 bits
        assert np.abs(as_cv(d.colour_jitter(image, *changes)) - wanted).max() < 2.5 / 255


def test_aberration_is_opencvs_shift_of_red_and_blue() -> None:
    image, pixels, angle = picture(), 1.5, 0.7
    moved = as_cv(d.aberration(image, torch.tensor([pixels]), torch.tensor([angle])))
    for channel, sign in ((0, 1), (1, 0), (2, -1)):
        along = np.float32([[1, 0, sign * pixels * np.cos(angle)], [0, 1, sign * pixels * np.sin(angle)]])
        plane = np.ascontiguousarray(as_cv(image)[..., channel])
        wanted = cv2.warpAffine(plane, along, (64, 64), borderMode=cv2.BORDER_REPLICATE)
        # OpenCV keeps 1/32 of a pixel
        assert np.abs(moved[..., channel] - wanted).max() < 0.03


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


def one(**chosen: float | d.Range) -> d.Degradation:
    return d.Degradation(percent_dist=1, **chosen)


OPERATIONS = ("down", "exposed", "jittered", "chromatic", "noisy", "blurred", "compressed")


def alone(operation: str, image: Tensor, settings: d.Degradation) -> tuple[Tensor, Tensor]:
    """The picture (1×3×S×S) under one operation of Eq. 2: a seed by which it is the one that is forced."""
    settings = replace(settings, probability=0, percent_dist=1)
    for seed in range(1000):
        draw = d.Sampler(torch.Generator().manual_seed(seed), 1)
        picks = d.choose(draw, 0, torch.ones(1, dtype=torch.bool))
        if picks[OPERATIONS.index(operation)]:
            return d.degrade(image, settings, torch.Generator().manual_seed(seed))
    raise AssertionError(f"no seed forces {operation}")


def test_the_papers_ranges() -> None:
    # paper 002, §4.1
    assert (d.PAPER.downscale, d.PAPER.exposure, d.PAPER.jitter) == ((2, 4), (0.4, 1.5), (0.1, 0.2))
    assert (d.PAPER.chromatic, d.PAPER.noise, d.PAPER.blur) == ((1, 1.5), (0.01, 0.11), (0.2, 5))
    assert (d.PAPER.quality, d.PAPER.percent_dist) == ((0, 100), 0.85)
    assert (d.PAPER.screen, d.PAPER.shade, d.PAPER.motion, d.PAPER.chroma_noise) == (0, 0, 0, 0)


@hypothesis.settings(deadline=None)
@given(st.floats(-10, 10), st.floats(0, 10), st.integers(0, 1000))
def test_draws_stay_in_their_range(low: float, width: float, seed: int) -> None:
    draws = d.Sampler(torch.Generator().manual_seed(seed), 50).uniform((low, low + width))
    assert float(draws.min()) >= low - 1e-5
    assert float(draws.max()) <= low + width + 1e-5


@pytest.mark.parametrize(
    ("operation", "label"),
    [
        ("down", [0, 1, 0]),
        ("exposed", [0, 0, 1]),
        ("jittered", [0, 0, 1]),
        ("chromatic", [1, 0, 0]),
        ("noisy", [1, 0, 0]),
        ("blurred", [0, 1, 0]),
        ("compressed", [1, 0, 0]),
    ],
)
def test_each_operation_has_the_papers_label(operation: str, label: list[int]) -> None:
    degraded, labels = alone(operation, picture(), d.PAPER)
    assert labels.tolist() == [label]
    assert not torch.equal(degraded, picture())


@pytest.mark.parametrize(
    ("beside", "label"),
    [("screen", [0, 0, 1]), ("shade", [0, 0, 1]), ("motion", [0, 1, 0]), ("chroma_noise", [1, 0, 0])],
)
def test_what_is_beside_the_paper_is_labelled_too(beside: str, label: list[int]) -> None:
    # something that is labelled otherwise is what is forced beside it
    forced, own = ("exposed", [0, 0, 1]) if label != [0, 0, 1] else ("noisy", [1, 0, 0])
    _, labels = alone(forced, picture(), one(**{beside: 1.0}))
    assert labels.tolist() == [[a | b for a, b in zip(label, own, strict=True)]]


def test_the_operations_come_in_the_order_of_equation_2() -> None:
    image = picture()
    fixed = d.Degradation(
        downscale=(3, 3),
        exposure=(0.7, 0.7),
        jitter=(0, 0),
        chromatic=(0, 0),
        noise=(0, 0),
        blur=(8, 8),
        quality=(30, 30),
        percent_dist=1,
        probability=1,
    )
    degraded, labels = d.degrade(image, fixed, torch.Generator().manual_seed(0))
    three, sigma = torch.tensor([3.0]), torch.tensor([8.0 * 64 / d.REFERENCE])
    quality, reduced = torch.tensor([30.0]), d.downscale(image, three) * 0.7
    # a coefficient of the JPEG may round the other way now and then
    assert float((degraded - jpeg(d.blur(reduced, sigma), quality)).abs().mean()) < 2e-4
    assert float((degraded - d.blur(jpeg(reduced, quality), sigma)).abs().mean()) > 2e-3
    assert labels.tolist() == [[1, 1, 1]]


def test_the_blur_is_of_the_noise_too() -> None:
    grey = torch.full((1, 3, 96, 96), 0.5)
    nothing = {"downscale": (1, 1), "exposure": (1, 1), "jitter": (0, 0), "chromatic": (0, 0)}
    fixed = one(**nothing, noise=(0.1, 0.1), blur=(7, 7), quality=(100, 100), probability=1)
    degraded, _ = d.degrade(grey, fixed, torch.Generator().manual_seed(0))
    # white noise under a Gaussian of deviation σ keeps 1 / (2 σ √π) of its own
    assert float(degraded.std()) == pytest.approx(0.1 / (2 * 2 * math.pi**0.5), rel=0.25)


def test_the_likelihoods_are_those_set() -> None:
    picks = d.choose(d.Sampler(torch.Generator().manual_seed(0), 4000), 0.48, torch.ones(4000, dtype=torch.bool))
    for pick in picks:
        # one is forced where none came up, (1 − 0.48)^7 of the time, which adds 0.0015
        assert float(pick.float().mean()) == pytest.approx(0.4815, abs=0.03)


@pytest.mark.parametrize("shares", [2, 4, 8])
def test_a_share_of_a_batch_is_degraded_as_in_the_whole(shares: int) -> None:
    images = picture(32).repeat(8, 1, 1, 1)
    for settings in (d.PAPER, d.WEBCAM, replace(d.FAR, taken=20)):
        whole, labels = d.degrade(images, settings, torch.Generator().manual_seed(9))
        own = 8 // shares
        parts = [
            d.degrade(images[first : first + own], settings, torch.Generator().manual_seed(9), first, 8)
            for first in range(0, 8, own)
        ]
        assert torch.equal(torch.cat([part for part, _ in parts]), whole)
        assert torch.equal(torch.cat([part for _, part in parts]), labels)


def test_a_far_face_is_degraded_at_the_size_that_the_camera_takes_it_at() -> None:
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    found, labels = d.degrade(images, replace(d.FAR, taken=40), torch.Generator().manual_seed(3))
    small = torch.stack(
        [
            torch.from_numpy(cv2.resize(as_cv(image[None]), (40, 40), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
            for image in images
        ]
    )
    spoilt, of_small = d.degrade(small, d.FAR, torch.Generator().manual_seed(3))
    wanted = np.stack([cv2.resize(as_cv(image[None]), (96, 96)) for image in spoilt])
    assert np.abs(found.permute(0, 2, 3, 1).numpy() - wanted).max() < 1 / 255
    assert labels[:, 1].tolist() == [1.0] * 4
    assert torch.equal(labels[:, [0, 2]], of_small[:, [0, 2]])


def test_a_face_hardly_enlarged_is_not_called_blurred() -> None:
    settings = replace(d.FAR, taken=80, percent_dist=0.0)
    assert not d.degrade(torch.rand(2, 3, 96, 96), settings, torch.Generator().manual_seed(0))[1].any()


@given(st.integers(16, 400), st.floats(0, 1))
def test_a_far_face_is_no_larger_than_the_crop_and_no_smaller_than_the_least(size: int, draw: float) -> None:
    taken = d.far(size, draw).taken
    assert taken is not None
    assert min(d.LEAST_SIDE, size) <= taken <= size
    assert d.far(336, 0.0).taken == 336
    assert d.far(336, 1.0).taken == d.LEAST_SIDE


def test_the_same_seed_gives_the_same_batch() -> None:
    images = picture().repeat(8, 1, 1, 1)
    first, second = (d.degrade(images, d.WEBCAM, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_percent_dist_leaves_the_rest_as_it_came() -> None:
    images = torch.rand(4, 3, 16, 16)
    whole = 0
    for seed in range(100):
        degraded, labels = d.degrade(images, d.PAPER, torch.Generator().manual_seed(seed))
        untouched = (degraded == images).flatten(1).all(1)
        assert not labels[untouched].any()
        assert labels[~untouched].any(1).all()
        whole += int(untouched.sum())
    # 15 % of 400 pictures, whatever the batch; three deviations are 21
    assert abs(whole - 60) < 22


def test_nothing_is_distorted_where_nothing_should_be() -> None:
    images = torch.rand(4, 3, 16, 16)
    degraded, labels = d.degrade(images, d.Degradation(percent_dist=0), torch.Generator().manual_seed(1))
    assert torch.equal(degraded, images)
    assert not labels.any()


def test_a_distorted_picture_always_gets_something() -> None:
    images = torch.rand(64, 3, 16, 16)
    _, labels = d.degrade(images, one(probability=0), torch.Generator().manual_seed(2))
    assert labels.any(1).all()


def test_values_stay_in_range_at_8_bits() -> None:
    degraded, _ = d.degrade(
        torch.rand(16, 3, 48, 48), replace(d.WEBCAM, percent_dist=1), torch.Generator().manual_seed(3)
    )
    assert float(degraded.min()) >= 0
    assert float(degraded.max()) <= 1
    steps = degraded * 255
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_noise_has_the_deviation_asked_for() -> None:
    grey = torch.full((1, 3, 128, 128), 0.5)
    noisy, _ = alone("noisy", grey, one(noise=(0.06, 0.06)))
    assert float(noisy.std()) == pytest.approx(0.06, rel=0.03)
    # each place's and each channel's own
    assert float(noisy.diff(dim=1).std()) == pytest.approx(0.06 * 2**0.5, rel=0.03)
    assert float(noisy.diff(dim=2).std()) == pytest.approx(0.06 * 2**0.5, rel=0.03)


def test_blotches_are_coloured_and_stronger_in_the_dark() -> None:
    dark, light = (
        d.chroma_noise(torch.full((8, 3, 64, 64), value), d.Sampler(torch.Generator().manual_seed(1), 8), 1)
        for value in (0.1, 0.9)
    )
    assert torch.allclose(dark / 1.2, light / 0.4, atol=1e-6)
    grey = dark.mean(1, keepdim=True)
    # between one noise in all channels (0) and one of each channel's own (√2)
    assert 0.4 < float((dark - grey).std() / grey.std()) / 2**0.5 < 1


def test_colours_are_moved_apart_as_far_as_asked_for() -> None:
    # at 336 px the lengths of §4.1 hold as they are: a step edge moves by its full 1.5 px, in red against blue
    edge = (torch.arange(336) >= 168).float().expand(1, 3, 336, 336).contiguous()
    moved, _ = alone("chromatic", edge, one(chromatic=(1.5, 1.5)))
    covered = moved.sum((2, 3))[0] / 336
    assert float(covered[1]) == pytest.approx(168, abs=0.01)
    assert float((covered[0] - 168) + (covered[2] - 168)) == pytest.approx(0, abs=0.02)
    assert 0 < float((covered[0] - 168).abs()) <= 1.51


def test_jitter_stays_within_its_strength() -> None:
    grey = torch.full((1, 3, 16, 16), 0.5)
    for low, high in ((0.0, 0.0), (0.2, 0.2)):
        # a grey picture answers to brightness alone, by a factor within 1 ± strength
        jittered, _ = alone("jittered", grey, one(jitter=(low, high)))
        change = float((jittered / 0.5 - 1).abs().max())
        assert change <= high + 0.01
        assert (change > 0.01) == (high > 0)


@pytest.mark.parametrize("light", [d.screen_light, d.side_shade])
def test_added_light_is_smooth(light: d.Operation) -> None:
    lit = light(torch.full((4, 3, 64, 64), 0.4), d.Sampler(torch.Generator().manual_seed(6), 4))
    assert float((lit[..., 1:] - lit[..., :-1]).abs().max()) < 0.08
    assert float((lit - 0.4).abs().max()) > 0.02

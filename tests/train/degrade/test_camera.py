"""What the camera's chain does, and how near its parts are to what they stand for."""

import io
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from train.degrade import camera, kernels
from train.degrade.h264 import h264
from train.degrade.occluders import CutOuts, drawn


def faces(count: int = 4, size: int = 64) -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=random)
    fine = torch.rand(count, 3, size // 2, size // 2, generator=random)
    smooth, rough = (torch.nn.functional.interpolate(x, (size, size), mode="bicubic") for x in (coarse, fine))
    return (0.2 + 0.5 * smooth + 0.15 * rough).clamp(0, 1)


def test_one_seed_spoils_alike_and_another_does_not():
    first, again, other = (camera.spoil(faces(), camera.CAMERA, seed)[0] for seed in ((1,), (1,), (2,)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("seed", range(6))
def test_pictures_stay_in_range_in_8_bit_steps_and_labels_are_shares(seed: int):
    spoiled, labels = camera.spoil(faces(), camera.CAMERA, (seed,))
    assert spoiled.shape == faces().shape
    assert (spoiled * 255 - (spoiled * 255).round()).abs().max() < 1e-3
    assert 0 <= float(spoiled.min()) <= float(spoiled.max()) <= 1
    assert 0 <= float(labels.min()) <= float(labels.max()) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_the_shares_of_a_batch_are_nearly_the_whole_batch(seed: int):
    """But for the last bit of a convolution, which a codec's steps may enlarge here and there."""
    whole, labels = camera.spoil(faces(8), camera.CAMERA, (seed,))
    parts = [camera.spoil(faces(8)[first : first + 2], camera.CAMERA, (seed,), first, 8) for first in (0, 2, 4, 6)]
    assert (torch.cat([part[0] for part in parts]) - whole).abs().mean() < 0.002
    assert torch.allclose(torch.cat([part[1] for part in parts]), labels, atol=0.02)


def test_a_good_camera_spoils_nothing():
    spoiled, labels = camera.spoil(faces(), replace(camera.CAMERA, untouched=1.0), (1,))
    assert torch.equal(spoiled, faces())
    assert float(labels.max()) == 0


def test_each_kind_of_fault_gets_its_own_label():
    nothing = replace(
        camera.CAMERA, untouched=0, light=0, kernel=0, small=0, noise=0, denoiser=0, sharpening=0, codec=0, again=0
    )
    for change, kind in (({"noise": 1.0, "levels": (9, 10)}, 0), ({"kernel": 1.0, "softness": (4, 5)}, 1)):
        _, labels = camera.spoil(faces(), replace(nothing, **change), (3,))
        assert int(labels.mean(0).argmax()) == kind


def test_gaussian_is_opencvs():
    blurred = kernels.convolve(faces(1), kernels.gaussian(torch.tensor([2.0]), torch.tensor([2.0])))
    expected = cv2.GaussianBlur(faces(1)[0].permute(1, 2, 0).numpy(), (0, 0), 2.0, borderType=cv2.BORDER_REFLECT_101)
    inner = np.s_[10:-10, 10:-10]
    assert np.abs(blurred[0].permute(1, 2, 0).numpy()[inner] - expected[inner]).max() < 0.004


@pytest.mark.parametrize(
    "kernel",
    [
        kernels.gaussian(torch.tensor([3.0]), torch.tensor([0.6]), torch.tensor([0.7])),
        kernels.disc(torch.tensor([3.4])),
        kernels.line(torch.tensor([9.0]), torch.tensor([0.5])),
    ],
)
def test_kernels_keep_the_mean(kernel: Tensor):
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    assert float(kernel.min()) >= 0


def test_a_line_spreads_along_its_angle_only():
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    spread = kernels.convolve(point.expand(1, 3, -1, -1), kernels.line(torch.tensor([11.0]), torch.tensor([0.0])))[0, 0]
    across, along = spread.sum(0), spread.sum(1)
    assert max(int((across > 1e-3).sum()), int((along > 1e-3).sum())) == pytest.approx(11, abs=2)
    assert min(int((across > 1e-3).sum()), int((along > 1e-3).sum())) <= 3


def x264(picture: np.ndarray, parameter: int) -> np.ndarray:
    """A picture (H×W×3 uint8 RGB) as the last of a still clip at a constant QP shows it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=30, options={"qp": str(parameter), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][-1]


@pytest.mark.parametrize("parameter", [26, 32, 38])
def test_h264_loses_about_as_much_as_the_codec(parameter: int):
    picture = (faces(1, 128)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    ours = (h264(tensor, torch.tensor([float(parameter)]))[0].permute(1, 2, 0).numpy() * 255).clip(0, 255)
    theirs = x264(picture, parameter)
    errors = [10 * np.log10(65025 / np.mean((coded.astype(float) - picture) ** 2)) for coded in (ours, theirs)]
    assert errors[0] == pytest.approx(errors[1], abs=3.0)


def test_what_is_put_before_a_face_is_left_out_of_its_mask():
    picture, mask = np.full((96, 96, 3), 120, np.uint8), np.full((96, 96), 255, np.uint8)
    before = picture.copy()
    alpha = CutOuts([]).put(picture, mask, np.random.default_rng(3))
    assert alpha.max() > 0.9
    assert mask[alpha > 0.99].max() <= 3
    assert mask[alpha == 0].min() == 255
    assert np.array_equal(picture[alpha == 0], before[alpha == 0])


@pytest.mark.parametrize("seed", range(6))
def test_drawn_things_have_an_inside_and_an_outside(seed: int):
    thing = drawn(np.random.default_rng(seed))
    assert thing.alpha.max() == 1
    assert thing.alpha.min() == 0

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from train.common import metrics


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=48, mode="bilinear")
    return target, (target + 0.05 * torch.randn(target.shape, generator=generator)).clamp(0, 1)


def test_ssim_and_psnr_are_scikit_images() -> None:
    target, restored = pair()
    for i in range(2):
        a, b = (x[i].numpy() for x in (target, restored))
        wanted, places = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0, data_range=1, full=True
        )
        assert float(metrics.ssim(target, restored)[i]) == pytest.approx(float(wanted), abs=1e-4)
        found = metrics.ssim_map(target, restored)[i, 0].numpy()
        assert np.allclose(found, places.mean(0)[5:-5, 5:-5], atol=1e-4)
        assert float(metrics.psnr(target, restored)[i]) == pytest.approx(
            float(peak_signal_noise_ratio(a, b, data_range=1)), abs=1e-3
        )


def test_equal_pictures() -> None:
    target, _ = pair()
    assert np.allclose(metrics.psnr(target, target).numpy(), 100)
    assert np.allclose(metrics.ssim(target, target).numpy(), 1, atol=1e-5)


def test_inside_a_mask_the_outside_does_not_count() -> None:
    target, restored = pair()
    mask = torch.zeros(2, 1, 48, 48)
    mask[:, :, 16:32, 16:32] = 1
    worse = torch.where(mask > 0, restored, torch.zeros(()))
    assert torch.allclose(metrics.psnr(target, restored, mask), metrics.psnr(target, worse, mask))
    inner = (slice(None), slice(None), slice(16, 32), slice(16, 32))
    assert torch.allclose(metrics.psnr(target, restored, mask), metrics.psnr(target[inner], restored[inner]))
    assert torch.allclose(metrics.psnr(target, restored, torch.ones_like(mask)), metrics.psnr(target, restored))
    similarity = metrics.ssim_map(target, restored)[:, :, 11:27, 11:27].mean((1, 2, 3))
    assert torch.allclose(metrics.ssim(target, restored, mask), similarity)
    assert bool(metrics.psnr(target, restored, torch.zeros_like(mask)).isnan().all())


def test_dice() -> None:
    a, b = torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    a[0, :, :2], b[0, :, 1:3] = 0.9, 0.6  # two rows each, one in common
    a[1, :, :2] = 0.7
    assert metrics.dice(a, b).tolist() == pytest.approx([0.5, 0, 1])


def test_f1() -> None:
    labels = torch.tensor([[1.0, 1], [1, 0], [0, 0]])
    assert metrics.macro_f1(labels, labels) == 1
    assert metrics.f1(labels, torch.ones(3, 2)).tolist() == pytest.approx([2 * 2 / 5, 2 * 1 / 4])
    assert metrics.macro_f1(labels, torch.ones(3, 2)) == pytest.approx((2 * 2 / 5 + 2 * 1 / 4) / 2)


def test_finer_is_what_its_cells_mean_leaves() -> None:
    images = torch.rand(2, 3, 17, 24)
    means = torch.nn.functional.avg_pool2d(images, 5, 1, 2, count_include_pad=False)
    assert torch.allclose(metrics.finer(images, 5), images - means, atol=1e-6)


def test_sharpness_is_one_of_a_picture_itself_and_less_of_a_blurred_one() -> None:
    target, noisy = pair()
    blurred = torch.nn.functional.avg_pool2d(target, 5, 1, 2, count_include_pad=False)
    assert metrics.sharpness(target, target).tolist() == pytest.approx([1, 1])
    assert (metrics.sharpness(target, blurred) < 0.9).all()
    assert (metrics.sharpness(target, noisy) > 1.1).all()
    # neither light nor contrast of what is coarse, and half the detail is half as sharp
    spots = torch.zeros(1, 3, 16, 16)
    spots[..., 8, 8] = 0.5
    assert float(metrics.sharpness(spots, 0.3 + 0.5 * spots)) == pytest.approx(0.5)

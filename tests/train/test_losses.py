"""The paper's losses on cases with known answers, and their gradients."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train import losses


def colours(*rgb: float) -> Tensor:
    return torch.tensor(rgb)[None, :, None, None].expand(1, 3, 4, 4).contiguous()


def test_huber_is_square_near_and_linear_far() -> None:
    zero = torch.zeros(1, 3, 2, 2)
    assert float(losses.huber(zero, zero + 0.04)) == pytest.approx(0.5 * 0.04**2)
    assert float(losses.huber(zero, zero + 0.5)) == pytest.approx(0.1 * (0.5 - 0.05))


def test_angular_between_orthogonal_colours_is_a_right_angle() -> None:
    angle = losses.angular(colours(1, 0, 0), colours(0, 1, 0), floor=0)
    assert float(angle) == pytest.approx(math.pi / 2, abs=1e-3)


def test_angular_does_not_see_brightness() -> None:
    assert float(losses.angular(colours(0.8, 0.4, 0.2), colours(0.4, 0.2, 0.1), floor=0)) == pytest.approx(0, abs=1e-3)


def test_dice_of_equal_disjoint_and_half_masks() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    assert float(losses.dice(mask, mask)) == pytest.approx(0, abs=1e-6)
    assert float(losses.dice(mask, 1 - mask, epsilon=0)) == pytest.approx(1)
    half = mask.clone()
    half[:, :, 4:] = 0
    assert float(losses.dice(mask, half, epsilon=0)) == pytest.approx(1 - 2 * 16 / (32 + 16))


def test_gram_of_constant_channels() -> None:
    features = torch.tensor([1.0, 2.0])[None, :, None, None].expand(1, 2, 3, 3)
    assert torch.allclose(losses.gram(features)[0], torch.tensor([[1.0, 2.0], [2.0, 4.0]]) * 9 / 18)


def test_style_does_not_see_where_features_are() -> None:
    features = torch.rand(1, 4, 6, 6)
    assert float(losses.style([features], [features.flip(-1)])) == pytest.approx(0, abs=1e-9)
    assert float(losses.perceptual([features], [features.flip(-1)])) > 0.01


def test_log_error_of_equal_pictures_is_the_floors() -> None:
    image = torch.rand(2, 3, 4, 4)
    assert float(losses.log_error(image, image)) == pytest.approx(math.log(1e-4))


Loss = Callable[[Tensor, Tensor], Tensor]


@pytest.mark.parametrize(
    "loss",
    [
        losses.reconstruction,
        losses.huber,
        losses.angular,
        losses.log_error,
        losses.dice,
        lambda a, b: losses.coarse(a, b, cell=2),
        lambda a, b: losses.detail(a, b, cell=3),
        lambda a, b: losses.perceptual([a], [b]),
        lambda a, b: losses.style([a], [b]),
    ],
)
def test_gradients(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator)
    restored = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(target, x), (restored,))


def test_angular_gradient_is_finite_where_the_pictures_agree() -> None:
    image = torch.rand(1, 3, 4, 4)
    image[..., 0] = 0
    restored = image.clone().requires_grad_()
    losses.angular(image, restored).backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


def test_total_is_the_weighted_sum_of_its_terms() -> None:
    truth = losses.Truth(torch.rand(2, 3, 16, 16), torch.ones(2, 3), torch.ones(2, 1, 16, 16))
    outputs = (torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16), torch.zeros(2, 3))
    weights = losses.Weights()
    loss, terms = losses.total(outputs, truth, weights)
    assert set(terms) == {"reconstruction", "angular", "classifier", "log_error", "coarse", "detail", "dice"}
    assert float(loss) == pytest.approx(sum(getattr(weights, name) * value for name, value in terms.items()), rel=1e-5)
    assert terms["classifier"] == pytest.approx(math.log(2), rel=1e-5)

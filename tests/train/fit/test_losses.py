"""The paper's losses on cases with known answers, and their gradients."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train.common import metrics
from train.fit import losses
from train.networks.face_features import Seen


def colours(*rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32)[None, :, None, None].expand(1, 3, 4, 4).contiguous()


def test_huber_is_square_near_and_linear_far() -> None:
    zero = torch.zeros(1, 3, 2, 2)
    assert float(losses.huber(zero, zero + 0.04)) == pytest.approx(0.5 * 0.04**2)
    assert float(losses.huber(zero, zero + 0.5)) == pytest.approx(0.1 * (0.5 - 0.05))


def test_reconstruction_is_l1_and_huber() -> None:
    zero = torch.zeros(1, 3, 2, 2)
    assert float(losses.reconstruction(zero, zero + 0.04)) == pytest.approx(0.04 + 0.5 * 0.04**2)
    assert float(losses.reconstruction(zero, zero - 0.5)) == pytest.approx(0.5 + 0.1 * (0.5 - 0.05))


@pytest.mark.parametrize("degrees", [5, 30, 60])
def test_angular_is_the_angle(degrees: float) -> None:
    angle = math.radians(degrees)
    found = losses.angular(colours(1, 0, 0), colours(math.cos(angle), math.sin(angle), 0), floor=0)
    assert float(found) == pytest.approx(angle, abs=1e-3)


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


def test_two_empty_masks_agree() -> None:
    assert float(losses.dice(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))) == 0


def test_dice_is_each_pictures_own() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[0] = 1
    mask[1, :, 0, 0] = 1
    found = mask.clone()
    found[1] = 0
    # the second picture's mask of one place is missed whole, however small beside the first's
    assert float(losses.dice(mask, found, epsilon=0)) == pytest.approx(0.5)


def test_perceptual_is_the_mean_square_of_each_layer_summed() -> None:
    target = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 5, 2, 2)]
    assert float(losses.perceptual(target, [target[0] + 2, target[1] - 3])) == pytest.approx(4 + 9)


def test_style_is_the_square_distance_of_gram_matrices() -> None:
    one = torch.ones(1, 2, 3, 3)
    # Gram entries: 1 · 9 / 18 and 4 · 9 / 18, in all four places
    assert float(losses.style([one], [2 * one])) == pytest.approx(4 * (2 - 0.5) ** 2)


def test_gram_of_constant_channels() -> None:
    features = torch.tensor([1.0, 2.0])[None, :, None, None].expand(1, 2, 3, 3)
    assert torch.allclose(losses.gram(features)[0], torch.tensor([[1.0, 2.0], [2.0, 4.0]]) * 9 / 18)


def test_style_does_not_see_where_features_are() -> None:
    features = torch.rand(1, 4, 6, 6)
    assert float(losses.style([features], [features.flip(-1)])) == pytest.approx(0, abs=1e-9)
    assert float(losses.perceptual([features], [features.flip(-1)])) > 0.01


def test_identity_is_one_less_the_cosine() -> None:
    one, other = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[6.0, 8.0], [0.0, 2.0]])
    assert float(losses.identity(one, one)) == pytest.approx(0, abs=1e-6)
    # the same direction, and a right angle
    assert float(losses.identity(one, other)) == pytest.approx(0.5)


def test_dissimilarity_is_that_of_the_middle_and_is_not_fooled_by_values_that_cannot_be_shown() -> None:
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    noisy = (image + 0.2 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    wanted = 1 - metrics.ssim(image[..., 12:36, 12:36], noisy[..., 12:36, 12:36])
    assert float(losses.dissimilarity(image, noisy)) == pytest.approx(float(wanted))
    assert float(losses.dissimilarity(image.round(), image.round() * 3 - 1)) == pytest.approx(0, abs=1e-6)


def test_log_error_of_equal_pictures_is_the_floors() -> None:
    image = torch.rand(2, 3, 4, 4)
    assert float(losses.log_error(image, image)) == pytest.approx(math.log(1e-4))


def test_log_error_is_psnr() -> None:
    zero = torch.zeros(1, 3, 4, 4)
    decibels = -10 / math.log(10) * float(losses.log_error(zero, zero + 0.1, floor=0))
    assert decibels == pytest.approx(20)


def test_coarse_sees_the_mean_of_a_cell_alone() -> None:
    checks = torch.tensor([0.1, -0.1]).repeat(8)[None, None, None].expand(1, 3, 16, 16)
    zero = torch.zeros(1, 3, 16, 16)
    assert float(losses.coarse(zero, zero + checks)) == pytest.approx(0, abs=1e-7)
    assert float(losses.coarse(zero, zero + 0.3)) == pytest.approx(0.3)


def test_fine_does_not_see_a_shift_in_colour() -> None:
    zero = torch.zeros(1, 3, 16, 16)
    assert float(losses.fine(zero, zero + 0.3)) == pytest.approx(0, abs=1e-6)
    spot = zero.clone()
    spot[0, 0, 8, 8] = 1
    # the spot less its share of a 5×5 cell, and that share in the 24 places around it
    assert float(losses.fine(zero, spot)) == pytest.approx((24 / 25 + 24 / 25) / zero.numel(), rel=1e-4)


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
        lambda a, b: losses.fine(a, b, cell=3),
        lambda a, b: losses.perceptual([a], [b]),
        lambda a, b: losses.style([a], [b]),
    ],
)
def test_gradients(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator)
    restored = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(target, x), (restored,))


class Features(torch.nn.Module):
    """A feature network of one layer, for the terms that take one."""

    def forward(self, images: Tensor) -> Seen:
        return Seen([images.square().mean(2, keepdim=True), images.tanh()], images.mean(2).flatten(1))


def test_gradient_of_the_whole_objective() -> None:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    truth = losses.Truth(rand(1, 3, 16, 16), rand(1, 3).round(), rand(1, 1, 16, 16).round())
    outputs = [output.requires_grad_() for output in (rand(1, 3, 16, 16), rand(1, 1, 16, 16), rand(1, 3))]

    for weights in (losses.PAPER, losses.Weights(perceptual=0.04, style=4e-5, identity=0.1)):

        def total(*found: Tensor, weights: losses.Weights = weights) -> Tensor:
            return losses.total((found[0], found[1], found[2]), truth, weights, Features())[0]

        assert torch.autograd.gradcheck(total, outputs, fast_mode=True)


def test_the_papers_weights() -> None:
    # paper 002, §4.1
    paper = losses.PAPER
    assert (paper.reconstruction, paper.angular, paper.perceptual) == (1, 1, 0.04)
    assert (paper.style, paper.dice) == (4e-5, 1)
    assert (paper.log_error, paper.coarse, paper.fine) == (0, 0, 0)


def test_features_are_not_run_for_nothing() -> None:
    class Never(torch.nn.Module):
        def forward(self, images: Tensor) -> Seen:
            raise AssertionError("it was run")

    image = torch.rand(1, 3, 16, 16)
    truth = losses.Truth(image, torch.zeros(1, 3), None)
    _, terms = losses.total((image, image[:, :1], torch.zeros(1, 3)), truth, losses.Weights(), Never())
    assert not {"perceptual", "style", "dice", "mask"} & terms.keys()


@pytest.mark.parametrize("name", ["perceptual", "style", "identity"])
def test_of_features_only_what_has_a_weight_is_measured(name: str) -> None:
    class Features(torch.nn.Module):
        def forward(self, images: Tensor) -> Seen:
            return Seen([images], images.flatten(1))

    image = torch.rand(1, 3, 16, 16)
    truth = losses.Truth(image, torch.zeros(1, 3), None)
    weights = losses.Weights(**{name: 1.0})
    _, terms = losses.total((image / 2, image[:, :1], torch.zeros(1, 3)), truth, weights, Features())
    assert {"perceptual", "style", "identity"} & terms.keys() == {name}


def test_angular_gradient_is_finite_where_the_pictures_agree() -> None:
    image = torch.rand(1, 3, 4, 4)
    image[..., 0] = 0
    restored = image.clone().requires_grad_()
    losses.angular(image, restored).backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


def test_total_is_the_weighted_sum_of_its_terms() -> None:
    truth = losses.Truth(torch.rand(2, 3, 32, 32), torch.ones(2, 3), torch.ones(2, 1, 32, 32))
    outputs = (torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32), torch.zeros(2, 3))
    weights = losses.Weights()
    loss, terms = losses.total(outputs, truth, weights)
    assert set(terms) == {"reconstruction", "angular", "classifier", "log_error", "coarse", "fine", "dice", "mask"}
    assert float(loss) == pytest.approx(
        sum(getattr(weights, name) * float(value) for name, value in terms.items()), rel=1e-5
    )
    weights = losses.Weights(ssim=0.2, identity=0.3)
    assert weights.featured
    loss, terms = losses.total(outputs, truth, weights, Features())
    assert {"ssim", "identity"} < set(terms)
    assert float(loss) == pytest.approx(
        sum(getattr(weights, name) * float(value) for name, value in terms.items()), rel=1e-5
    )
    assert float(terms["classifier"]) == pytest.approx(math.log(2), rel=1e-5)

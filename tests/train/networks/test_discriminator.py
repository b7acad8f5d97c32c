"""The discriminator: its losses on known logits, what it learns, and what it asks of the network."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.fit import losses
from train.networks.discriminator import Adversary, Discriminator, discrimination


def pictures(seed: int) -> tuple[Tensor, Tensor]:
    """Noise, and the same blurred (4×3×32×32)."""
    sharp = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return sharp, functional.avg_pool2d(sharp, 5, 1, 2)


def test_the_losses_are_cross_entropies() -> None:
    even = torch.zeros(2, 1, 3, 3)
    assert float(discrimination(even, even)) == pytest.approx(2 * math.log(2))
    assert float(discrimination(even + 30, even - 30)) == pytest.approx(0, abs=1e-6)
    assert float(losses.adversarial(even)) == pytest.approx(math.log(2))
    # non-saturating: what it is sure of has the steepest gradient
    sure = (even - 30).requires_grad_()
    losses.adversarial(sure).backward()  # type: ignore[no-untyped-call]
    assert float(sure.grad.sum()) == pytest.approx(-1)


def test_it_judges_patches_of_70_pixels() -> None:
    torch.manual_seed(0)
    network = Discriminator(4)
    image = torch.rand(1, 3, 160, 160, requires_grad=True)
    logits = network(image)
    assert logits.shape == (1, 1, 18, 18)
    logits[0, 0, 9, 9].backward()
    touched = image.grad.abs().sum((0, 1, 2)).nonzero()
    assert int(touched.max() - touched.min()) + 1 == 70


def test_it_learns_to_tell_blurred_from_sharp() -> None:
    adversary = Adversary.new(0, 2e-3, width=8)
    seen = [float(adversary.learn(*pictures(seed), 2e-3)) for seed in range(30)]
    assert seen[-1] < 0.5 * seen[0]
    sharp, blurred = pictures(99)
    with torch.no_grad():
        assert adversary.discriminator(sharp).mean() > adversary.discriminator(blurred).mean() + 1


def test_a_picture_that_is_not_finite_teaches_nothing() -> None:
    adversary = Adversary.new(0, 2e-3, width=8)
    before = [parameter.clone() for parameter in adversary.discriminator.parameters()]
    sharp, blurred = pictures(0)
    adversary.learn(sharp, blurred * math.nan, 2e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, adversary.discriminator.parameters(), strict=True))


def test_the_network_is_pushed_towards_what_passes_for_an_original() -> None:
    adversary = Adversary.new(0, 2e-3, width=8)
    for seed in range(30):
        adversary.learn(*pictures(seed), 2e-3)
    sharp, blurred = pictures(99)
    share = nn.Parameter(torch.tensor(0.5))
    mixed = share * sharp + (1 - share) * blurred
    losses.adversarial(adversary.discriminator(mixed)).backward()  # type: ignore[no-untyped-call]
    assert float(share.grad) < 0, "sharper is better"


def test_making_one_leaves_the_random_numbers_as_they_are() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    Adversary.new(0, 1e-3)
    assert torch.equal(torch.rand(3), wanted)

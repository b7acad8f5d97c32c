"""The branch of the picture's own detail: its transform, its gates, and what they do to noise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.train.fit.test_loop import faces
from train.fit import pretrain_detail
from train.fit.launch import take_part
from train.fit.pretrain import PartTraining, fit_part, read
from train.fit.settings import Phase, Settings
from train.networks.detail import Detail, lapped
from train.networks.frrnet import FRRNet


@pytest.mark.parametrize("cell", [2, 4])
def test_the_lapped_transform_is_orthogonal_with_its_neighbours(cell: int) -> None:
    transform = lapped(cell)
    assert np.allclose(transform @ transform.T, np.eye(cell))
    assert np.allclose(transform[:, cell:] @ transform[:, :cell].T, 0)


@pytest.mark.parametrize("cell", [2, 4])
def test_a_constant_is_in_the_first_function_alone(cell: int) -> None:
    assert np.allclose(lapped(cell).sum(1), [np.sqrt(cell), *[0] * (cell - 1)])


def restored(detail: Detail, picture: Tensor, features: Tensor | None = None) -> Tensor:
    cell = round((detail.analyse.in_channels / 3) ** 0.5)
    change = detail(functional.pixel_unshuffle(picture, cell), features)
    return picture + functional.pixel_shuffle(change, cell)


@pytest.mark.parametrize("cell", [2, 4])
def test_the_transpose_undoes_the_transform(cell: int) -> None:
    detail = Detail(cell, 5)
    picture = 0.05 * torch.rand(2, 3, 16 * cell, 16 * cell)
    assert torch.equal(restored(detail, picture), picture)
    torch.nn.init.constant_(detail.gate.bias, -1.0)
    gone = restored(detail, picture, torch.zeros(2, 5, 16, 16))
    inner = slice(2 * cell, -2 * cell)
    assert gone[:, :, inner, inner].abs().max() < 1e-5


def test_an_edge_is_not_taken_off_whole() -> None:
    detail = Detail(4, 5)
    torch.nn.init.constant_(detail.gate.bias, -1.0)
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, :, 33:] = 1
    features = torch.zeros(1, 5, 16, 16)
    left = restored(detail, picture, features)[:, :, 16:-16, 16:-16]
    assert left.abs().max() > 0.5
    faint = restored(detail, 0.05 * picture, features)[:, :, 16:-16, 16:-16]
    assert faint.abs().max() < 0.01


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_gates_stay_within_one(everywhere: float, here: float) -> None:
    detail = Detail(2, 3)
    torch.nn.init.constant_(detail.profile[-1].bias, everywhere)
    torch.nn.init.constant_(detail.gate.bias, here)
    picture = torch.rand(1, 3, 16, 16)
    doubled = Detail(2, 3)
    torch.nn.init.constant_(doubled.gate.bias, float(np.clip(np.tanh(everywhere) + here, -1, 1)))
    features = torch.zeros(1, 3, 8, 8)
    assert torch.allclose(restored(detail, picture, features), restored(doubled, picture, features), atol=1e-5)


def test_the_same_everywhere_it_already_takes_noise_off() -> None:
    """What a short training of the profile alone must find: gates that tell noise from a clean picture."""
    generator = torch.Generator().manual_seed(0)
    line = torch.linspace(0, 9, 48)
    clean = (0.5 + 0.3 * torch.sin(line[:, None] + line)).expand(8, 3, 48, 48)
    detail = Detail(4, 3)
    optimiser = torch.optim.Adam(detail.profile.parameters(), 2e-3)
    for _ in range(40):
        deviation = 0.1 * torch.rand(8, 1, 1, 1, generator=generator).round()
        noisy = clean + deviation * torch.randn(clean.shape, generator=generator)
        loss = ((restored(detail, noisy) - clean).square().mean((1, 2, 3)) + 1e-4).log().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    assert (restored(detail, noisy) - clean).square().mean() < 0.3 * (noisy - clean).square().mean()
    assert (restored(detail, clean) - clean).square().mean() < 1e-4


def settings(images: int) -> Settings:
    return Settings((Phase(32, 8, images),), rate=2e-3, warm_up=8, degradation=pretrain_detail.FINE, validate_every=160)


def test_training_alone_lowers_the_loss_and_resumes_to_the_same_result(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, parts = PartTraining(pretrain_detail.COURSE), PartTraining(pretrain_detail.COURSE)
    parts.take(whole.contents())
    lines: list[str] = []
    fit_part(whole, faces(), settings(320), tmp_path / "whole.pt", lines.append)
    assert len(lines) == 2
    assert all("psnr_0.08" in line for line in lines)

    polls = iter([False] * 9 + [True])
    fit_part(parts, faces(), settings(320), tmp_path / "detail.pt", lines.append, stopped=lambda: next(polls))
    assert parts.images == 72
    resumed = PartTraining(pretrain_detail.COURSE)
    resumed.take(read(tmp_path / "detail.pt", pretrain_detail.COURSE))
    fit_part(resumed, faces(), settings(320), tmp_path / "detail.pt", lines.append)
    for one, other in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), other.detach().numpy())


def test_a_network_takes_what_its_parts_have_learnt(tmp_path: Path) -> None:
    training = PartTraining(pretrain_detail.COURSE)
    torch.nn.init.normal_(training.average.get_parameter("profile.2.weight"))
    training.save(tmp_path / "detail.pt")
    network = FRRNet(16, 2, 4)
    take_part(network, pretrain_detail.COURSE, tmp_path / "detail.pt")
    assert network.detail is not None
    assert torch.equal(
        network.detail.get_parameter("profile.2.weight"), training.average.get_parameter("profile.2.weight")
    )
    with pytest.raises(ValueError, match=r"stem stride 1 has no such part"):
        take_part(FRRNet(4, 1, 1), pretrain_detail.COURSE, tmp_path / "detail.pt")
    with pytest.raises(ValueError, match=r"detail.pt was trained for another width or stem stride"):
        take_part(FRRNet(8, 2, 4), pretrain_detail.COURSE, tmp_path / "detail.pt")


def test_a_part_begins_from_a_networks_own() -> None:
    network, training = FRRNet(16, 2, 4), PartTraining(pretrain_detail.COURSE)
    assert network.detail is not None
    torch.nn.init.normal_(network.detail.get_parameter("profile.2.weight"))
    training.begin(network)
    for mine in (training.network, training.average):
        assert torch.equal(mine.get_parameter("profile.2.weight"), network.detail.get_parameter("profile.2.weight"))
    for other in (FRRNet(4, 1, 1), FRRNet(8, 2, 4)):
        with pytest.raises(ValueError, match="no detail part, or one of another width"):
            training.begin(other)


def test_the_filters_are_not_learnt() -> None:
    detail = Detail(4, 8)
    learnt = {name.split(".")[0] for name, parameter in detail.named_parameters() if parameter.requires_grad}
    assert learnt == {"profile", "gate"}

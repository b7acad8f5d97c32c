"""The light network: where it does nothing, what it can undo, and that its training learns and resumes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.fit.test_loop import faces
from train.data.faces import Faces
from train.degrade.operators import area, bilinear
from train.fit import pretrain, pretrain_detail, pretrain_light
from train.fit.settings import Phase, Settings
from train.networks.light import GRID, VIEW, Light, pooled, relight


def picture(size: int = 64, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [48, 160, 224, 336])
def test_a_new_network_changes_nothing(size: int) -> None:
    image = picture(size, 1)
    assert torch.equal(Light()(image), image)


def test_relight_undoes_exposure_and_cast() -> None:
    image = picture()
    gain = torch.tensor([0.5, 0.8, 1.25])
    spoilt = image * gain[:, None, None]
    affine = torch.cat((torch.diag(1 / gain - 1), torch.zeros(3, 1)), 1)
    assert torch.allclose(relight(spoilt, affine.expand(2, 3, 4), torch.zeros(2, 6, GRID, GRID)), image, atol=1e-6)


def test_the_grid_is_gain_then_offset_and_smooth_between_its_points() -> None:
    image = torch.full((1, 3, 96, 96), 0.5)
    grid = torch.zeros(1, 6, GRID, GRID)
    grid[:, 0, :, : GRID // 2] = 0.4
    grid[:, 5] = 0.1
    lit = relight(image, torch.zeros(1, 3, 4), grid)
    assert lit[0, 0, 50, 2].item() == pytest.approx(0.7)
    assert lit[0, 0, 50, -2].item() == pytest.approx(0.5)
    assert lit[0, 1].eq(0.5).all()
    assert torch.allclose(lit[0, 2], torch.tensor(0.6))
    steps = lit[0, 0, 50].diff().abs()
    assert steps.max() < 0.2 / (96 / GRID) * 1.01


@given(st.integers(1, 60), st.integers(1, 60))
def test_resampling_keeps_a_flat_line_flat(outputs: int, inputs: int) -> None:
    for matrix in (area(outputs, inputs), bilinear(outputs, inputs)):
        assert torch.allclose(matrix.sum(1), torch.ones(outputs), atol=1e-5)
        assert matrix.min() >= 0


def test_the_view_of_a_larger_crop_is_the_same() -> None:
    small = picture(VIEW)
    large = small.repeat_interleave(7, 2).repeat_interleave(7, 3)
    assert torch.allclose(pooled(large, VIEW), small, atol=1e-5)


def test_one_face_looks_alike_under_any_exposure_and_cast() -> None:
    torch.manual_seed(0)
    network = Light(width=4, embedding=8)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():  # deaf to the light itself: to the view as it is, and to its extent
        network.near[0].weight[:, 3:] = 0
        network.embed[0].weight[:, -12:] = 0
    view = pooled(picture(), VIEW)
    seen, dim, other = (
        network.light(v)[0] for v in (view, view * torch.tensor([0.5, 0.8, 1.2])[:, None, None], view.flip(0))
    )
    assert (seen - dim).abs().max() < 0.1 * (seen - other).abs().max()


def test_a_flat_picture_is_as_good_as_any() -> None:
    network = Light(width=4, embedding=8)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    assert network(torch.zeros(1, 3, 64, 64)).isfinite().all()


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    network = Light(width=4, embedding=8)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(picture()).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def settings(images: int) -> Settings:
    return Settings(
        (Phase(32, 8, images),), rate=2e-3, warm_up=64, degradation=pretrain_light.SMALL, validate_every=160
    )


def test_training_lowers_the_loss_and_resumes_to_the_same_result(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, parts = pretrain.PartTraining(pretrain_light.COURSE), pretrain.PartTraining(pretrain_light.COURSE)
    parts.take(whole.contents())
    lines: list[str] = []
    pretrain.fit_part(whole, faces(), settings(320), tmp_path / "whole.pt", lines.append)
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert len(losses) == 2
    assert losses[1] < losses[0]

    polls = iter([False] * 9 + [True])
    pretrain.fit_part(parts, faces(), settings(320), tmp_path / "light.pt", lines.append, stopped=lambda: next(polls))
    assert parts.images == 72
    resumed = pretrain.PartTraining(pretrain_light.COURSE)
    resumed.take(pretrain.read(tmp_path / "light.pt", pretrain_light.COURSE))
    pretrain.fit_part(resumed, faces(), settings(320), tmp_path / "light.pt", lines.append)
    for one, other in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), other.detach().numpy())
    pretrain.fit_part(resumed, faces(), settings(160), tmp_path / "light.pt", lines.append)
    assert lines[-1] == "320 of 160 images seen: there is nothing left to train"


def test_what_is_no_light_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"nothing")
    torch.save({"average": {}}, tmp_path / "y.pt")
    pretrain.PartTraining(pretrain_detail.COURSE).save(tmp_path / "detail.pt")
    for name in ("x.pt", "y.pt", "detail.pt"):
        with pytest.raises(ValueError, match=f"{name} holds no light network"):
            pretrain.read(tmp_path / name, pretrain_light.COURSE)


def test_without_a_held_out_face_there_is_nothing_to_validate_on(tmp_path: Path) -> None:
    every = faces()
    training = every.indices(training=True)
    few = Faces(every.canvases[training], every.size, tuple(every.keys[i] for i in training))
    lines: list[str] = []
    pretrain.fit_part(
        pretrain.PartTraining(pretrain_light.COURSE), few, settings(160), tmp_path / "light.pt", lines.append
    )
    assert [line.split(", ")[-1] for line in lines] == ["no face is held out"]

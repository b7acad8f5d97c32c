"""The network at every stem and size, the paper's cost at stem 1, and the shipped checkpoint's output."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from typer.testing import CliRunner

from train.__main__ import app
from train.fit import checkpoint
from train.networks import cost
from train.networks.frrnet import LAYOUTS, FRRNet, level_channels

SHIPPED = Path(__file__).parents[3] / "train" / "checkpoints" / "frrnet-16-2-4.pt"
IMAGES = 333284
RESTORED, MASK = (0.464988, 0.239025), (0.021925, 0.025777)
DISTORTION = (0.93672, 0.99815, 0.98074)
"""What the shipped checkpoint has seen, and gave on a fixed picture when it was made."""


@pytest.mark.parametrize(("shape", "gmac"), cost.GMAC.items())
def test_the_papers_versions_cost_what_its_table_says(shape: tuple[int, int], gmac: float) -> None:
    found = cost.cost(*shape, stem_stride=1, size=336)
    assert found.gmac == pytest.approx(gmac, rel=0.1)
    assert found.paper_gmac == gmac


def test_the_papers_primary_has_its_parameters() -> None:
    assert cost.cost(12, 2, stem_stride=1, size=336).parameters == pytest.approx(7.2, rel=0.1)


def test_counting_agrees_with_hooks_on_every_layer() -> None:
    network, counted = FRRNet(width=8, depth=2, stem_stride=2), [0]

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        counted[0] += output.numel() * weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    # what is beside the layers, the averages and what the light network does to the picture, is little
    assert cost.multiply_accumulates(network, 96, "cpu") == pytest.approx(counted[0] / 1e9, rel=0.04)


def test_a_face_costs_vggface_to_layer_15() -> None:
    # 224² places: 64·(3 + 64)·9; 112²: 128·(64 + 128)·9; 56²: 256·(128 + 256 + 256)·9
    assert cost.FaceNetwork.gmac() == pytest.approx(1.936 + 2.775 + 4.624, abs=0.01)


@pytest.mark.parametrize("stem_stride", LAYOUTS)
@pytest.mark.parametrize("size", [224, 336, 448])
def test_every_stem_runs_at_every_size(stem_stride: int, size: int) -> None:
    network = FRRNet(width=2, depth=1, stem_stride=stem_stride, size=size).requires_grad_(False)
    restored, mask, distortion = network(torch.rand(1, 3, size, size))
    assert restored.shape == (1, 3, size, size)
    assert mask.shape == (1, 1, size, size)
    assert distortion.shape == (1, 3)
    assert all(output.min() >= 0 and output.max() <= 1 for output in (restored, mask, distortion))


@pytest.mark.parametrize("stem_stride", LAYOUTS)
def test_a_new_network_leaves_a_picture_alone(stem_stride: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 64, 64)
    network = FRRNet(width=8, depth=2, stem_stride=stem_stride).requires_grad_(False)
    assert float((network(image)[0] - image).abs().max()) < 5e-3
    assert float((network.logits(image)[0] - image).abs().mean()) < 0.02


@pytest.mark.parametrize("stem_stride", LAYOUTS)
def test_every_parameter_learns(stem_stride: int) -> None:
    network = FRRNet(width=4, depth=2, stem_stride=stem_stride)
    outputs = network.logits(torch.rand(2, 3, 32, 32))
    torch.autograd.backward(torch.stack([output.square().sum() for output in outputs]).sum())
    learnt = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learnt == {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name, _ in network.named_parameters() if name not in learnt} <= {
        "analyse",
        "synthesise",
    }


@pytest.mark.parametrize("stem_stride", LAYOUTS)
def test_the_last_level_lies_at_a_sixteenth(stem_stride: int) -> None:
    network = FRRNet(width=4, depth=1, stem_stride=stem_stride).requires_grad_(False)
    assert network.multiple == 16
    levels = network.encode(torch.rand(1, 3, 64, 64))
    assert [level.shape[-1] for level in levels] == [64 >> i for i in range(7) if stem_stride <= 1 << i <= 16]


@given(st.integers(2, 64), st.integers(3, 7))
def test_channels_grow_towards_the_bottleneck(first: int, levels: int) -> None:
    channels = level_channels(first, levels)
    assert len(channels) == levels
    assert channels[0] == first
    assert list(channels) == sorted(channels)


def test_the_shipped_networks_channels() -> None:
    assert level_channels(64, 3) == (64, 96, 160)
    assert level_channels(12, 5) == (12, 24, 48, 72, 120)


def picture(size: int = 96) -> Tensor:
    """A smooth picture with fine noise, the same everywhere."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    noise = torch.rand(3, size, size, generator=torch.Generator().manual_seed(1))
    return (torch.stack((x, y, 0.5 + 0.5 * torch.sin(12 * x * y))) * 0.5 + 0.1 * noise)[None]


def test_the_shipped_checkpoint_answers_as_it_always_did() -> None:
    network, images = checkpoint.load_network(SHIPPED)
    restored, mask, distortion = network(picture())
    assert images == IMAGES
    assert [float(v) for v in (restored.mean(), restored.std())] == pytest.approx(RESTORED, abs=2e-5)
    assert [float(v) for v in (mask.mean(), mask.std())] == pytest.approx(MASK, abs=2e-5)
    assert distortion[0].tolist() == pytest.approx(DISTORTION, abs=1e-4)


def test_the_shipped_checkpoint_can_be_begun_from() -> None:
    content = checkpoint.restarted(checkpoint.read(SHIPPED))
    state = checkpoint.restored(content, 1e-3)
    assert state.step == 0
    assert all(torch.equal(own, content["average"][name]) for name, own in state.network.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 1}, "width must be at least 2, not 1"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"stem_stride": 3}, "stem_stride must be 1, 2 or 4, not 3"),
        ({"size": 330}, "size must be a multiple of 16, not 330"),
        ({"size": 0}, "size must be a multiple of 16, not 0"),
        ({"blocks": (1, 2)}, "at least 3 levels"),
        ({"blocks": (1, 0, 2)}, "counts of at least 1"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FRRNet(**arguments)


@pytest.mark.parametrize("shape", [(1, 3, 40, 40), (1, 3, 32, 48)])
def test_a_crop_that_does_not_fit_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a multiple of 16"):
        FRRNet(width=2, depth=1)(torch.rand(shape))


def test_the_table_is_printed() -> None:
    shown = CliRunner().invoke(app, ["architecture", "--json"])
    assert shown.exit_code == 0
    rows = json.loads(shown.output)
    assert len(rows) == len(cost.SHOWN)
    assert [row["paper_gmac"] for row in rows if row["paper_gmac"]] == [40.42, 16.2, 11.26]
    assert "+9.1%" in CliRunner().invoke(app, ["architecture"]).output

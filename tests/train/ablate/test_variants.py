"""Ablations on tiny networks: one thing differs, what is finished is not run again, and noise is called noise."""

import dataclasses
import itertools
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from train.ablate import report
from train.ablate import variants as ablate
from train.ablate.variants import GROUPS, SEEDS, VARIANTS, Bench, Result, Variant
from train.common import progress
from train.common.paths import CHECKPOINTS
from train.common.statistics import Figure
from train.data.faces import Faces
from train.fit import checkpoint
from train.networks.face_features import Seen
from train.networks.frrnet import FRRNet

TINY = {"base": Variant(2, 1, 4, 32, 4), "unlit": Variant(2, 1, 4, 32, 4, held="light")}


def bench(images: int = 8) -> Bench:
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (120, 6, 6, 3), np.uint8)
    canvases = np.stack([cv2.resize(image, (36, 36), interpolation=cv2.INTER_CUBIC) for image in small])
    return Bench({32: Faces(canvases, 32, tuple(f"face-{i}" for i in range(120)))}, None, images, 2, TINY)


def test_every_group_compares_what_exists() -> None:
    assert {name for group in GROUPS for name in group.names} == set(VARIANTS)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_a_group_varies_one_thing(group: ablate.Group) -> None:
    varies: dict[str, set[str]] = {
        "Seeds": {"seed"},
        "Parts": {"held"},
        "Classifier": {"weights", "held"},
        "Mask": {"weights"},
        "Losses, one by one": {"weights"},
        "What sharpness costs": {"weights"},
        "Size": {"size"},
        "Stem stride": {"stem_stride"},
        "Width × depth": {"width", "depth"},
    }
    variants = [dataclasses.asdict(VARIANTS[name]) for name in group.names]
    differing = {key for key in variants[0] if any(variant[key] != variants[0][key] for variant in variants)}
    assert differing == varies[group.title]
    assert len({VARIANTS[name].images(2000) for name in group.names}) == 1


def test_losses_are_added_one_by_one() -> None:
    names = next(group.names for group in GROUPS if group.title == "Losses, one by one")
    steps = [VARIANTS[name].weights for name in names[:4]]
    added = [
        {f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)}
        for a, b in itertools.pairwise(steps)
    ]
    assert added == [{"perceptual"}, {"angular"}, {"style"}]


def test_an_unjoined_view_says_nothing_to_the_generator() -> None:
    network = FRRNet(width=2, depth=1)
    ablate.hold(network, "view.join")
    assert not network.view.join(torch.rand(1, network.view.join.in_features)).any()
    assert not any(parameter.requires_grad for parameter in network.view.join.parameters())


@pytest.mark.parametrize("part", ["light", "detail"])
def test_a_held_part_does_nothing_and_learns_nothing(part: str, tmp_path: Path) -> None:
    bench().run(Variant(2, 1, 4, 32, 4, held=part), tmp_path, progress.silent, lambda: False)
    network, _ = checkpoint.load_network(tmp_path / "checkpoint.pt")
    held = network.get_submodule(part)
    image = torch.rand(1, 3, 32, 32)
    before, after = (
        (image, held(image)) if part == "light" else (torch.zeros(1, 48, 8, 8), held(torch.rand(1, 48, 8, 8), None))
    )
    assert torch.equal(before, after)


def test_a_new_network_gains_nothing() -> None:
    network = FRRNet(width=2, depth=1).requires_grad_(False)
    for parameter in network.residual.parameters():
        torch.nn.init.zeros_(parameter)
    found = ablate.measure(network, bench().faces[32], 32, 2)
    assert found["psnr"] == pytest.approx(found["input_psnr"], abs=1e-3)
    assert found["ssim"] == pytest.approx(found["input_ssim"], abs=1e-4)


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    shares: list[float] = []
    first = ablate.run_all(bench(), tmp_path, lambda share, text: shares.append(share))
    assert list(first) == list(TINY)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    again = ablate.run_all(bench(), tmp_path, progress.silent, lambda: pytest.fail("ran again"))
    assert again == first


def test_other_images_are_another_run(tmp_path: Path) -> None:
    fresh = ablate.run_all(bench(8), tmp_path / "fresh", progress.silent)
    for other in (16, 4):
        ablate.run_all(bench(other), tmp_path / "used", progress.silent)
        assert ablate.run_all(bench(8), tmp_path / "used", progress.silent) == fresh


def test_a_stopped_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    whole = ablate.run_all(bench(), tmp_path / "whole", progress.silent)
    # asked once before each variant, once for each step, once after it
    for polls in (2, 3, 2):
        answers = itertools.chain([False] * polls, itertools.repeat(True))
        stopped = ablate.run_all(bench(), tmp_path / "cut", progress.silent, partial(next, answers))
        assert len(stopped) < len(TINY)
    assert ablate.run_all(bench(), tmp_path / "cut", progress.silent) == whole


def test_what_sharpness_costs_is_measured_from_the_same_beginning(tmp_path: Path) -> None:
    """The shipped network itself: nothing smaller has the shape of its checkpoint."""
    plan = dataclasses.replace(VARIANTS["shipped's, + adversarial 0.05"], size=32, batch=2)
    begun = checkpoint.load_network(CHECKPOINTS / plan.begin)
    small = dataclasses.replace(bench(1), features=Eye())
    result = small.run(plan, tmp_path, progress.silent, lambda: False)
    network, seen = checkpoint.load_network(tmp_path / "checkpoint.pt")
    assert seen == begun[1] + 2
    assert checkpoint.read(tmp_path / "checkpoint.pt")["adversary"]
    apart = [float((a - b).abs().max()) for a, b in zip(network.parameters(), begun[0].parameters(), strict=True)]
    assert 0 < max(apart) < 0.01
    assert len(result["identity"]) == len(result["sharpness"]) == 2


def test_the_sheet_of_what_sharpness_costs_has_a_row_for_each(tmp_path: Path) -> None:
    for name in ablate.TRADE.names:
        state = checkpoint.start(FRRNet(width=2, depth=1), 1e-3)
        checkpoint.save(ablate.place(tmp_path, name) / "checkpoint.pt", state)
    random = np.random.default_rng(0)
    faces = Faces(random.integers(0, 255, (60, 180, 180, 3), np.uint8), 160, tuple(f"face-{i}" for i in range(60)))
    sheet = ablate.trade_sheet(tmp_path, faces, 2)
    assert sheet.shape == ((len(ablate.TRADE.names) + 2) * 160, 2 * 160, 3)


class Eye(nn.Module):
    """A face network that takes a picture's mean colour for who it is."""

    def forward(self, images: Tensor) -> Seen:
        return Seen([images], images.mean((2, 3)))


def figure(value: float, half: float) -> Figure:
    return Figure(value, value - half, value + half, 9)


@pytest.mark.parametrize(
    ("psnr", "ssim", "said"),
    [
        (figure(0.5, 0.1), figure(0.01, 0.001), "better"),
        (figure(-0.5, 0.1), figure(0.0, 0.001), "worse"),
        (figure(0.5, 0.1), figure(-0.02, 0.001), "better in one, worse in the other"),
        (figure(0.5, 0.6), figure(0.0, 0.01), "within the noise"),
        (figure(0.05, 0.01), figure(0.0, 0.01), "within the noise"),
    ],
)
def test_noise_is_called_noise(psnr: Figure, ssim: Figure, said: str) -> None:
    assert report.verdict(psnr, ssim, report.Noise(0.1, 0.005)) == said


def results() -> dict[str, Result]:
    random = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for i, (name, variant) in enumerate(VARIANTS.items()):
        scores = {"input_psnr": [20.0] * 9, "input_ssim": [0.7] * 9, "f1": 0.5, "parameters": 1.0, "gmac": 0.3 + i}
        scores |= {
            "psnr": (22 + 0.1 * i + random.random(9)).tolist(),
            "ssim": (0.75 + 0.01 * random.random(9)).tolist(),
        }
        scores |= {name: random.random(9).tolist() for name in ("identity", "sharpness")}
        scores |= {f"input_{name}": [0.5] * 9 for name in ("identity", "sharpness")}
        made[name] = {"variant": dataclasses.asdict(variant), "images": 64, "held_out": 9, **scores}
    return made


def test_the_page_holds_every_variant_and_the_command(tmp_path: Path) -> None:
    found = results()
    page = report.page(found, "python -m train ablate --images 64")
    assert all(f"| {name} |" in page for name in VARIANTS)
    assert "`python -m train ablate --images 64`" in page
    assert "9 held-out faces" in page
    report.draw(found, tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_noise_is_two_deviations_of_a_difference_of_seeds() -> None:
    found = results()
    for name, gain in zip(SEEDS, (1.0, 2.0, 3.0), strict=True):
        found[name]["psnr"] = [20.0 + gain] * 9
    # the seeds' deviation is 1, that of a difference of two √2
    assert report.Noise.of(found).psnr == pytest.approx(2 * 2**0.5)

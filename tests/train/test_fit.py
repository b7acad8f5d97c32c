"""A whole training with a tiny network: it learns, resumes to the same result, and its data is what it says."""

import json
import tarfile
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frrcam.faces import alignment
from train import checkpoint, data, fit
from train.data import Faces
from train.model import FRRNet, apply_colour, pooling_matrix


def faces(count: int = 60, size: int = 32) -> Faces:
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (count, 6, 6, 3), np.uint8)
    canvases = np.stack([cv2.resize(image, (36, 36), interpolation=cv2.INTER_CUBIC) for image in small])
    masks = np.full((count, 36, 36), 255, np.uint8)
    return Faces(canvases, size, tuple(f"face-{i}" for i in range(count)), masks)


def start() -> checkpoint.State:
    torch.manual_seed(0)
    shape = {"width": 2, "depth": 1, "stem_stride": 4, "blocks": (1, 1, 1)}
    return checkpoint.start(checkpoint.build(shape), 1e-3)


def settings(images: int) -> fit.Settings:
    return fit.Settings((fit.Phase(32, 4, images),), warm_up=8, bf16=False, validate_every=40)


def test_a_resumed_training_ends_as_one_that_never_stopped(tmp_path: Path) -> None:
    source = {32: faces()}
    whole = fit.fit(start(), source, settings(80), tmp_path / "whole", report=lambda text: None)

    polls = iter([False] * 9 + [True])
    cut = tmp_path / "cut"
    fit.fit(start(), source, settings(80), cut, report=lambda text: None, stopped=lambda: next(polls))
    resumed = checkpoint.load(cut / "checkpoint.pt", 1e-3)
    assert resumed.images == 36
    resumed = fit.fit(resumed, source, settings(80), cut, report=lambda text: None)
    assert resumed.images == whole.images == 80
    for a, b in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.train
def test_it_learns(tmp_path: Path) -> None:
    source = faces()
    state = start()
    before = fit.validate(state.average, source, 32)
    fit.fit(state, {32: source}, settings(4000), tmp_path, report=lambda text: None)
    after = fit.validate(state.average, source, 32)
    assert after["psnr"] > before["psnr"] + 1
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0].startswith("images,size,rate,loss")
    assert len(rows) == 5


def test_a_compact_checkpoint_keeps_the_network(tmp_path: Path) -> None:
    state = fit.fit(start(), {32: faces()}, settings(8), tmp_path / "run", report=lambda text: None)
    checkpoint.save(tmp_path / "c.pt", state, compact=True)
    network, images = checkpoint.load_network(tmp_path / "c.pt")
    assert images == 8
    image = torch.rand(1, 3, 32, 32)
    assert torch.allclose(network(image)[0], state.average(image)[0], atol=5e-3)
    again = checkpoint.load(tmp_path / "c.pt", 1e-3)
    assert again.step == 2
    moments = [entry["exp_avg_sq"] for entry in again.optimiser.state.values()]
    assert all(moment.dtype == torch.float32 for moment in moments)
    assert (tmp_path / "c.pt").stat().st_size < 0.5 * (tmp_path / "run" / "checkpoint.pt").stat().st_size


def test_a_new_network_nearly_answers_with_its_input() -> None:
    image = torch.rand(2, 3, 32, 32)
    restored, mask, distortion = FRRNet(width=4, depth=1, stem_stride=2)(image)
    assert float((restored - image).detach().abs().mean()) < 0.02
    assert mask.shape == (2, 1, 32, 32)
    assert distortion.shape == (2, 3)


def test_a_picture_with_nothing_wrong_is_left_alone() -> None:
    network = FRRNet(width=2, depth=1).requires_grad_(False)
    image = torch.rand(1, 3, 32, 32)
    torch.nn.init.constant_(network.view.affine.weight, 1)
    torch.nn.init.constant_(network.view.affine.bias, 1)
    torch.nn.init.zeros_(network.view.classifier.weight)
    for logit, same in ((-5.0, True), (0.0, True), (5.0, False)):
        torch.nn.init.constant_(network.view.classifier.bias, logit)
        assert torch.equal(network(image)[0], image) is same


def test_one_network_takes_every_size() -> None:
    network = FRRNet(width=2, depth=1, stem_stride=4)
    for size in (48, 96, 176):
        assert network(torch.rand(1, 3, size, size))[0].shape == (1, 3, size, size)


@given(st.integers(1, 20), st.integers(20, 60))
def test_pooling_keeps_the_mean(outputs: int, inputs: int) -> None:
    matrix = pooling_matrix(outputs, inputs)
    assert torch.allclose(matrix.sum(1), torch.ones(outputs), atol=1e-5)
    assert torch.allclose(matrix.sum(0) * inputs / outputs, torch.ones(inputs), atol=1e-5)


def test_colour_affine() -> None:
    matrix = torch.tensor([[[0.0, 1, 0, 0.5], [1, 0, 0, 0], [0, 0, 2, -1]]])
    pixel = torch.tensor([0.1, 0.2, 0.3])[None, :, None, None]
    assert torch.allclose(apply_colour(matrix, pixel)[0, :, 0, 0], torch.tensor([0.7, 0.1, -0.4]))


@given(st.integers(0, 500), st.integers(1, 40))
def test_the_order_of_data_does_not_depend_on_where_it_is_cut(start_at: int, count: int) -> None:
    whole = fit.shuffled(np.arange(37), 3, 0, start_at + count)
    assert np.array_equal(whole[start_at:], fit.shuffled(np.arange(37), 3, start_at, count))
    assert sorted(fit.shuffled(np.arange(37), 3, 37, 37)) == list(range(37))


def test_the_rate_warms_up_and_falls() -> None:
    plan = fit.Settings((fit.Phase(96, 8, 1000), fit.Phase(336, 4, 100)), warm_up=100, rate=1e-3, final_rate=1e-5)
    rates = [plan.rate_at(seen) for seen in range(1101)]
    assert rates[0] == pytest.approx(1e-5, rel=0.05)
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(1e-5)
    assert plan.phase(999).size == 96
    assert plan.phase(1000).size == 336


def test_a_bad_phase_is_named() -> None:
    assert fit.Phase.parse("96:16:1000") == fit.Phase(96, 16, 1000)
    with pytest.raises(ValueError, match="SIZE:BATCH:IMAGES"):
        fit.Phase.parse("96:16")


def write_shard(folder: Path, count: int = 4) -> None:
    with tarfile.open(folder / "faces-train-000.tar", "w") as archive:
        for i in range(count):
            image = np.full((120, 120, 3), 40 * i, np.uint8)
            image[60:] = 200
            points = (alignment.TEMPLATE * 100 + 10).ravel().tolist()
            files = {"webp": cv2.imencode(".webp", image)[1].tobytes(), "json": json.dumps({"kps": points}).encode()}
            for extension, content in files.items():
                member = tarfile.TarInfo(f"{i:04d}.{extension}")
                member.size = len(content)
                archive.addfile(member, BytesIO(content))


def test_the_cache_holds_aligned_faces(tmp_path: Path) -> None:
    write_shard(tmp_path)
    loaded = data.load_faces(tmp_path, tmp_path / "cache", 32)
    assert loaded.keys == ("0000", "0001", "0002", "0003")
    assert loaded.canvases.shape == (4, data.canvas_size(32), data.canvas_size(32), 3)
    again = data.load_faces(tmp_path / "nowhere", tmp_path / "cache", 32)
    assert np.array_equal(again.canvases, loaded.canvases)


def test_no_shards_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="faces-train"):
        data.load_faces(tmp_path, tmp_path / "cache", 32)


def test_the_split_is_fixed_and_complete() -> None:
    source = faces(2000)
    training, held = source.indices(training=True), source.indices(training=False)
    assert sorted([*training, *held]) == list(range(2000))
    assert 25 < len(held) < 75


def test_a_still_crop_is_the_middle_of_the_canvas() -> None:
    source = faces()
    images, masks = data.batch(source, np.array([3]), 32, data.STILL, np.random.default_rng(0))
    wanted = torch.from_numpy(source.canvases[3][2:-2, 2:-2].copy()).permute(2, 0, 1).float() / 255
    assert torch.allclose(images[0], wanted, atol=1.5 / 255)
    assert masks is not None
    assert masks.shape == (1, 1, 32, 32)

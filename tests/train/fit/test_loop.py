"""A whole training with a tiny network: it learns, resumes to the same result, and its data is what it says."""

import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from typer.main import get_command
from typer.testing import CliRunner, Result

from tests.train.data.test_faces import write_shards
from train.__main__ import app
from train.common import metrics, progress
from train.common import options as arguments
from train.common.distributed import World, pick_device
from train.data import faces as data
from train.data.faces import Faces
from train.degrade import operators
from train.degrade.pipeline import Degradation
from train.fit import batches as feed
from train.fit import checkpoint, launch, loop, losses, pretrain_light, run_log, validation
from train.fit import pretrain as part
from train.fit.launch import Machine, Places
from train.networks.frrnet import FRRNet


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


def settings(images: int, **options: bool | float) -> loop.Settings:
    return replace(loop.Settings((loop.Phase(32, 4, images),), warm_up=8, bf16=False, validate_every=40), **options)


def silent(text: str) -> None:
    pass


@pytest.mark.parametrize(("bf16", "adversarial"), [(False, 0), (True, 0), (False, 0.1)])
def test_a_resumed_training_ends_as_one_that_never_stopped(tmp_path: Path, bf16: bool, adversarial: float) -> None:
    plan = replace(settings(80, bf16=bf16), weights=losses.Weights(adversarial=adversarial))
    source = {32: faces()}
    whole = loop.fit(start(), source, plan, tmp_path / "whole", report=silent)

    polls = iter([False] * 9 + [True])
    cut = tmp_path / "cut"
    lines: list[str] = []
    loop.fit(start(), source, plan, cut, report=lines.append, stopped=lambda: next(polls))
    assert lines[-1] == "stopped after 36 of 80 images: the same command goes on"
    resumed = checkpoint.load(cut / "checkpoint.pt", 1e-3)
    assert resumed.images == 36
    resumed = loop.fit(resumed, source, plan, cut, report=silent)
    assert resumed.images == whole.images == 80
    assert_equal(whole, resumed)
    assert (whole.adversary is None) == (not adversarial)
    if whole.adversary is not None and resumed.adversary is not None:
        judges = (state.discriminator.state_dict().values() for state in (whole.adversary, resumed.adversary))
        assert all(torch.equal(a, b) for a, b in zip(*judges, strict=True))
    averaged = zip(whole.network.parameters(), whole.average.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in averaged), "the running mean follows, and is not the network"


def assert_equal(a: checkpoint.State, b: checkpoint.State) -> None:
    """Network, running mean and moments, to the last bit."""
    for left, right in ((a.network, b.network), (a.average, b.average)):
        for one, other in zip(left.parameters(), right.parameters(), strict=True):
            assert torch.equal(one, other)
    for one, other in zip(a.optimiser.state.values(), b.optimiser.state.values(), strict=True):
        assert torch.equal(one["exp_avg"], other["exp_avg"])
        assert torch.equal(one["exp_avg_sq"], other["exp_avg_sq"])


def test_a_training_that_was_killed_logs_nothing_twice(tmp_path: Path) -> None:
    plan = loop.Settings((loop.Phase(32, 250, 3000),), bf16=False, validate_every=1000)
    polls = iter([False] * 8 + [True])
    state = loop.fit(start(), {32: faces()}, plan, tmp_path, report=silent, stopped=lambda: next(polls))
    assert state.images == 2000
    # its last checkpoint is older than its logs
    state.images = 1250
    checkpoint.save(tmp_path / "checkpoint.pt", state)
    loop.fit(checkpoint.load(tmp_path / "checkpoint.pt", 1e-3), {32: faces()}, plan, tmp_path, report=silent)
    for name in ("log.csv", "validation.csv"):
        assert [row["images"] for row in run_log.logged(tmp_path / name)] == ["1000", "2000", "3000"]
    loop.fit(start(), {32: faces()}, replace(plan, phases=(loop.Phase(32, 250, 250),)), tmp_path, report=silent)
    assert [row["images"] for row in run_log.logged(tmp_path / "log.csv")] == ["250"]


def test_the_end_is_logged_and_validated_too(tmp_path: Path) -> None:
    loop.fit(start(), {32: faces()}, settings(60), tmp_path, report=silent)
    assert [row["images"] for row in run_log.logged(tmp_path / "validation.csv")] == ["40", "60"]
    assert [row["images"] for row in run_log.logged(tmp_path / "log.csv")] == ["60"]
    loop.fit(start(), {32: faces()}, settings(36), tmp_path / "short", report=silent)
    assert not (tmp_path / "short" / "validation.csv").exists()


def test_a_training_at_its_end_says_so(tmp_path: Path) -> None:
    state, lines = start(), list[str]()
    state.images = 80
    loop.fit(state, {32: faces()}, settings(80), tmp_path, report=lines.append)
    assert lines == ["80 of 80 images seen: there is nothing left to train"]


def one_step(state: checkpoint.State, plan: loop.Settings, target: Tensor) -> float:
    """How far (L2) one step by plain gradient descent moves the network, at a rate of one."""
    before = [parameter.detach().clone() for parameter in state.network.parameters()]
    state.optimiser = torch.optim.SGD(state.network.parameters())
    truth = losses.Truth(target, torch.ones(len(target), 3), torch.ones(len(target), 1, 32, 32))
    loop.train_step(state, target * 0.5, truth, plan, None)
    moves = [(a - b).square().sum() for a, b in zip(state.network.parameters(), before, strict=True)]
    return float(torch.stack(moves).sum().sqrt().detach()) / plan.rate_at(0)


def test_a_long_gradient_is_shortened() -> None:
    target = torch.rand(4, 3, 32, 32)
    assert one_step(start(), settings(8, clip=1e9), target) > 0.1
    assert one_step(start(), settings(8, clip=0.1), target) == pytest.approx(0.1, rel=0.01)


def test_a_batch_that_is_not_finite_is_left_out() -> None:
    state, target = start(), torch.rand(4, 3, 32, 32)
    target[0, 0, 0, 0] = torch.nan
    assert one_step(state, settings(8), target) == 0
    assert (state.step, state.images) == (1, 4)


@pytest.mark.parametrize(("step", "share"), [(1, 9 / 11), (90, 0.1), (10_000, 0.1)])
def test_the_running_mean_follows_fast_at_first(step: int, share: float) -> None:
    state = start()
    for parameter in state.network.parameters():
        torch.nn.init.ones_(parameter)
    for parameter in state.average.parameters():
        torch.nn.init.zeros_(parameter)
    state.step = step
    state.follow(0.9)
    assert all(torch.allclose(parameter, torch.tensor(share)) for parameter in state.average.parameters())


def test_crops_cut_ahead_by_threads_are_the_same(tmp_path: Path) -> None:
    alone, threaded = (
        loop.fit(start(), {32: faces()}, settings(24, workers=workers), tmp_path / str(workers), report=silent)
        for workers in (0, 3)
    )
    assert_equal(alone, threaded)


def test_it_leaves_logs_a_sheet_and_a_checkpoint(tmp_path: Path) -> None:
    lines: list[str] = []
    shares: list[float] = []
    clock = iter(range(10_000))
    plan = loop.Settings((loop.Phase(32, 250, 1000),), bf16=False, validate_every=1000, checkpoint_seconds=1)
    loop.fit(
        start(),
        {32: faces()},
        plan,
        tmp_path,
        report=lines.append,
        clock=lambda: float(next(clock)),
        advance=lambda share, text: shares.append(share),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.pt",
        "log.csv",
        "validation.csv",
        "validation.png",
    ]
    assert "0 min left" in lines[0]
    assert lines[1].startswith("validation: input_psnr")
    assert shares == [0.25, 0.5, 0.75, 1]
    sheet = cv2.imread(str(tmp_path / "validation.png"))
    assert sheet is not None
    assert sheet.shape[0] == 3 * 160


def test_what_remains_is_estimated_by_pixels() -> None:
    plan = loop.Settings((loop.Phase(10, 1, 100), loop.Phase(20, 1, 100)))
    assert plan.progress(100) == pytest.approx(0.2)
    assert plan.progress(150) == pytest.approx(0.6)
    assert plan.progress(200) == 1


def test_faces_to_validate_on_are_degraded_once(tmp_path: Path) -> None:
    class Read(np.ndarray):
        times = 0

        def __getitem__(self, place: int) -> np.ndarray:
            Read.times += 1
            return np.asarray(self)[place]

    source = replace(faces(), canvases=faces().canvases.view(Read))
    lines: list[str] = []
    book = run_log.Journal(tmp_path, settings(8), 0, lines.append, lambda: 0.0)
    times = []
    for size in (32, 32, 16):
        book.validation(start(), source, size)
        times.append(Read.times)
    assert times[0] == times[1] < times[2]
    assert lines[0] == lines[1]


@pytest.mark.train
def test_it_learns(tmp_path: Path) -> None:
    source = faces()
    state = start()
    pairs = list(validation.held_out_pairs(source, 32))
    before = loop.validate(state.average, pairs)
    loop.fit(state, {32: source}, settings(4000), tmp_path, report=silent)
    after = loop.validate(state.average, pairs)
    assert after["psnr"] > before["psnr"] + 1
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0].startswith("images,size,rate,loss")
    assert len(rows) == 5


def test_a_compact_checkpoint_keeps_the_network(tmp_path: Path) -> None:
    state = loop.fit(start(), {32: faces()}, settings(8), tmp_path / "run", report=silent)
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
    torch.nn.init.constant_(network.light.affine.bias, 1)
    torch.nn.init.zeros_(network.view.classifier.weight)
    for logit, same in ((-5.0, True), (0.0, True), (5.0, False)):
        torch.nn.init.constant_(network.view.classifier.bias, logit)
        assert torch.equal(network(image)[0], image) is same


def test_a_checkpoint_of_another_version_is_named(tmp_path: Path) -> None:
    state = start()
    content = checkpoint.contents(state)
    content["average"]["view.affine.weight"] = content["average"].pop("light.affine.weight")
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"old.pt is of another version .* light.affine.weight first"):
        checkpoint.load(tmp_path / "old.pt", 1e-3)


def test_a_part_of_another_shape_is_another_version(tmp_path: Path) -> None:
    content = checkpoint.contents(start())
    content["average"]["light.affine.weight"] = torch.zeros(12, 7)
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"another version .*\(1 parts differ, light.affine.weight first\)"):
        checkpoint.load(tmp_path / "old.pt", 1e-3)


def test_a_checkpoint_of_other_arguments_is_another_version(tmp_path: Path) -> None:
    content = checkpoint.contents(start())
    content["shape"]["window"] = 7
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"old.pt is of another version of the network \(.*'window'\): train again"):
        checkpoint.load(tmp_path / "old.pt", 1e-3)


def test_a_checkpoint_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "c.pt").mkdir()
    with pytest.raises(OSError, match=r"c\.pt"):
        checkpoint.save(tmp_path / "c.pt", start())


def test_a_training_begins_from_another_with_a_light_of_its_own(tmp_path: Path) -> None:
    state, light = start(), part.PartTraining(pretrain_light.COURSE)
    state.images = 40
    checkpoint.save(tmp_path / "begin.pt", state)
    torch.nn.init.normal_(light.average.get_parameter("affine.weight"))
    light.save(tmp_path / "light.pt")
    places = Places("", tmp_path, tmp_path / "out", tmp_path, tmp_path / "begin.pt", tmp_path / "light.pt")
    found = launch.beginning({}, settings(80), places)
    assert found["images"] == 0
    for name, before in (("network", state.network), ("average", state.average)):
        for key, value in before.state_dict().items():
            wanted = light.average.get_parameter("affine.weight") if key == "light.affine.weight" else value
            if not key.startswith("light.") or key == "light.affine.weight":
                assert torch.equal(found[name][key], wanted), key


def test_a_network_without_its_training_is_not_trained_on(tmp_path: Path) -> None:
    content = checkpoint.contents(start())
    checkpoint.write(tmp_path / "deep" / "teacher.pt", {name: content[name] for name in ("shape", "average", "images")})
    assert checkpoint.load_network(tmp_path / "deep" / "teacher.pt")[1] == 0
    with pytest.raises(ValueError, match=r"teacher.pt holds a network without its training"):
        checkpoint.load(tmp_path / "deep" / "teacher.pt", 1e-3)


def test_a_log_takes_the_columns_of_another_loss(tmp_path: Path) -> None:
    run_log.log(tmp_path / "log.csv", {"images": 1, "fine": 2})
    run_log.log(tmp_path / "log.csv", {"images": 2, "fine": 3})
    run_log.log(tmp_path / "log.csv", {"images": 3, "ssim": 4})
    run_log.log(tmp_path / "log.csv", {"images": 4, "fine": 5, "ssim": 6})
    assert (tmp_path / "log.csv").read_text().split() == ["images,fine,ssim", "1,2,", "2,3,", "3,,4", "4,5,6"]


def test_f1_is_that_of_all_faces_at_once() -> None:
    network = start().average.eval()
    many = faces(1000)
    pairs = list(validation.held_out_pairs(many, 32, 24))
    assert len(pairs) > 1
    with torch.no_grad():
        found = torch.cat([network(degraded)[2] for _, degraded, _ in pairs])
    f1 = metrics.macro_f1(torch.cat([labels for _, _, labels in pairs]), found)
    assert validation.validate(network, pairs)["f1"] == pytest.approx(f1)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_loss_has_no_weight_below_nothing(weight: float) -> None:
    with pytest.raises(ValueError, match=f"--log-error must be a number from 0, not {weight}"):
        losses.Weights(log_error=weight)


def test_a_held_light_network_stays_as_it_was(tmp_path: Path) -> None:
    for hold in (True, False):
        state = start()
        torch.nn.init.normal_(state.network.light.affine.weight, std=0.01)
        before = [parameter.clone() for parameter in state.network.light.parameters()]
        state = loop.fit(state, {32: faces()}, settings(40, hold_light=hold), tmp_path / str(hold), report=silent)
        after = list(state.network.light.parameters())
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) is hold


def test_gentle_batches_are_less_spoilt_and_labelled_so() -> None:
    index = np.arange(16)
    near = settings(16, far=0.0, camera=0.0)
    rough, gentle = (feed.make_batch(faces(), index, 32, replace(near, gentle=share), 0) for share in (0.0, 1.0))
    error = [float((degraded - truth.image).square().mean()) for degraded, truth in (rough, gentle)]
    assert error[1] < error[0] / 4
    assert set(rough[1].labels.unique().tolist()) == {0.0, 1.0}
    assert gentle[1].labels.unique().tolist() == pytest.approx([0.0, feed.MILD])


def test_the_given_share_of_batches_are_of_far_faces() -> None:
    """What is finer than the camera's pixels is gone from them, whatever the degradation is for the others."""
    sharp = replace(settings(8, gentle=0.0, camera=0.0), degradation=Degradation(percent_dist=0.0))
    shares = []
    for share in (0.0, 0.5, 1.0):
        batches = [feed.make_batch(faces(), np.arange(8), 96, replace(sharp, far=share), seen) for seen in range(40)]
        shares.append(sum(not torch.equal(degraded, truth.image) for degraded, truth in batches) / 40)
    assert shares[0] == 0
    assert 0.3 < shares[1] < 0.7
    assert shares[2] > 0.9


@pytest.mark.parametrize("share", [1.5, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="--far must be within 0 and 1"):
        settings(8, far=share)


def test_one_network_takes_every_size() -> None:
    network = FRRNet(width=2, depth=1, stem_stride=4)
    for size in (48, 96, 176):
        assert network(torch.rand(1, 3, size, size))[0].shape == (1, 3, size, size)


@given(st.integers(1, 20), st.integers(20, 60))
def test_pooling_keeps_the_mean(outputs: int, inputs: int) -> None:
    matrix = operators.area(outputs, inputs)
    assert torch.allclose(matrix.sum(1), torch.ones(outputs), atol=1e-5)
    assert torch.allclose(matrix.sum(0) * inputs / outputs, torch.ones(inputs), atol=1e-5)


@given(st.integers(0, 500), st.integers(1, 40))
def test_the_order_of_data_does_not_depend_on_where_it_is_cut(start_at: int, count: int) -> None:
    whole = loop.shuffled(np.arange(37), 3, 0, start_at + count)
    assert np.array_equal(whole[start_at:], loop.shuffled(np.arange(37), 3, start_at, count))
    assert sorted(loop.shuffled(np.arange(37), 3, 37, 37)) == list(range(37))


def test_the_rate_warms_up_and_falls() -> None:
    plan = loop.Settings((loop.Phase(96, 8, 1000), loop.Phase(336, 4, 100)), warm_up=100, rate=1e-3, final_rate=1e-5)
    rates = [plan.rate_at(seen) for seen in range(1101)]
    assert rates[0] == pytest.approx(1e-5, rel=0.05)
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(1e-5)
    even = loop.Settings((loop.Phase(96, 8, 1000),), warm_up=1, rate=1.0, final_rate=1e-9)
    # cos² of half the way's angle
    assert [even.rate_at(seen) for seen in (250, 500, 750)] == pytest.approx([0.853553, 0.5, 0.146447], abs=1e-5)
    assert plan.phase(999).size == 96
    assert plan.phase(1000).size == 336


def test_a_phase_is_read() -> None:
    assert loop.Phase.parse("96:16:1000") == loop.Phase(96, 16, 1000)


@pytest.mark.parametrize("text", ["96:16", "96:0:100", "a:b:c", "0:8:100", ""])
def test_a_phase_out_of_range_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="SIZE:BATCH:IMAGES"):
        loop.Phase.parse(text)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"rate": 0.0}, "--rate must be above 0"),
        ({"rate": float("nan")}, "--rate must be above 0"),
        ({"final_rate": -1.0}, "--final-rate must be above 0"),
        ({"decay": 1.0}, "--decay must be"),
        ({"seed": -1}, "--seed must not be below 0"),
    ],
)
def test_a_setting_out_of_range_is_named(option: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(settings(8), **option)


def test_a_machine_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="--stream-workers must be at least 1"):
        Machine(stream_workers=0)
    with pytest.raises(ValueError, match="--device must be auto, cpu or cuda"):
        pick_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_said() -> None:
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="sees no CUDA device"):
        pick_device("cuda")


@hypothesis.settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 8))
def test_shares_make_up_the_batch(size: int, each: int) -> None:
    places = [p for rank in range(size) for p in range(size * each)[World(rank, size).share(size * each)]]
    assert places == list(range(size * each))


def test_a_batch_that_cannot_be_shared_is_said() -> None:
    with pytest.raises(ValueError, match="batch of 5 cannot be split evenly among 2 processes"):
        World(0, 2).share(5)


@pytest.mark.parametrize("size", [2, 4])
def test_the_shares_of_a_batch_are_the_whole_batch(size: int) -> None:
    source, plan = {32: faces()}, settings(8, camera=0.0)
    whole, truth = next(feed.Feed(source, plan).batches(0))
    shared = [next(feed.Feed(source, plan, World(rank, size)).batches(0)) for rank in range(size)]
    assert torch.equal(torch.cat([degraded for degraded, _ in shared]), whole)
    assert torch.equal(torch.cat([part.image for _, part in shared]), truth.image)
    assert torch.equal(torch.cat([part.labels for _, part in shared]), truth.labels)


def test_faces_without_masks_are_labelled() -> None:
    def half(images: Tensor) -> Tensor:
        return torch.full_like(images[:, :1], 0.5)

    bare = replace(faces(), masks=None)
    _, truth = next(feed.Feed({32: bare}, settings(8), label=half).batches(0))
    assert truth.mask is not None
    assert float(truth.mask.mean()) == 0.5


def test_every_field_is_an_option_with_its_docstring() -> None:
    for group in (loop.Settings, Machine, losses.Weights):
        helps = arguments.documented(group)
        for field in arguments.fields(group):
            assert field.type not in arguments.PLAIN or helps[field.name], field.name
    parameters = get_command(app).commands["fit"].params
    options = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {"--rate", "--no-bf16", "--stream-workers", "--log-error", "--device", "--features"} <= options


def test_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    for terminal in (True, False):
        console = progress.Console(force_terminal=terminal, record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
        with console.file, progress.shown(console) as (report, advance):
            report("[a line]")
            advance(0.5, "half")
        assert "[a line]" in console.export_text()


def test_a_log_gets_what_remains_after_a_minute_without_a_line() -> None:
    time = [0.0]
    console = progress.Console(force_terminal=False, record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file, progress.shown(console, clock=lambda: time[0]) as (report, advance):
        for now, share in ((5, 0.2), (59, 0.3), (65, 0.4), (124, 0.5), (125, 0.6)):
            time[0] = now
            advance(share, f"{share:.0%}")
        time[0] = 180
        report("a line")
        time[0] = 239
        advance(0.8, "80%")
    # a training that goes on from 20 % has done 20 % of it in a minute
    assert console.export_text().splitlines() == ["40%, 3 min left", "60%, 2 min left", "a line"]


def test_what_is_counted_ahead_is_all_given() -> None:
    console = progress.Console(force_terminal=True, record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        assert list(progress.stepped(range(0, 8, 4), "faces", console)) == [0, 4]
    assert "faces" in console.export_text()


def test_what_cannot_be_counted_ahead_is_counted_on_a_terminal() -> None:
    for terminal in (True, False):
        console = progress.Console(force_terminal=terminal, record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
        with console.file:
            assert list(progress.counted((letter for letter in "abc"), "letters", console)) == ["a", "b", "c"]
        assert ("letters 3/?" in console.export_text()) == terminal


def fit_by_command(folder: Path, *launcher: str, out: str) -> checkpoint.State:
    """Train on the shards in a folder by the command line, as a user would."""
    network = ["--width", "2", "--depth", "1", "--device", "cpu", "--no-bf16"]
    plan = ["--phases", "32:4:64", "--warm-up", "8", "--validate-every", "32", "--adversarial", "0.01"]
    plan += ["--camera", "0"]  # whose codecs' steps enlarge the last bits in which two halves differ from one batch
    paths = ["--data", str(folder), "--runs", str(folder / "runs"), "--out", str(folder / out)]
    subprocess.run(
        [sys.executable, *launcher, "-m", "train", "fit", *paths, *network, *plan],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        timeout=1800,
    )
    return checkpoint.load(folder / out / "checkpoint.pt", 1e-3)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder of faces, some of them held out."""
    write_shards(tmp_path, [60])
    return tmp_path


def fitted(data: Path | str, folder: Path, images: int, *more: str) -> Result:
    """What `fit` says of a short training in `folder`/out, in this process."""
    paths = ["--data", str(data), "--runs", str(folder / "runs"), "--out", str(folder / "out")]
    plan = ["--phases", f"32:4:{images}", "--warm-up", "8", "--no-bf16", "--device", "cpu"]
    return CliRunner().invoke(app, ["fit", *paths, *plan, *more])


TINY = ("--width", "2", "--depth", "1")


def test_a_training_from_a_checkpoint_goes_through_all_its_phases(shards: Path) -> None:
    state = start()
    state.images, state.step = 5000, 1250
    checkpoint.save(shards / "packed.pt", state, compact=True)
    for images in (8, 12):  # begun, then taken up
        assert fitted(shards, shards, images, "--begin", str(shards / "packed.pt")).exit_code == 0
        resumed = checkpoint.load(shards / "out" / "checkpoint.pt", 1e-3)
        assert (resumed.images, resumed.step, resumed.before) == (images, images // 4, 5000)
        assert checkpoint.load_network(shards / "out" / "checkpoint.pt")[1] == 5000 + images
    again = checkpoint.restarted(checkpoint.read(shards / "out" / "checkpoint.pt"))
    assert (again["before"], again["images"]) == (5012, 0)
    old = checkpoint.contents(state)
    del old["before"]
    assert checkpoint.restarted(old)["before"] == 5000


def test_a_network_of_another_shape_is_not_taken_for_the_one_asked_for(shards: Path) -> None:
    assert fitted(shards, shards, 4, *TINY).exit_code == 0
    assert fitted(shards, shards, 8).exit_code == 0, "no shape asked for: the checkpoint's"
    refused = fitted(shards, shards, 12, "--width", "4", "--depth", "1").exception
    assert re.match(r"--width 4: the network in .*checkpoint.pt has 2: ", str(refused))


def test_masks_that_are_not_there_are_said(shards: Path) -> None:
    said = fitted(shards, shards, 4, *TINY).output
    assert "there are no mask labels" in said
    cached = data.load_faces(shards, shards / "runs" / "cache", 192)
    np.save(shards / "runs" / "cache" / data.LABELS, np.full(cached.canvases.shape[:3], 255, np.uint8))
    assert "mask labels" not in fitted(shards, shards, 8, *TINY).output


def test_a_signal_ends_what_has_nothing_to_save(shards: Path) -> None:
    # SIGINT comes while the faces are read
    address = f"pipe:kill -INT $PPID; cat {shards}/faces-train-000.tar"
    assert fitted(address, shards, 4, *TINY).exit_code != 0
    assert not (shards / "out").exists()


@pytest.mark.train
def test_two_processes_end_with_the_weights_of_one(tmp_path: Path) -> None:
    write_shards(tmp_path, [40])
    one = fit_by_command(tmp_path, out="one")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    two = fit_by_command(tmp_path, *launcher, out="two")
    assert one.images == two.images == 64
    # not to the bit: two halves of a gradient are summed in another order than one batch's, and where a gradient is all
    # but zero, that settles its sign, by which Adam moves that weight (another picture would move it by 1e-4 and more)
    assert one.adversary is not None
    assert two.adversary is not None
    pairs = (
        zip(one.network.parameters(), two.network.parameters(), strict=True),
        zip(one.adversary.discriminator.parameters(), two.adversary.discriminator.parameters(), strict=True),
    )
    for a, b in itertools.chain(*pairs):
        assert (a - b).abs().mean() < 5e-6
        assert (a - b).abs().max() < 4e-3  # such a sign moves a weight by the rate, 1e-3 at most, each time
    rows = [(tmp_path / out / "validation.csv").read_text().splitlines() for out in ("one", "two")]
    # the head and one row for every validation: the second process writes nothing
    assert len(rows[0]) == len(rows[1]) == 3

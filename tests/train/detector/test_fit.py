import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from train.common import mixed_precision
from train.detector.__main__ import app
from train.detector.anchors import encode_boxes, encode_points, make_anchors
from train.detector.assignment import assign
from train.detector.data.composites import Composer
from train.detector.fit import FitSettings, fit, learning_rate, load, load_averaged, new_state, save, train_step
from train.detector.losses import Target, Weights, detection_loss, diou, quality_focal
from train.detector.network import Architecture, Predictions

TINY = Architecture(stem=(4, 8), widths=(8, 8, 8), blocks=(0, 0, 0, 0), neck=8)
SETTINGS = FitSettings(images=24, batch=4, warmup=8, checkpoint_every=12)
BOXES = torch.tensor([[40.0, 30, 90, 95], [200.0, 50, 212, 66]])
POINTS = BOXES[:, None, :2] + torch.rand(2, 5, 2) * 10


def perfect(target: Target) -> tuple[Predictions, torch.Tensor]:
    """Predictions that say the target exactly, and which anchors are positive."""
    anchors = make_anchors(192, 320)
    faces = assign(anchors, target.boxes, target.ignored).faces
    chosen = faces.clamp(min=0)
    distances = encode_boxes(anchors.centres, anchors.strides, target.boxes[chosen])
    offsets = encode_points(anchors.centres, anchors.strides, target.points[chosen])
    scores = torch.where(faces >= 0, 12.0, -12.0)
    return Predictions(scores[None], distances[None], offsets[None]), faces >= 0


def test_the_truth_costs_nothing() -> None:
    target = Target(BOXES, POINTS, torch.zeros(0, 4))
    predictions, _ = perfect(target)
    loss = detection_loss(predictions, [target], make_anchors(192, 320), Weights())
    assert float(loss.total) == pytest.approx(0, abs=1e-3)


def test_a_false_face_costs_unless_it_is_ignored() -> None:
    no_boxes = torch.zeros(0, 4)
    predictions, positive = perfect(Target(BOXES[:1], POINTS[:1], no_boxes))
    costs = [
        float(detection_loss(predictions, [Target(no_boxes, torch.zeros(0, 5, 2), ignored)], anchors, Weights()).total)
        for anchors in [make_anchors(192, 320)]
        for ignored in (no_boxes, BOXES[:1] + torch.tensor((-20.0, -20, 20, 20)))
    ]
    assert positive.any()
    assert costs[0] > 1
    assert costs[1] == pytest.approx(0, abs=1e-3)


def test_diou() -> None:
    iou, loss = diou(
        torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]]), torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    )
    assert iou.tolist() == [1, 0]
    assert loss.tolist() == pytest.approx([0, 1 + 800 / 1800])


def test_quality_focal_is_least_at_the_quality() -> None:
    logits = torch.tensor([0.3, 0.7, 0.99]).logit()
    assert quality_focal(logits, torch.full((3,), 0.7)).argmin() == 1


def test_the_rate_rises_and_falls() -> None:
    settings = FitSettings(images=1000, warmup=100, rate=1e-2)
    rates = [learning_rate(seen, settings) for seen in (0, 50, 100, 500, 1000)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1e-2)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(1e-4)


def test_a_run_stops_resumes_and_leaves_a_network(composer: Composer, tmp_path: Path) -> None:
    state = new_state(TINY, SETTINGS)
    before = state.network.stem[0][0].weight.detach().clone()
    fit(state, composer, SETTINGS, tmp_path)
    assert state.images_seen == 24
    assert not torch.equal(before, state.network.stem[0][0].weight)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    resumed = load(tmp_path / "last.pt", SETTINGS)
    fit(resumed, composer, SETTINGS, tmp_path)
    assert resumed.images_seen == 24, "nothing is left to train"
    assert len(resumed.optimiser.state) == len(state.optimiser.state)
    again = load(tmp_path / "last.pt", SETTINGS, restart=True)
    assert (again.images_seen, again.before) == (0, 24)
    network, seen = load_averaged(tmp_path / "last.pt")
    assert seen == 24
    assert all(np.isfinite(weight.detach().numpy()).all() for weight in network.parameters())


def test_a_run_says_how_far_it_is_and_that_it_is_at_its_end(composer: Composer, tmp_path: Path) -> None:
    state, said, shares = new_state(TINY, SETTINGS), list[str](), list[float]()
    fit(state, composer, SETTINGS, tmp_path, said.append, advance=lambda share, _text: shares.append(share))
    assert len(said) == 2
    assert re.match(r"12 of 24 images, [0-9.]+/s, \d+ min left: score ", said[0])
    assert shares == pytest.approx([seen / 24 for seen in range(4, 25, 4)])
    fit(state, composer, SETTINGS, tmp_path, said.append)
    assert said[-1] == "24 of 24 images seen: there is nothing left to train"


@pytest.mark.parametrize("option", ["--batch", "--images"])
def test_a_number_out_of_range_is_refused(option: str) -> None:
    assert CliRunner().invoke(app, ["fit", option, "0"]).exit_code == 2


def test_a_new_run_does_not_take_anothers_place(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"hours")
    given = ["fit", "--out", str(tmp_path), "--data", str(tmp_path), "--cache", str(tmp_path)]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, ValueError)
    assert "last.pt holds a training: go on with it by --resume" in str(result.exception)


def test_a_compact_checkpoint_goes_on_from_nearly_the_same(composer: Composer, tmp_path: Path) -> None:
    state = new_state(TINY, SETTINGS)
    fit(state, composer, SETTINGS, tmp_path)
    save(state, tmp_path / "compact.pt", compact=True)
    assert (tmp_path / "compact.pt").stat().st_size < 0.8 * (tmp_path / "last.pt").stat().st_size
    whole, compact = (load(tmp_path / name, SETTINGS) for name in ("last.pt", "compact.pt"))
    for name, weight in whole.averaged.state_dict().items():
        assert torch.equal(weight, compact.averaged.state_dict()[name])
    for name, weight in whole.network.state_dict().items():
        torch.testing.assert_close(compact.network.state_dict()[name], weight, atol=1e-3, rtol=1e-3)
    moments = next(iter(compact.optimiser.state.values()))
    assert moments["exp_avg"].dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a checkpoint", "is no checkpoint"),
        ({"average": {}}, "is no checkpoint of the detector"),
        ({"averaged": {}, "architecture": {"depth": 3}, "images_seen": 0}, "another version of the detector: .*depth"),
        ({"averaged": {}, "architecture": {}, "images_seen": 0}, r"another version of the detector: it differs in \d+"),
    ],
)
def test_what_is_no_checkpoint_is_said(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_averaged(path)


def test_convolutions_are_in_bfloat16_only_where_it_is_native(composer: Composer) -> None:
    state, random = new_state(TINY, SETTINGS), np.random.default_rng(0)
    kinds: list[torch.dtype] = []
    state.network.stem[0][0].register_forward_hook(lambda _module, _inputs, output: kinds.append(output.dtype))
    train_step(state, [composer.scene(64, 64, random) for _ in range(2)], make_anchors(64, 64), 1e-3, 0.5)
    assert kinds == [torch.bfloat16 if mixed_precision.native("cpu") else torch.float32]

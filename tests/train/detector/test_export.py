"""A tiny random network, exported, quantised, and really loaded by insightface."""

from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.model_zoo.scrfd import SCRFD

from train.detector.anchors import decode_boxes, decode_points, make_anchors
from train.detector.data.composites import Composer
from train.detector.evaluate import InsightFaceDetector
from train.detector.export import INPUT, OUTPUTS, Calibration, Deployed, export, quantise
from train.detector.fit import to_tensor
from train.detector.network import Architecture, FaceDetector, multiply_adds
from train.detector.publish import Benchmark, publish

TINY = Architecture(stem=(4, 4), widths=(4, 8, 8), blocks=(0, 1, 0, 0), neck=8, head_blocks=(0, 0, 1))


@pytest.fixture(scope="module")
def network() -> FaceDetector:
    torch.manual_seed(5)
    network = FaceDetector(TINY)
    network.train()
    with torch.no_grad():  # statistics that are not BatchNorm's defaults, so that folding has something to fold
        for _ in range(3):
            network(torch.randn(4, 3, 64, 96))
    return network.eval()


@pytest.fixture(scope="module")
def model_file(network: FaceDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    export(network, path)
    assert list(path.parent.iterdir()) == [path]
    return path


def test_what_cannot_be_measured_takes_no_files_place(composer: Composer, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped.onnx"
    shipped.write_bytes(b"as its manifest says")
    with pytest.raises(FileNotFoundError, match=r"no clip in .*: set --data"):
        publish(tmp_path / "any.pt", shipped, composer, 1, Benchmark(tmp_path, tmp_path))
    assert shipped.read_bytes() == b"as its manifest says"


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(320, 192), (96, 64)])
def test_insightface_decodes_what_the_network_says(
    network: FaceDetector, model_file: Path, size: tuple[int, int]
) -> None:
    image = picture(size[1], size[0])
    detector = InsightFaceDetector(model_file, size, threshold=0.0)
    assert isinstance(detector.model, SCRFD)
    detector.model.nms_thresh = 1.0
    boxes, points = detector.detect(image)
    anchors = make_anchors(size[1], size[0])
    with torch.no_grad():
        said = network(to_tensor([image]))
    order = np.argsort(-said.scores[0].numpy(), kind="stable")
    assert len(boxes) == len(anchors.centres)
    wanted = decode_boxes(anchors.centres, anchors.strides, said.distances[0]).numpy()[order]
    five = decode_points(anchors.centres, anchors.strides, said.offsets[0]).numpy()[order]
    scores = said.scores[0].sigmoid().numpy()[order]
    np.testing.assert_allclose(boxes[:, 4], scores, atol=1e-5)
    # equal scores may swap places: compare as sets, by sorting rows
    found = np.concatenate((boxes[:, :4], points.reshape(-1, 10)), 1)
    said_rows = np.concatenate((wanted, five.reshape(-1, 10)), 1)
    np.testing.assert_allclose(np.sort(found, 0), np.sort(said_rows, 0), atol=2e-2)


def test_a_larger_picture_is_letterboxed_top_left(model_file: Path) -> None:
    detector = InsightFaceDetector(model_file, (320, 320), threshold=0.0)
    boxes, points = detector.detect(picture(720, 1280))
    assert boxes.shape[1:] == (5,)
    assert points.shape[1:] == (5, 2)
    assert boxes[:, 2].max() > 700


def test_nothing_is_found_below_the_threshold(model_file: Path) -> None:
    boxes, points = InsightFaceDetector(model_file, (320, 192), threshold=0.99).detect(picture(180, 320))
    assert boxes.shape == (0, 5)
    assert points.shape == (0, 5, 2)


def test_int8_keeps_the_contract(model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    images = [to_tensor([picture(64, 96)]).numpy() for _ in range(2)]
    quantise(model_file, path, images)
    sessions = [InsightFaceDetector(file, (96, 64)).model.session for file in (model_file, path)]
    assert [output.name for output in sessions[1].get_outputs()] == list(OUTPUTS)
    single, quantised = (session.run(None, {INPUT: images[0]}) for session in sessions)
    for wanted, found in zip(single, quantised, strict=True):
        assert wanted.shape == found.shape
        assert np.abs(wanted - found).max() < 0.3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx"):
        InsightFaceDetector(tmp_path / "nowhere.onnx", (320, 320))


def test_the_default_network_is_as_small_as_it_says() -> None:
    assert multiply_adds(FaceDetector(), 320, 320) == pytest.approx(0.515e9, rel=0.02)


def test_calibration_changes_the_scores_alone(network: FaceDetector) -> None:
    image = to_tensor([picture(64, 96)])
    shifts = (-1.0, 0.0, 0.5)
    plain, changed = Deployed(network)(image), Deployed(network, Calibration(1.5, shifts))(image)
    for one, other, shift in zip(plain[:3], changed[:3], shifts, strict=True):
        torch.testing.assert_close(1.5 * one.logit() + shift, other.logit(), atol=1e-3, rtol=1e-3)
    for one, other in zip(plain[3:], changed[3:], strict=True):
        torch.testing.assert_close(one, other)

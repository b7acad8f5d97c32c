"""The detector on files of SCRFD's layout that are made here: what the network would say is written into them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.drawn.moving_head import Pose
from frrcam.errors import ModelCorrupt, ModelMismatch, ModelNotFound
from frrcam.faces.detector import FakeDetector, InsightFaceDetector
from frrcam.faces.second_look import SecondLook, combined, cut_out

PICTURE = np.zeros((720, 1280, 3), np.uint8)


def layout(
    path: Path,
    faces: list[tuple[int, int, float]],
    outputs: int = 9,
    channels: int = 3,
    fixed: int = 0,
    width: int = 320,
) -> Path:
    """An SCRFD-layout file for width×192 that finds faces at (column, row) of its stride-8 grid with that score.

    Each box reaches 2 cells to all sides of its cell; the points lie on the cell, one cell apart in x.
    """
    nodes, infos, weights = [], [], []
    grids = {stride: (192 // stride, width // stride) for stride in (8, 16, 32)}
    for kind, numbers in (("score", 1), ("box", 4), ("points", 10)):
        for stride, (rows, columns) in grids.items():
            values = np.zeros((1, rows * columns * 2, numbers), np.float32)
            if kind == "box":
                values += 2.0
            if kind == "points":
                values[..., 0::2] = (-2, -1, 0, 1, 2)
            if kind == "score" and stride == 8:
                for column, row, score in faces:
                    values[0, (row * columns + column) * 2, 0] = score
            name = f"{kind}_{stride}"
            weights.append(numpy_helper.from_array(values, f"{name}_value"))
            # adding the picture's mean times nothing keeps the input in use
            nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    weights.append(numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero"))
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    before = [
        helper.make_node("Mul", ["input", "zero"], ["none"]),
        helper.make_node("ReduceMean", ["none"], ["nothing4"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["nothing4", "one"], ["nothing"]),
    ]
    shape = [1, channels, fixed or "height", fixed or "width"]
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph([*before, *nodes], "layout", [entry], infos[:outputs], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_faces_come_back_in_picture_pixels_largest_first(tmp_path: Path) -> None:
    model = layout(tmp_path / "faces.onnx", [(10, 5, 0.9), (30, 20, 0.6), (20, 10, 0.4)])
    found = InsightFaceDetector(model, second_look=None).detect(PICTURE)
    assert [round(detection.score, 2) for detection in found] == [0.9, 0.6]
    # cell (10, 5) of stride 8 on a canvas of a quarter: x = 80 · 4, as networks of this layout are trained
    assert found[0].points[2] == pytest.approx((320, 160))
    assert found[0].points[0] == pytest.approx((256, 160))
    assert found[0].box == pytest.approx((256, 96, 384, 224))


def test_the_threshold_decides(tmp_path: Path) -> None:
    model = layout(tmp_path / "faces.onnx", [(10, 5, 0.9), (30, 20, 0.6), (20, 10, 0.4)])
    assert len(InsightFaceDetector(model, threshold=0.3, second_look=None).detect(PICTURE)) == 3
    assert InsightFaceDetector(model, threshold=0.95, second_look=None).detect(PICTURE) == []


def look_twice(model: Path, most: int = 4) -> list[float]:
    """Scores on a square picture at its own size, each doubtful face looked at in a cut-out of the same size."""
    again = SecondLook(floor=0.2, sure=0.75, side=192, face=32.0, most=most)
    detector = InsightFaceDetector(model, size=192, threshold=0.01, second_look=again)
    return [round(detection.score, 3) for detection in detector.detect(np.zeros((192, 192, 3), np.uint8))]


def test_a_doubtful_face_that_is_seen_again_is_surer(tmp_path: Path) -> None:
    """The layout says the same of every picture: a face in its middle, where a cut-out around it has it too."""
    (score,) = look_twice(layout(tmp_path / "faces.onnx", [(12, 12, 0.6)], width=192))
    assert score == round(combined(0.6, 0.6), 3) > 0.6


def test_a_doubtful_face_that_is_not_seen_again_is_doubted(tmp_path: Path) -> None:
    model = layout(tmp_path / "faces.onnx", [(4, 4, 0.6)], width=192)
    assert look_twice(model) == [round(combined(0.6, 0.0), 3)]
    assert combined(0.6, 0.0) < 0.2


@pytest.mark.parametrize("score", [0.15, 0.8])
def test_what_is_hopeless_or_sure_is_not_looked_at_again(tmp_path: Path, score: float) -> None:
    assert look_twice(layout(tmp_path / "faces.onnx", [(4, 4, score)], width=192)) == [score]


def test_only_the_best_doubtful_faces_are_looked_at_again(tmp_path: Path) -> None:
    model = layout(tmp_path / "faces.onnx", [(4, 4, 0.6), (20, 4, 0.5)], width=192)
    assert look_twice(model, most=1) == [round(combined(0.6, 0.0), 3), 0.5]


@pytest.mark.parametrize(
    ("first", "second", "least", "most"), [(0.6, 0.6, 0.6, 0.7), (0.3, 0.8, 0.6, 0.75), (0.5, 0.5, 0.5, 0.5)]
)
def test_two_scores_combine_by_their_log_odds(first: float, second: float, least: float, most: float) -> None:
    assert least - 1e-9 <= combined(first, second) <= most + 1e-9


def test_a_cut_out_is_black_beyond_the_picture() -> None:
    image = np.full((100, 120, 3), 200, np.uint8)
    canvas, window = cut_out(image, SecondLook(side=64, face=32.0).window((0.0, 0.0, 40.0, 40.0)), 64)
    assert window == (-20.0, -20.0, 80.0)
    assert canvas[:16].max() == 0
    assert canvas[:, :16].max() == 0
    assert canvas[16:, 16:].min() == 200
    assert cut_out(image, (500.0, 500.0, 80.0), 64)[0].max() == 0


def test_nothing_is_written_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    InsightFaceDetector(layout(tmp_path / "faces.onnx", [(10, 5, 0.9)])).detect(PICTURE)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no detector at .*absent\.onnx"):
        InsightFaceDetector(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08" * 50])
def test_a_corrupt_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"broken\.onnx cannot be loaded") as caught:
        InsightFaceDetector(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = layout(tmp_path / "faces.onnx", []).read_bytes()
    path = tmp_path / "half.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelCorrupt, match="fetch it again"):
        InsightFaceDetector(path)


@pytest.mark.parametrize(("outputs", "channels"), [(6, 3), (1, 3), (9, 1)])
def test_another_network(tmp_path: Path, outputs: int, channels: int) -> None:
    with pytest.raises(ModelMismatch, match="detector"):
        InsightFaceDetector(layout(tmp_path / "other.onnx", [], outputs, channels))


def test_the_fake_follows_its_script() -> None:
    one, two = Pose(100, 100).detection(), Pose(200, 100).detection()
    fake = FakeDetector([one, two], [], [two])
    assert [len(fake.detect(PICTURE)) for _ in range(4)] == [2, 0, 1, 1]
    assert fake.calls == 4
    fake.broken = True
    with pytest.raises(RuntimeError):
        fake.detect(PICTURE)
    assert FakeDetector().detect(PICTURE) == []

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.detector.anchors import decode_boxes, decode_points, encode_boxes, encode_points, make_anchors
from train.detector.assignment import assign, pairwise_iou

NONE = torch.zeros(0, 4)
ANCHORS = make_anchors(192, 320)


def test_anchors_follow_scrfd() -> None:
    assert len(ANCHORS.centres) == 2 * (24 * 40 + 12 * 20 + 6 * 10)
    # two per cell, row by row, cell index × stride, no half cell
    assert ANCHORS.centres[:4].tolist() == [[0, 0], [0, 0], [8, 0], [8, 0]]
    assert ANCHORS.centres[-1].tolist() == [288, 160]


def test_a_size_that_32_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="320x180"):
        make_anchors(180, 320)


boxes = st.tuples(st.floats(10, 300), st.floats(10, 180), st.floats(5, 280), st.floats(1.0, 1.5)).map(
    lambda v: torch.tensor([[v[0] - v[2] / 2, v[1] - v[2] * v[3] / 2, v[0] + v[2] / 2, v[1] + v[2] * v[3] / 2]])
)


@given(boxes)
@settings(deadline=None)  # torch's first operations take a second on a busy machine
def test_every_face_gets_an_anchor_near_its_centre(box: torch.Tensor) -> None:
    faces = assign(ANCHORS, box, NONE).faces
    mine = ANCHORS.centres[faces == 0]
    assert len(mine) >= 1
    reach = torch.maximum((box[0, 2:] - box[0, :2]) / 2, torch.tensor(32.0)) + 32
    assert ((mine - (box[0, :2] + box[0, 2:]) / 2).abs() <= reach).all()


@pytest.mark.parametrize(("side", "stride"), [(10, 8), (25, 8), (52, 16), (100, 16), (170, 32), (290, 32)])
def test_sizes_go_to_their_stride(side: float, stride: int) -> None:
    box = torch.tensor([[160 - side / 2, 96 - side / 2, 160 + side / 2, 96 + side / 2]])
    faces = assign(ANCHORS, box, NONE).faces
    assert set(ANCHORS.strides[faces == 0].tolist()) == {float(stride)}


def test_two_faces_share_no_anchor_and_both_get_some() -> None:
    pair = torch.tensor([[50.0, 50, 90, 100], [70.0, 50, 110, 100]])
    faces = assign(ANCHORS, pair, NONE).faces
    assert (faces == 0).any()
    assert (faces == 1).any()


def test_anchors_in_an_ignored_box_do_not_count_unless_a_face_has_them() -> None:
    box = torch.tensor([[40.0, 40, 88, 100]])
    ignoring = assign(ANCHORS, NONE, box)
    inside = pairwise_iou(ANCHORS.boxes(), box).squeeze(1) > 0.5
    assert inside.any()
    assert not ignoring.counts[inside].any()
    assert ignoring.counts.sum() > len(ANCHORS.centres) / 2
    both = assign(ANCHORS, box, box)
    assert both.counts[both.faces == 0].all()


@given(boxes)
@settings(deadline=None)
def test_boxes_and_points_survive_encoding(box: torch.Tensor) -> None:
    many = box.expand(len(ANCHORS.centres), 4)
    distances = encode_boxes(ANCHORS.centres, ANCHORS.strides, many)
    torch.testing.assert_close(decode_boxes(ANCHORS.centres, ANCHORS.strides, distances), many, atol=1e-2, rtol=1e-4)
    points = box[:, None, :2].expand(len(ANCHORS.centres), 5, 2) + torch.arange(10.0).reshape(5, 2)
    offsets = encode_points(ANCHORS.centres, ANCHORS.strides, points)
    torch.testing.assert_close(decode_points(ANCHORS.centres, ANCHORS.strides, offsets), points, atol=1e-2, rtol=1e-4)

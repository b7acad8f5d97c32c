"""iPrecision and iRecall on features whose answers are known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.evaluate.identity_pr import identity_scores, predictions, radii

LINE = torch.tensor([[0.0], [1], [3], [6], [10]])


def test_a_radius_leaves_out_the_face_itself() -> None:
    assert radii(LINE, 1).tolist() == [1, 1, 2, 3, 4]
    assert radii(LINE, 2).tolist() == [3, 2, 3, 4, 7]
    with pytest.raises(ValueError, match="more than 5 faces, not 5"):
        radii(LINE, 5)


def test_another_persons_neighbourhood_does_not_count() -> None:
    # radii for k = 1: 1, 1, 2, 3, 4. The first lies near its own; the second only in the third's; the last in none
    restored = torch.tensor([[0.4], [4.9], [3.5], [6], [15]])
    anyones, own = predictions(restored, LINE, 1)
    assert anyones.tolist() == [1, 1, 1, 1, 0]
    assert own.tolist() == [1, 0, 1, 1, 0]


def test_recall_swaps_the_sets() -> None:
    restored = LINE / 10
    scores = identity_scores(restored, LINE, 1)
    # every restored face is drawn to the first ones: 0.6 is 5.4 from its own original, whose radius is 3
    assert scores["iprecision"].tolist() == [1, 1, 0, 0, 0]
    # and no original but the first lies within a tenth of the old radii around its restored one
    assert scores["irecall"].tolist() == [1, 0, 0, 0, 0]
    assert scores["precision"].tolist() == [1, 1, 1, 1, 1]
    assert scores["recall"].tolist() == [1, 1, 0, 0, 0]


@given(st.integers(0, 1000), st.integers(1, 4))
def test_identity_only_takes_away_and_a_wider_neighbourhood_only_adds(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(12, 3, generator=generator)
    restored = real + torch.randn(12, 3, generator=generator)
    near, far = identity_scores(restored, real, k), identity_scores(restored, real, k + 1)
    assert bool((near["iprecision"] <= near["precision"]).all())
    assert bool((near["irecall"] <= near["recall"]).all())
    assert all(bool((near[name] <= far[name]).all()) for name in near)
    assert all(bool(values.all()) for values in identity_scores(real, real, k).values())

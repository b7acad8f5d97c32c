from hypothesis import given
from hypothesis import strategies as st

from frrcam.pipeline.levels import Rung, ladder


def test_it_runs_from_the_largest_model_to_the_plain_picture() -> None:
    rungs = ladder(["a", "b"])
    assert [rung.name for rung in rungs] == ["a", "b", "half", "third", "two faces", "main face", "glimpses", "plain"]
    assert [rung.model for rung in rungs] == ["a", *["b"] * 6, None]
    assert ladder([]) == (Rung("plain", None),)


@given(st.lists(st.text(min_size=1), unique=True), st.integers(0, 20))
def test_each_rung_asks_for_no_more_than_the_one_above(models: list[str], faces: int) -> None:
    rungs = ladder(models)
    served = [rung.serves(faces) for rung in rungs]
    assert served[0] == (faces if models else 0)
    assert served[-1] == 0
    asked = [served / rung.every for rung, served in zip(rungs, served, strict=True)]
    assert asked == sorted(asked, reverse=True)

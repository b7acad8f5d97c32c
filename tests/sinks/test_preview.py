import numpy as np
import pytest

from frrcam.errors import SinkLost
from frrcam.frame import Frame
from frrcam.sinks.preview import PreviewSink


def publish(sink: PreviewSink, value: int) -> None:
    frame = Frame(np.full((4, 6, 3), value, np.uint8), value, float(value), "test")
    sink.send(sink.convert(frame.image + 1), frame)


def test_the_newest_pair_is_kept() -> None:
    sink = PreviewSink()
    assert sink.latest() is None
    publish(sink, 1)
    publish(sink, 5)
    pair = sink.latest()
    assert pair is not None
    assert (pair.number, pair.before[0, 0, 0], pair.after[0, 0, 0]) == (2, 5, 6)


def test_a_closed_one_refuses_more() -> None:
    sink = PreviewSink()
    sink.close()
    sink.close()
    with pytest.raises(SinkLost):
        publish(sink, 1)

import threading

import numpy as np
import pytest

from frrcam.errors import SinkLost
from frrcam.frame import Frame
from frrcam.sinks.preview import Pair, PreviewSink


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


def test_waiting_ends_with_a_newer_pair() -> None:
    sink = PreviewSink()
    publish(sink, 1)
    waiting, seen = threading.Event(), list[Pair | None]()

    def wait() -> None:
        waiting.set()
        seen.append(sink.wait_newer(1, timeout=10))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    publish(sink, 2)
    thread.join(5)
    assert seen[0] is not None
    assert seen[0].number == 2


def test_waiting_ends_in_time_and_at_once_for_a_newer_one() -> None:
    sink = PreviewSink()
    publish(sink, 1)
    assert sink.wait_newer(1, timeout=0.0) is None
    pair = sink.wait_newer(0, timeout=0.0)
    assert pair is not None
    assert pair.number == 1


def test_closing_wakes_who_waits_and_refuses_more() -> None:
    sink = PreviewSink()
    seen = list[Pair | None]()
    thread = threading.Thread(target=lambda: seen.append(sink.wait_newer(0, timeout=10)))
    thread.start()
    sink.close()
    sink.close()
    thread.join(5)
    assert seen == [None]
    with pytest.raises(SinkLost):
        publish(sink, 1)

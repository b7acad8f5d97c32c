from dataclasses import replace

import numpy as np
import pytest

from frrcam.pipeline.metrics import (
    STAGES,
    FrameRecord,
    Metrics,
    fresh_share,
    late_share,
    percentiles,
    rate,
    rung_shares,
    stages_ms,
)

RECORD = FrameRecord({"restore": 0.01}, 0.02, 0.03, 0.0, "best", faces=1, fresh=1, wanted=1, late=False)


def test_percentiles_are_milliseconds():
    seconds = np.linspace(0, 0.1, 101).tolist()
    assert percentiles(seconds, 50, 95, 99, 100) == (50.0, 95.0, 99.0, 100.0)
    assert percentiles([0.0123456], 50, 95) == (12.35, 12.35)
    assert percentiles([], 50, 95) == (0.0, 0.0)


def test_rate_is_intervals_over_time():
    records = [replace(RECORD, published=index / 30) for index in range(31)]
    assert rate(records) == 30.0
    assert rate(records[:1]) == rate([]) == 0.0
    assert rate([RECORD, RECORD]) == 0.0, "no time has passed"


def test_stages_count_only_the_frames_in_which_they_ran():
    records = [RECORD, replace(RECORD, stages={"restore": 0.03, "detect": 0.005})]
    assert stages_ms(records) == {"detect": {"p50": 5.0, "p95": 5.0}, "restore": {"p50": 20.0, "p95": 29.0}}
    assert list(stages_ms([replace(RECORD, stages=dict.fromkeys(reversed(STAGES), 0.001))])) == list(STAGES)


def test_shares():
    records = [RECORD, RECORD, replace(RECORD, rung="plain", fresh=0, late=True), replace(RECORD, wanted=0, fresh=0)]
    assert rung_shares(records) == {"best": 0.75, "plain": 0.25}
    assert late_share(records) == 0.25
    assert late_share([]) == 0.0
    assert fresh_share(records) == pytest.approx(2 / 3, abs=1e-4), "a picture without a face to serve does not count"
    assert fresh_share([replace(RECORD, wanted=0)]) == fresh_share([]) == 0.0


def test_every_face_must_be_fresh():
    assert fresh_share([replace(RECORD, wanted=2, fresh=1), replace(RECORD, wanted=2, fresh=2)]) == 0.5


def test_the_window_slides_and_the_count_goes_on():
    metrics = Metrics(keep=3)
    for index in range(5):
        metrics.add(replace(RECORD, published=float(index)))
    assert [record.published for record in metrics.window()] == [2.0, 3.0, 4.0]
    assert metrics.published == 5


def test_what_the_sink_did_not_take_is_not_published():
    metrics = Metrics()
    for index in range(60):
        metrics.add(replace(RECORD, published=index / 30, taken=index < 31))
    assert metrics.published == 31
    assert rate(metrics.window()) == 30.0
    assert rate(metrics.window()[31:]) == 0.0
    assert len(metrics.window()) == 60, "their work was done all the same"


def test_a_new_window_begins_with_its_own_first_frame():
    metrics = Metrics()
    metrics.add(RECORD)
    metrics.forget()
    for index in range(31):
        metrics.add(replace(RECORD, published=3600 + index / 30))
    assert rate(metrics.window()) == 30.0
    assert metrics.published == 32


def test_everything_is_kept_for_the_bench():
    metrics = Metrics(keep=None)
    for _ in range(1000):
        metrics.add(RECORD)
    assert len(metrics.window()) == 1000

import re

import pytest
from pydantic import ValidationError

from frrcam.daemon.status import NoticeLine, Status, prometheus

FULL = Status(
    state="running",
    camera="Integrated Camera",
    size=(1280, 720),
    fps=29.97,
    period_ms=33.33,
    frames=12_345_678,
    dropped=31,
    faces=2,
    rung='the "best"\n',
    model="frrnet",
    frame_ms={"p50": 20.0, "p95": 31.5},
    stages_ms={"detect": {"p50": 6.0, "p95": 8.0}},
    fresh_share=0.99,
    late_share=0.02,
    notices=[NoticeLine(time=1.5, text="hello")],
    started=1_795_265_353.5,
)


def test_it_survives_json() -> None:
    assert Status.model_validate_json(FULL.model_dump_json()) == FULL


def test_it_does_not_change_and_knows_its_keys() -> None:
    with pytest.raises(ValidationError):
        FULL.frames = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Status(state="running", colour="red")  # type: ignore[call-arg]


def test_prometheus_text_is_well_formed() -> None:
    text = prometheus(FULL)
    assert text.endswith("\n")
    sample = re.compile(r'frrcam_[a-z0-9_]+(\{([a-z]+="(\\.|[^"\\])*",?)+\})? [-+.e0-9]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP frrcam_", "# TYPE frrcam_")) or sample.fullmatch(line), line
    info, *rest = [line for line in text.splitlines() if not line.startswith("#")]
    assert r'rung="the \"best\"\n"' in info
    assert info.endswith("} 1")
    assert {name: float(value) for name, value in (line.rsplit(" ", 1) for line in rest)} == {
        "frrcam_start_time_seconds": 1_795_265_353.5,
        "frrcam_frames_total": 12_345_678,
        "frrcam_dropped_total": 31,
        "frrcam_fps": 29.97,
        "frrcam_faces": 2,
        "frrcam_fresh_share": 0.99,
        "frrcam_late_share": 0.02,
        "frrcam_frame_budget_seconds": pytest.approx(0.03333),
        'frrcam_frame_seconds{quantile="0.50"}': 0.02,
        'frrcam_frame_seconds{quantile="0.95"}': 0.0315,
        'frrcam_stage_seconds{stage="detect",quantile="0.50"}': 0.006,
        'frrcam_stage_seconds{stage="detect",quantile="0.95"}': 0.008,
    }


def test_prometheus_text_of_a_daemon_that_has_just_started() -> None:
    assert "frrcam_frames_total 0\n" in prometheus(Status(state="starting"))


def test_a_name_that_is_not_utf_8_can_be_sent() -> None:
    """A clip may be called so, and neither the page nor `frrcam status` got an answer."""
    name = "clip\udcff.mp4"
    status = Status(state="running", camera=name, rung=name, notices=[NoticeLine(time=1.5, text=f"{name}: gone")])
    assert Status.model_validate_json(status.model_dump_json()) == status
    assert b'rung="clip?.mp4"' in prometheus(status).encode()
    assert status.notices[0].text == "clip?.mp4: gone"

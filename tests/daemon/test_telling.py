"""systemd is notified of the truth: ready with the first picture, alive while pictures go out."""

import numpy as np
import pytest

from frrcam.daemon.daemon import IDLE_S
from frrcam.frame import Image
from frrcam.linux.sd_notify import FEEDS
from tests.daemon.on_demand import OLD, STEP_S, Rig
from tests.fakes import ScriptedSource, always


def test_systemd_is_notified_ready_once_and_that_it_stops():
    rig = Rig(ScriptedSource(always(OLD)), watched=True)
    sent: list[list[str]] = []

    def on_picture(count: int) -> None:
        sent.append(list(rig.notifier.sent))
        rig.stop_at(5)(count)

    rig.on_picture = on_picture
    rig.run()
    assert sent[0] == [], "not before the first picture is out"
    assert rig.notifier.sent == ["READY=1", "STOPPING=1"], "and no sign of life where none is asked for"


def test_a_placeholder_makes_it_ready_too():
    rig = Rig()
    rig.on_idle = rig.stop_at(6)
    rig.run()
    assert rig.notifier.sent == ["READY=1", "STOPPING=1"]


def test_a_picture_that_no_sink_has_taken_does_not_make_it_ready():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, lost_after=0, reopened_sink=False, watchdog_s=4.0)
    shown = iter(range(20))
    rig.on_shown = lambda: None if next(shown, None) is not None else rig.daemon.stop()
    rig.run()
    assert "READY=1" not in rig.notifier.sent
    assert "WATCHDOG=1" in rig.notifier.sent, "a restart brings no virtual camera back"
    assert rig.notifier.sent[-1] == "STOPPING=1"


@pytest.mark.parametrize("on_demand", [True, False])
def test_the_watchdog_is_fed_while_pictures_go_out(on_demand: bool):
    rig = Rig(ScriptedSource(always(OLD)), watched=True, on_demand=on_demand, watchdog_s=4.0)
    rig.on_shown, rig.on_picture = lambda: rig.clock.sleep(STEP_S), rig.stop_at(40)
    rig.run()
    assert rig.notifier.sent.count("WATCHDOG=1") == pytest.approx(40 * STEP_S / (4.0 / FEEDS), abs=1)
    assert rig.notifier.sent.count("STATUS=running") == rig.notifier.sent.count("WATCHDOG=1")


def test_the_watchdog_is_fed_while_no_program_watches():
    rig = Rig(watchdog_s=2.0)
    rig.on_idle = rig.stop_at(40)
    rig.run()
    fed = rig.notifier.sent.count("WATCHDOG=1")
    assert fed == pytest.approx(40 * IDLE_S / (2.0 / FEEDS), abs=1), "more often than placeholders are published"
    assert rig.notifier.sent.count("STATUS=idle") >= fed - 1


@pytest.mark.parametrize("on_demand", [True, False])
def test_the_watchdog_is_not_fed_when_nothing_goes_out_though_it_should(on_demand: bool):
    def step() -> Image:
        if "picture" in rig.said.notices.active:
            tried.append(1)
        if len(tried) > 50:
            rig.daemon.stop()
        return np.zeros((5,), np.uint8)  # no picture at all: it cannot be scaled

    tried: list[int] = []
    rig = Rig(ScriptedSource(always(step)), watched=True, on_demand=on_demand, watchdog_s=4.0)
    rig.run()
    assert rig.said.count("a picture was skipped") == 1
    assert rig.sent == []
    assert rig.notifier.sent == ["STOPPING=1"]

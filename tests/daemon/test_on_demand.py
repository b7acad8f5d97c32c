"""The camera runs while a program watches: capture, live and daemon together."""

import threading
import time

import pytest

from frrcam.daemon.daemon import IDLE_S
from frrcam.daemon.publisher import HELD_AFTER_S
from frrcam.daemon.readers import GRACE_S
from frrcam.frame import Image
from frrcam.linux.suspend import SuspendWatch
from frrcam.sources.base import FakeSource
from tests.daemon.on_demand import LONG, NEW, NODE, OLD, OTHER_NODE, STEP_S, Camera, Rig, is_placeholder, same
from tests.fakes import ScriptedSource, always


def test_no_program_watches_and_the_camera_is_off():
    camera = Camera()
    rig = Rig(camera)

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG), "its picture is ready, and no reader may see it"
        assert camera.closed == (turn > 1)
        rig.stop_at(round(3 / IDLE_S))(turn)

    rig.on_idle = on_idle
    rig.run()
    assert set(rig.states) == {"idle"}
    assert len(rig.sent) == 2, "at once and after two seconds"
    assert rig.pictures == []
    assert (camera.reads, camera.closed, rig.opened) == (2, 1, [])
    assert rig.said.lines == []
    assert (rig.nodes, rig.consumers.closed) == ([NODE], 1)


def test_a_program_begins_to_watch_and_sees_the_present_not_the_past():
    camera = Camera(OLD)
    rig = Rig(camera)
    states: list[str] = []

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.readers = turn == 3

    def on_picture(count: int) -> None:
        states.append(rig.daemon.status().state)
        rig.stop_at(5)(count)

    rig.on_idle, rig.on_picture = on_idle, on_picture
    rig.run()
    assert set(states) == {"running"}
    assert is_placeholder(rig.sent[0])
    assert len(rig.pictures) == 5
    assert all(same(payload, NEW) for payload in rig.pictures)
    assert [source.closed for source in (camera, *rig.opened)] == [1, 1]
    assert rig.said.lines == []


def test_a_sink_that_knows_who_reads_it_is_asked_itself():
    camera = Camera(OLD)
    rig = Rig(camera, knows=True)

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.readers = turn == 3

    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(5)
    rig.run()
    assert len(rig.pictures) == 5
    assert all(same(payload, NEW) for payload in rig.pictures)
    assert (rig.nodes, len(rig.opened)) == ([], 1)
    assert rig.consumers.closed == 0, "it is the sink's own"


def test_a_program_watches_from_the_beginning():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)
    rig.on_picture = rig.stop_at(5)
    rig.run()
    assert len(rig.sent) == len(rig.pictures) == 5
    assert (source.closed, rig.opened) == (1, [])


def test_the_camera_goes_on_for_the_grace_time_and_then_off():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)
    idle_from: list[float] = []

    def on_picture(count: int) -> None:
        rig.consumers.readers = count < 3
        rig.clock.sleep(STEP_S)
        assert source.closed == 0

    def on_idle(turn: int) -> None:
        if not rig.consumers.readers:
            idle_from.append(rig.clock.now)
            assert source.closed == 1
            rig.stop_at(4)(turn)

    rig.on_picture, rig.on_idle = on_picture, on_idle
    rig.run()
    assert len(rig.pictures) == pytest.approx(3 + GRACE_S / STEP_S, abs=1)
    assert is_placeholder(rig.sent[-1])
    assert rig.states[-1] == "idle"
    assert len(idle_from) == 3
    assert rig.opened == []
    assert rig.said.lines == []


def test_what_hung_in_the_last_call_does_not_hide_that_it_idles():
    """Nothing is tried while no program watches, so nothing could take it back."""
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)

    def on_picture(count: int) -> None:
        rig.consumers.readers = count < 3
        rig.clock.sleep(STEP_S)
        rig.said.notices.raise_("enhancement", "enhancement has not answered for 1 s")
        assert rig.daemon.status().state == "plain"

    rig.on_picture, rig.on_idle = on_picture, lambda turn: rig.stop_at(4)(turn) if not rig.consumers.readers else None
    rig.run()
    assert rig.states[-1] == "idle"


def test_who_comes_back_in_time_finds_the_camera_running():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)

    def on_picture(count: int) -> None:
        rig.clock.sleep(STEP_S)
        rig.consumers.readers = not 3 <= count < 3 + (GRACE_S - 1) / STEP_S
        assert source.closed == 0
        rig.stop_at(60)(count)

    rig.on_picture = on_picture
    rig.run()
    assert (len(rig.pictures), rig.opened) == (60, [])


def test_a_look_at_the_page_counts_as_watching():
    looking = [False]
    camera = Camera()
    rig = Rig(camera, viewers=lambda: looking[0])

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        looking[0] = turn == 2

    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(5)
    rig.run()
    assert len(rig.pictures) == 5
    assert len(rig.opened) == 1


def test_a_file_does_not_wait_for_a_watcher():
    source = FakeSource([OLD] * 5, 120)
    rig = Rig(source).run()
    assert 1 <= len(rig.pictures) == len(rig.sent) <= 5
    assert (rig.nodes, rig.states, source.closed) == ([], [], 1)


def test_the_virtual_camera_is_gone_while_no_program_watches():
    camera = Camera()
    rig = Rig(camera)

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.gone = turn in (2, 3)
        rig.consumers.readers = turn > 4

    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(3)
    rig.run()
    assert all(same(payload, NEW) for payload in rig.pictures)
    assert len(rig.pictures) == 3


def test_the_virtual_camera_is_gone_while_a_program_watches():
    source = ScriptedSource(always(OLD))
    rig = Rig(source, watched=True)

    def on_picture(count: int) -> None:
        rig.consumers.gone = count >= 3
        rig.stop_at(10)(count)

    rig.on_picture = on_picture
    rig.run()
    assert len(rig.pictures) == 10, "it is for publishing to find out"


def test_a_virtual_camera_under_another_number_is_watched_again():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, lost_after=3)
    first = rig.consumers
    rig.on_shown, rig.on_picture = lambda: rig.clock.sleep(STEP_S / 5), rig.stop_at(10)
    rig.run()
    assert rig.nodes == [NODE, OTHER_NODE]
    assert rig.daemon.status().output == f"FRR Camera ({OTHER_NODE})", "where it is, not where it was"
    assert first.closed == 1, "no descriptor of ours keeps the device from going"
    assert rig.consumers.closed == 1
    assert rig.notifier.sent.count("READY=1") == 1


def test_without_a_virtual_camera_the_page_is_no_slower():
    rig = Rig(ScriptedSource(always(OLD)), watched=True, viewers=lambda: True, lost_after=0, reopened_sink=False)
    shown = iter(range(40))
    rig.on_shown = lambda: None if next(shown, None) is not None else rig.daemon.stop()
    began = time.monotonic()
    rig.run()
    assert time.monotonic() - began < 10.0, "half a second for each picture would be twice that"
    assert rig.sent == []


def test_a_camera_that_takes_its_time_to_open_is_not_missed():
    camera, turns, enough = Camera(), [0], threading.Event()

    def viewers() -> bool:  # asked once a turn
        turns[0] += 1
        if turns[0] > woken[0] + 3:
            enough.set()
        return False

    def slowly() -> Image:
        woken[0] = turns[0]
        rig.consumers.readers = False  # so that viewers are asked for; the camera goes on for the grace time
        rig.clock.sleep(HELD_AFTER_S - 0.1)
        assert enough.wait(LONG), "the daemon has looked for a picture meanwhile"
        return NEW

    def on_idle(turn: int) -> None:
        assert camera.hangs.wait(LONG)
        rig.consumers.readers = turn == 3

    woken = [1 << 30]
    rig = Rig(camera, viewers=viewers)
    rig.reopened = [slowly]
    rig.on_idle, rig.on_picture = on_idle, rig.stop_at(3)
    rig.run()
    assert len(rig.pictures) == 3
    assert rig.said.lines == []


def test_after_a_suspend_the_camera_is_reopened():
    first = ScriptedSource(always(OLD))
    asleep = [0.0]
    rig = Rig(first, watched=True, suspend=SuspendWatch(lambda: 0.0, lambda: asleep[0]))

    def on_picture(count: int) -> None:
        asleep[0] = 3600.0 if count >= 3 else 0.0
        if same(rig.sent[-1], NEW):
            rig.daemon.stop()

    rig.on_picture = on_picture
    rig.run()
    assert (first.closed, len(rig.opened)) == (1, 1), "once for each suspend"
    assert rig.said.lines == []

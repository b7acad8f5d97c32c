import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.linux.sd_notify import (
    FakeNotifier,
    Notifier,
    NullNotifier,
    SystemdNotifier,
    Watchdog,
    open_notifier,
    watchdog_interval,
)
from frrcam.linux.suspend import SLEPT_S, SuspendWatch
from tests.fakes import FakeClock


class Manager:
    """The far end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(2)
        self.socket.bind(address.replace("@", "\0", 1))

    def hears(self) -> str:
        return self.socket.recv(4096).decode()


def iter_heard(manager: Manager) -> Iterator[str]:
    """All that waits to be heard."""
    with contextlib.suppress(BlockingIOError):
        while True:
            yield manager.hears()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@frrcam-test-{os.getpid()}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_speaks_the_protocol(address: str, manager: Manager) -> None:
    with open_notifier({"NOTIFY_SOCKET": address}) as notifier:
        notifier.ready()
        notifier.status("running:\n 30 fps ")
        notifier.alive()
        notifier.stopping()
    assert [manager.hears() for _ in range(4)] == ["READY=1", "STATUS=running: 30 fps", "WATCHDOG=1", "STOPPING=1"]


def test_a_deaf_manager_is_no_trouble(address: str, manager: Manager, tmp_path: Path) -> None:
    with SystemdNotifier(address) as notifier:
        for _ in range(3000):  # its queue is full long before
            notifier.alive()
        notifier.close()
        notifier.alive()
    manager.socket.setblocking(False)
    heard = list(iter_heard(manager))
    assert set(heard) == {"WATCHDOG=1"}
    assert len(heard) < 3000, "else it was not deaf"
    with SystemdNotifier(str(tmp_path / "no-socket")) as notifier:
        notifier.ready()


@pytest.mark.parametrize("value", [None, "", "@", "/", "relative/path", "vsock:2:1234"])
def test_without_a_socket_nothing_is_said(value: str | None) -> None:
    notifier = open_notifier({} if value is None else {"NOTIFY_SOCKET": value, "WATCHDOG_USEC": "1000000"})
    assert isinstance(notifier, NullNotifier)
    assert notifier.watchdog_s is None
    with notifier:
        notifier.ready()
        notifier.status("x")
        notifier.alive()
        notifier.stopping()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_PID": "7"}, None),
        ({}, None),
    ],
)
def test_reads_the_interval(environment: dict[str, str], seconds: float | None, tmp_path: Path) -> None:
    assert watchdog_interval(environment, 7) == seconds
    notifier = open_notifier({"NOTIFY_SOCKET": str(tmp_path / "s"), **environment}, 7)
    assert notifier.watchdog_s == seconds
    notifier.close()


@given(st.text(max_size=12), st.text(max_size=4))
def test_no_environment_breaks_it(microseconds: str, pid: str) -> None:
    interval = watchdog_interval({"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": pid}, 7)
    assert interval is None or interval > 0


def test_the_fake_keeps_the_contract() -> None:
    fake = FakeNotifier(4.0)
    contract: Notifier = fake
    contract.ready()
    contract.status("idle")
    contract.alive()
    contract.stopping()
    contract.close()
    assert fake.sent == ["READY=1", "STATUS=idle", "WATCHDOG=1", "STOPPING=1"]
    assert fake.closed == 1


def test_the_watchdog_is_fed_by_pictures() -> None:
    clock = FakeClock()
    watchdog = Watchdog(20.0, clock)
    assert not watchdog.due()
    watchdog.published()
    assert [watchdog.due(), watchdog.due()] == [True, False]
    watchdog.published()
    clock.sleep(9.9)
    assert not watchdog.due()
    clock.sleep(0.1)
    assert watchdog.due()


def test_the_watchdog_starves_without_them() -> None:
    clock = FakeClock()
    watchdog = Watchdog(20.0, clock)
    watchdog.idle()
    assert watchdog.due()
    for _ in range(1000):  # a loop that turns and publishes nothing
        clock.sleep(1)
        assert not watchdog.due()


def test_without_an_interval_it_is_never_due() -> None:
    watchdog = Watchdog(None, FakeClock())
    watchdog.published()
    assert not watchdog.due()


@given(st.floats(0.5, 60), st.lists(st.tuples(st.sampled_from(["published", "idle", ""]), st.floats(0, 1))))
def test_who_publishes_is_never_killed_and_no_run_feeds_too_often(
    interval: float, steps: list[tuple[str, float]]
) -> None:
    """A loop that looks at least every second: between a mark and the next feed pass half an interval and a turn."""
    clock = FakeClock()
    watchdog = Watchdog(interval, clock)
    fed: float | None = None
    marked_since: float | None = None
    for mark, seconds in steps:
        if mark:
            getattr(watchdog, mark)()
            marked_since = clock.now if marked_since is None else marked_since
        if watchdog.due():
            assert marked_since is not None
            assert fed is None or clock.now - fed >= interval / 2
            fed, marked_since = clock.now, None
        elif marked_since is not None:
            assert fed is not None
            assert clock.now - fed < interval / 2
        clock.sleep(seconds)


def test_a_suspend_is_what_one_clock_misses() -> None:
    awake, always = FakeClock(50), FakeClock(1000)
    watch = SuspendWatch(awake, always)
    awake.sleep(5)
    always.sleep(5)
    assert watch.slept() == 0
    always.sleep(3600)
    assert watch.slept() == pytest.approx(3600)
    assert watch.slept() == 0


def test_clocks_that_drift_are_no_suspend() -> None:
    awake, always = FakeClock(), FakeClock()
    watch = SuspendWatch(awake, always)
    for _ in range(100):
        awake.sleep(1)
        always.sleep(1 + SLEPT_S / 2)
        assert watch.slept() == 0


def test_being_interrupted_between_the_clocks_is_no_suspend() -> None:
    always, delays = FakeClock(), [0.0, 3.0, 0.0]
    watch = SuspendWatch(lambda: always.now + delays.pop(0), always)
    assert [watch.slept(), watch.slept()] == [0, 0]


def test_the_machines_own_clocks_agree_while_it_is_awake() -> None:
    assert SuspendWatch().slept() == 0

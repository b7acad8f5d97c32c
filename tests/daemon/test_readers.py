import errno
import os
import socket
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.daemon.readers import (
    CLIENT_USAGE,
    LOOK_S,
    LOOK_SHARE,
    SURE_S,
    AlwaysWatched,
    ClientEvents,
    Consumers,
    FakeConsumers,
    OnDemand,
    Openers,
    open_consumers,
    openers,
    sees_others,
)
from frrcam.errors import SinkLost
from frrcam.linux import v4l2
from frrcam.linux.v4l2 import System
from tests.fakes import FakeClock
from tests.linux.fakes_v4l2 import Hardware

NODE = "/dev/video10"


@dataclass
class Module:
    """v4l2loopback as it answers about events: at the subscription with the present value, later when it changes."""

    old: bool = False
    gone: bool = False
    full: bool = False
    readers: int = 0
    events: list[int] = field(default_factory=list)
    subscriptions: list[tuple[int, ...]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def stream(self, readers: int) -> None:
        self.readers = readers
        self.events.append(readers)

    def ioctl(self, fd: int, request: int, argument: bytearray | int) -> int:
        assert isinstance(argument, bytearray)
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if request == v4l2.VIDIOC_SUBSCRIBE_EVENT:
            if self.old:
                raise OSError(errno.EINVAL, "Invalid argument")
            self.subscriptions.append(struct.unpack("8I", argument))
            self.events.append(self.readers)
        elif request == v4l2.VIDIOC_DQEVENT:
            if not self.events:
                raise OSError(errno.ENOENT, "No such file or directory")
            struct.pack_into("I4xI", argument, 0, CLIENT_USAGE, self.events.pop(0))
        else:
            raise AssertionError(hex(request))
        return 0

    def wait(self, fd: int, timeout: float) -> bool:
        self.waited.append(timeout)
        return bool(self.events) or self.gone


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    hardware = Hardware(tmp_path)
    hardware.add_loopback(10, producing=True)
    return hardware


@pytest.fixture
def module() -> Module:
    return Module()


@pytest.fixture
def system(hardware: Hardware, module: Module) -> System:
    return replace(hardware.system, ioctl=module.ioctl)


def events(system: System, module: Module) -> ClientEvents:
    return ClientEvents(NODE, system, module.wait)


def test_the_requests_are_the_kernels() -> None:
    assert CLIENT_USAGE == 0x10E0_0001
    assert v4l2.VIDIOC_SUBSCRIBE_EVENT == 0x4020_565A
    dequeue = 0x8088_5659 if struct.calcsize("P") == 8 else 0x8080_5659
    assert {v4l2.VIDIOC_DQEVENT} == {dequeue}


def test_waits_for_what_is_urgent_and_wakes_for_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as far:
        near, _ = server.accept()
        with near:
            assert v4l2.wait_for_event(near.fileno(), 0) is False
            far.send(b"!", socket.MSG_OOB)
            assert v4l2.wait_for_event(near.fileno(), 2) is True
    reading, writing = os.pipe()
    os.close(reading)
    assert v4l2.wait_for_event(writing, 0) is True
    os.close(writing)


def test_subscribes_with_the_present_value(system: System, module: Module) -> None:
    module.readers = 1
    with events(system, module) as consumers:
        assert module.subscriptions == [(CLIENT_USAGE, 0, 1, 0, 0, 0, 0, 0)]
        assert consumers.watching(0) is True


def test_follows_readers_that_come_and_go(system: System, module: Module) -> None:
    with events(system, module) as consumers:
        assert [consumers.watching(0)] == [False]
        module.stream(1)
        assert [consumers.watching(0.5), consumers.watching(0)] == [True, True]
        module.stream(0)
        assert consumers.watching(0) is False
        module.stream(1)
        module.stream(0)
        assert consumers.watching(0) is False
    assert module.waited == [0, 0.5, 0, 0, 0]


def test_a_removed_device_is_lost_and_does_not_spin(system: System, module: Module) -> None:
    with events(system, module) as consumers:
        module.gone = True
        with pytest.raises(SinkLost, match=r"/dev/video10 is gone: No such device"):
            consumers.watching(1)


def test_lets_go_of_its_descriptor_once(hardware: Hardware, system: System, module: Module) -> None:
    consumers = events(system, module)
    assert len(hardware.open_nodes) == 1
    consumers.close()
    consumers.close()
    assert not hardware.open_nodes
    with pytest.raises(SinkLost):
        consumers.watching(0)


def test_an_old_module_is_refused_and_leaves_nothing_open(hardware: Hardware, system: System, module: Module) -> None:
    module.old = True
    with pytest.raises(OSError, match="Invalid"):
        events(system, module)
    assert not hardware.open_nodes


def test_takes_the_best_way_there_is(hardware: Hardware, system: System, module: Module) -> None:
    assert isinstance(open_consumers(NODE, system), ClientEvents)
    module.old = True
    assert isinstance(open_consumers(NODE, system), AlwaysWatched)
    hardware.hold(7, 99, "cheese")
    assert isinstance(open_consumers(NODE, system), Openers)


def test_a_device_with_no_room_for_us_is_watched_from_outside(hardware: Hardware, system: System) -> None:
    hardware.devices[NODE].refuses = errno.EBUSY
    assert isinstance(open_consumers(NODE, system), AlwaysWatched)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def looking(system: System, clock: FakeClock) -> Openers:
    return Openers(NODE, system, clock.wait, clock)


def let_go(hardware: Hardware, pid: int) -> None:
    for entry in (hardware.root / f"proc/{pid}/fd").iterdir():
        entry.unlink()


def test_a_program_that_keeps_it_open_is_watching(hardware: Hardware, looking: Openers, clock: FakeClock) -> None:
    assert looking.watching(0) is False
    hardware.hold(10, 42, "zoom")
    started = clock.now
    while not looking.watching(5):
        assert clock.now - started < 5
    assert clock.now - started == pytest.approx(LOOK_S + SURE_S)
    let_go(hardware, 42)
    while looking.watching(5):
        assert clock.now - started < 5


def test_a_program_that_only_lists_it_is_not(hardware: Hardware, looking: Openers, clock: FakeClock) -> None:
    """Discord opens each camera four times every three seconds: always the same process, never for long."""
    hardware.hold(10, 42, "Discord")
    for _ in range(10):
        looking.watching(5)
        let_go(hardware, 42)
        assert looking.watching(5) is False
        (hardware.root / "proc/42/fd/7").symlink_to(NODE)


def test_session_managers_are_no_audience(hardware: Hardware, looking: Openers) -> None:
    hardware.hold(10, 5, "wireplumber")
    hardware.hold(10, hardware.system.pid, "frrcam")
    assert [looking.watching(2) for _ in range(4)] == [False] * 4


def test_a_node_that_vanishes_is_lost(hardware: Hardware, looking: Openers) -> None:
    hardware.unplug(10)
    with pytest.raises(SinkLost, match="gone"):
        looking.watching(1)


def test_what_cannot_be_looked_at_just_now_is_as_it_was(hardware: Hardware, looking: Openers, clock: FakeClock) -> None:
    """As where no descriptor is left: it ended the daemon."""
    hardware.hold(10, 42, "zoom")
    while not looking.watching(5):
        pass
    processes = hardware.root / "proc"
    away = processes.rename(hardware.root / "away")
    assert [looking.watching(5) for _ in range(3)] == [True] * 3
    away.rename(processes)
    let_go(hardware, 42)
    assert [looking.watching(5) for _ in range(2)][-1] is False


def test_looking_takes_a_bounded_share_of_a_core(hardware: Hardware, system: System, clock: FakeClock) -> None:
    """On a machine where one look takes 40 ms, looks are 5 s apart."""

    def slow() -> float:
        clock.now += 0.02
        return clock.now

    looking = Openers(NODE, system, clock.wait, slow)
    for _ in range(20):
        looking.watching(60)
    assert min(clock.waits) > 0.02 / LOOK_SHARE * 0.9


def test_a_wait_that_ends_early_changes_nothing(system: System, clock: FakeClock) -> None:
    looking = Openers(NODE, system, lambda _: True, clock)
    looking.watching(0)
    assert looking.watching(10) is False


def test_sees_only_what_may_be_seen(hardware: Hardware) -> None:
    assert not sees_others(hardware.system)
    assert not sees_others(System(hardware.root / "nowhere"))
    hardware.hold(10, 42, "zoom")
    assert sees_others(hardware.system)
    assert list(openers(NODE, hardware.system)) == [42]
    assert list(openers("/dev/video1", hardware.system)) == []


def test_looks_through_the_real_proc() -> None:
    with open(os.devnull, "rb"):
        assert os.getpid() not in set(openers(os.devnull))


def test_where_nothing_is_known_a_reader_is_assumed() -> None:
    with AlwaysWatched() as consumers:
        assert consumers.watching(3) is True
        assert "stays on" in consumers.how


def test_the_fake_keeps_the_contract() -> None:
    waited: list[float] = []
    fake = FakeConsumers(wait=waited.append)
    contract: Consumers = fake
    assert contract.watching(0.5) is False
    fake.readers = True
    assert contract.watching(0) is True
    assert waited == [0.5]
    fake.gone = True
    with pytest.raises(SinkLost):
        contract.watching(0)


def test_the_camera_runs_at_once_and_a_grace_time_after(clock: FakeClock) -> None:
    policy = OnDemand(clock, grace_s=10)
    assert [policy.update(False), policy.update(True)] == [False, True]
    clock.sleep(100)
    assert policy.update(False) is True
    clock.sleep(9)
    assert policy.update(True) is True
    assert policy.update(False) is True
    clock.sleep(9.9)
    assert policy.update(False) is True
    clock.sleep(0.1)
    assert policy.update(False) is False
    assert policy.on is False


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=40), st.floats(0, 20))
def test_on_at_once_and_off_in_its_time(steps: list[tuple[bool, float]], grace: float) -> None:
    clock = FakeClock()
    policy = OnDemand(clock, grace_s=grace)
    was, same_since, last = False, clock.now, False
    for watching, wait in steps:
        if watching != last:
            last, same_since = watching, clock.now
        on = policy.update(watching)
        lasted = clock.now - same_since
        if on != was:
            assert on == watching
            assert watching or lasted >= grace
        else:
            assert on == watching or (not watching and lasted < grace)
        was = on
        clock.sleep(wait)

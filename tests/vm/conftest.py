"""A machine with its two loopbacks for every test, and the report: a row for each case, with what was seen."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frrcam.sources.demo import DemoSource
from tests.vm.machine import FEWER_FAULTS, INSIDE, LOOPBACK, OLD_LOOPBACK, SHARE, Machine, load, run, unload, write_clip

SIZE, FPS = (640, 480), 30.0
ROWS: list[tuple[str, str, str, float]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-minutes", type=float, default=1.5, help="how long readers come and go in test_soak.py")


@pytest.fixture(scope="session", autouse=True)
def _memory_for_python_alone() -> None:
    """This process has read them when it began; what it starts gets them if it is Python, and Chromium must not."""
    for name in FEWER_FAULTS:
        os.environ.pop(name, None)


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """With a “Test Source” and an “FRR Camera”, both new; whatever the test starts ends with it."""
    load("v4l2loopback", *LOOPBACK)
    yield from machine_for(request)


@pytest.fixture
def old_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """The same with v4l2loopback 0.12.7, which Debian 12 has."""
    load("videodev")
    quoted = [f'{name}="{value}"' for name, _, value in (parameter.partition("=") for parameter in LOOPBACK)]
    run("insmod", OLD_LOOPBACK, *quoted)
    yield from machine_for(request)


def machine_for(request: pytest.FixtureRequest) -> Iterator[Machine]:
    logs = SHARE / "logs"
    logs.mkdir(exist_ok=True)
    machine = Machine(logs / request.node.name)
    yield machine
    machine.close()
    unload("vivid", "v4l2loopback")


@pytest.fixture(scope="session")
def moving_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a face before a bad webcam, YUYV 640x480 at 30 a second."""
    demo = DemoSource(SIZE, FPS)
    return write_clip(tmp_path_factory.mktemp("clips") / "moving.nut", [demo.read().image for _ in range(60)], FPS)


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes what was seen, for the report."""
    return lambda text: record_property("seen", text)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not INSIDE or not (report.when == "call" or report.failed):
        return
    case = report.nodeid.split("::")[-1].removeprefix("test_").replace("_", " ")
    case += f" ({report.when})" * (report.when != "call")
    text = "; ".join(str(value) for name, value in report.user_properties if name == "seen")
    if report.failed:
        text = "; ".join(filter(None, (text, str(report.longrepr).strip().splitlines()[-1])))
    row = (case, text, "ok" if report.passed else report.outcome, report.duration)
    ROWS.append(row)
    print(f"\n{line(row)}", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    kernel = f"Linux {os.uname().release} (User Mode Linux, one core)"
    table = "\n".join(["| case | seen | result | time |", "|---|---|---|---|", *map(line, ROWS)])
    (SHARE / "report.md").write_text(f"# frrcam in the virtual machine\n\n{kernel}\n\n{table}\n")
    terminalreporter.write_line(f"\n{kernel}\n\n{table}\n")


def line(row: tuple[str, str, str, float]) -> str:
    case, text, outcome, seconds = row
    return f"| {case} | {text.replace('|', '/')} | {outcome} | {seconds:.1f} s |"

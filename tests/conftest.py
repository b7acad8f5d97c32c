"""Every test runs as on a machine that has never seen frrcam: no settings, no environment, no folders of its own."""

import os
import signal
import threading
from collections.abc import Iterator, MutableMapping

import pytest
from hypothesis import settings

from frrcam.config import NO_SETTINGS

# a busy machine is slow once: hypothesis would call a test that took over 200 ms then, and not again, unreliable
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

LONG = 20.0
"""Seconds that a thread of frrcam gets to end after its test."""


@pytest.fixture
def environment() -> Iterator[MutableMapping[str, str]]:
    """The process's environment, to be changed at will; it is put back afterwards."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _pristine_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.upper().startswith("FRRCAM_")]:
        if not name.upper().startswith(NO_SETTINGS):
            del os.environ[name]
    home = tmp_path_factory.mktemp("xdg")
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        (home / name.lower()).mkdir()
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)


@pytest.fixture(scope="session", autouse=True)
def _signals_that_arrive() -> None:
    """What started the tests may have had signals ignored: nohup SIGHUP, a script's `&` SIGINT; here they are sent."""
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("frrcam", "test-")):
            thread.join(LONG)
            assert not thread.is_alive(), thread

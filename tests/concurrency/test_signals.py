"""A run that a signal stops ends in good order."""

import signal

import pytest

from frrcam.concurrency.signals import Signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_stop_in_good_order(name: str) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip("not on this system")
    stopped, before = list[bool](), signal.getsignal(number)
    with Signals(lambda: stopped.append(True)):
        signal.raise_signal(number)
    assert stopped == [True]
    assert signal.getsignal(number) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="not on this system")
def test_under_nohup_the_end_of_the_terminal_is_no_end() -> None:
    stopped, before = list[bool](), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals(lambda: stopped.append(True)):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stopped == []

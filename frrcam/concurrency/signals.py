"""The signals that end a run in good order."""

import signal
from collections.abc import Callable


class Signals:
    """SIGINT, SIGTERM and, where the system has it, SIGHUP call `stop` while inside: whatever is written is completed.

    A SIGHUP that is ignored already (nohup) stays so: it was to outlive its terminal.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        numbers = [signal.SIGINT, signal.SIGTERM]
        hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            numbers.append(hangup)
        self._before = {number: signal.signal(number, lambda *_: self._stop()) for number in numbers}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

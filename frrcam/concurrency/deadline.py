"""Calls that may hang, made in a thread of their own: the caller goes on without the answer and takes it later.

A thread cannot be killed, so one that hangs inside a driver or a network is left to itself.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

HUNG_S = 1.0
"""Seconds without an answer after which that is said. Before that it is but slow."""

T = TypeVar("T")
P = ParamSpec("P")


class MayHang(threading.Thread):
    """A thread for calls that may never return. It does not keep the process from ending."""

    def __init__(self, name: str, target: Callable[[], object]) -> None:
        super().__init__(target=target, name=name, daemon=True)


def any_hangs() -> bool:
    """True if such a thread still runs. Asked at the end, when all that could be joined have been."""
    return any(isinstance(thread, MayHang) for thread in threading.enumerate())


class HangableExecutor(Executor):
    """As ThreadPoolExecutor(1), but the end of the interpreter waits for no call."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.thread = MayHang(name, self._run)
        """Runs from the first call on."""
        self._starting = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # raised again by result(), as in concurrent.futures
                future.set_exception(error)

        self._calls.put(call)
        with self._starting:
            if self.thread.ident is None:
                self.thread.start()
        return future

    def end(self, seconds: float) -> None:
        """No more calls; those that were given are waited for, but no longer than that."""
        self.shutdown(wait=False)
        if self.thread.ident is not None:
            self.thread.join(seconds)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """The thread ends after the calls that it has been given; `cancel_futures` is not heeded. Idempotent."""
        self._calls.put(None)
        if wait and self.thread.ident is not None:
            self.thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # while it waits for the next one it holds nothing of the last


class InlineExecutor(Executor):
    """Makes each call at once, in the caller's thread. For tests, and where nothing can hang."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Overdue(Exception):
    """A call has not come back in time, and goes on."""


class Aside:
    """At most one call under way. From one thread."""

    def __init__(self, executor: Executor, clock: Callable[[], float], patience_s: float) -> None:
        """`patience_s`: seconds for which call() waits; the clock measures what is overdue."""
        self._executor, self._clock, self._patience_s = executor, clock, patience_s
        self._overdue: Future[Any] | None = None
        self._began = 0.0
        self._ended: float | None = None

    @property
    def overdue(self) -> bool:
        """True from Overdue until settle() has taken the answer: call() must not be used."""
        return self._overdue is not None

    @property
    def overdue_s(self) -> float:
        """Seconds that the overdue call has taken until now, or took until it came back; 0 if there is none."""
        if self._overdue is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def hangs_s(self) -> float:
        """The same, but 0 once it has come back. From any thread."""
        return self.overdue_s if self._ended is None else 0.0

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises; Overdue if that takes too long."""
        began = self._clock()
        future = self._executor.submit(work)
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            if future.done():  # just now, or it is the call's own error
                return future.result()
            self._overdue, self._began, self._ended = future, began, None
            future.add_done_callback(lambda _: self._end())
            raise Overdue from None

    def settle(self) -> Any:
        """What the overdue call gave or raised in the end. Raises Overdue as long as it has not."""
        if self._overdue is None or not self._overdue.done():
            raise Overdue
        future, self._overdue = self._overdue, None
        return future.result()

    def retire(self, last: Callable[[], None]) -> Future[None]:
        """No more calls: `last` is made when the one under way comes back, if ever, and the thread ends."""
        future = self._executor.submit(last)
        self._executor.shutdown(wait=False)
        return future

    def _end(self) -> None:
        self._ended = self._clock()

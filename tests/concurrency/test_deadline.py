import threading

import pytest

from frrcam.concurrency.deadline import Aside, HangableExecutor, InlineExecutor, Overdue, any_hangs
from tests.fakes import FakeClock, FakeExecutor

LONG = 20.0


def test_an_answer_in_time():
    aside = Aside(InlineExecutor(), FakeClock(), 0.1)
    assert aside.call(lambda: 7) == 7
    assert (aside.overdue, aside.overdue_s, aside.hangs_s) == (False, 0.0, 0.0)


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("the call's own"), KeyboardInterrupt()])
def test_an_error_is_the_callers(error: BaseException):
    def fail() -> None:
        raise error

    aside = Aside(InlineExecutor(), FakeClock(), 0.1)
    with pytest.raises(type(error)):
        aside.call(fail)
    assert not aside.overdue


def test_what_is_overdue_is_waited_for_once_and_taken_later():
    clock = FakeClock()
    executor = FakeExecutor(clock)
    aside = Aside(executor, clock, 0.25)
    executor.hangs = True
    with pytest.raises(Overdue):
        aside.call(lambda: 7)
    assert (aside.overdue, aside.overdue_s) == (True, 0.25)
    clock.sleep(2)
    with pytest.raises(Overdue):
        aside.settle()
    assert aside.hangs_s == 2.25
    executor.release()
    clock.sleep(5)
    assert (aside.overdue, aside.overdue_s, aside.hangs_s) == (True, 2.25, 0.0), "that is how long it took"
    assert aside.settle() == 7
    assert not aside.overdue


def test_an_overdue_error_comes_when_it_is_settled():
    clock = FakeClock()
    executor = FakeExecutor(clock)
    aside = Aside(executor, clock, 0.25)
    executor.hangs = True
    with pytest.raises(Overdue):
        aside.call(lambda: 1 / 0)
    executor.release()
    with pytest.raises(ZeroDivisionError):
        aside.settle()
    assert not aside.overdue


def test_a_retired_one_cleans_up_when_it_comes_back():
    clock, done = FakeClock(), list[str]()
    executor = FakeExecutor(clock)
    aside = Aside(executor, clock, 0.25)
    executor.hangs = True
    with pytest.raises(Overdue):
        aside.call(lambda: done.append("call"))
    last = aside.retire(lambda: done.append("last"))
    assert (done, last.done(), executor.ended) == ([], False, True)
    executor.release()
    assert (done, last.done()) == (["call", "last"], True)


def test_a_thread_that_hangs_is_left_and_seen_and_ends_when_it_can():
    hangs, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def hang() -> str:
        hangs.set()
        go_on.wait(LONG)
        return "late"

    executor = HangableExecutor("frrcam-test")
    assert not executor.thread.is_alive(), "no thread before the first call"
    aside = Aside(executor, FakeClock(), 0.0)
    with pytest.raises(Overdue):
        aside.call(hang)
    assert hangs.wait(LONG)
    assert any_hangs()
    aside.retire(closed.set)
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(LONG)
    executor.thread.join(LONG)
    assert not any_hangs()
    assert aside.settle() == "late"


def test_calls_go_in_turn_and_one_that_fails_ends_nothing():
    executor = HangableExecutor("frrcam-test")
    first = executor.submit(lambda: 1 / 0)
    second = executor.submit(threading.current_thread)
    executor.shutdown()
    assert isinstance(first.exception(LONG), ZeroDivisionError)
    assert second.result(LONG) is executor.thread
    assert not executor.thread.is_alive()


def test_one_that_was_never_used_ends_too():
    HangableExecutor("frrcam-test").shutdown()
    assert not any_hangs()

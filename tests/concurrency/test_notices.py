import threading

from frrcam.concurrency.notices import Notices
from tests.fakes import FakeClock, FakeExecutor, Said


def test_a_trouble_is_said_once_and_so_is_its_end():
    said = Said()
    for _ in range(3):
        said.notices.raise_("camera", "gone")
    assert said.notices.active == {"camera"}
    for _ in range(3):
        said.notices.clear("camera", "back")
    assert said.lines == ["gone", "back"]
    assert not said.notices.active


def test_a_cause_that_comes_later_is_said_once():
    said = Said()
    for _ in range(2):
        said.notices.raise_("camera", "no pictures", cause_unknown=True)
    for _ in range(2):
        said.notices.raise_("camera", "in use by v4l2-ctl")
        said.notices.raise_("camera", "no pictures", cause_unknown=True)
    said.notices.clear("camera", "back")
    assert said.lines == ["no pictures", "in use by v4l2-ctl", "back"]


def test_what_was_never_wrong_does_not_end():
    said = Said()
    said.notices.clear("camera", "back")
    assert said.lines == []


def test_it_is_said_again_when_it_comes_again():
    said = Said()
    for _ in range(2):
        said.notices.raise_("sink", "gone")
        said.notices.clear("sink", "back")
    assert said.lines == ["gone", "back"] * 2


def test_history_keeps_the_newest_with_their_time():
    times = iter(range(100))
    notices = Notices(lambda: next(times), lambda text: None, keep=2)
    for text in "abc":
        notices.tell(text)
    assert [(notice.time, notice.text) for notice in notices.history()] == [(1, "b"), (2, "c")]


def test_one_who_cannot_speak_is_no_trouble_of_its_own():
    def fail(text: str) -> None:
        raise OSError("the terminal is closed")

    notices = Notices(lambda: 0.0, fail)
    notices.raise_("camera", "gone")
    assert [notice.text for notice in notices.history()] == ["gone"]


def test_many_threads_say_it_once():
    said = Said()
    start = threading.Barrier(8)

    def trouble() -> None:
        start.wait()
        said.notices.raise_("camera", "gone")

    threads = [threading.Thread(target=trouble) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.lines == ["gone"]


def test_speaking_may_ask_for_more():
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if text == "first":
            notices.tell("second")

    notices = Notices(lambda: 0.0, say)
    notices.tell("first")
    assert lines == ["first", "second"]


def test_a_terminal_that_is_held_holds_no_thread():
    lines, executor = list[str](), FakeExecutor(FakeClock())
    notices = Notices(lambda: 0.0, lines.append, executor=executor)
    executor.hangs = True
    notices.raise_("camera", "gone")
    notices.clear("camera", "back")
    assert (lines, len(notices.history())) == ([], 2)
    executor.release()
    assert lines == ["gone", "back"]

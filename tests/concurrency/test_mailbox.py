import threading

from frrcam.concurrency.mailbox import Mailbox
from tests.fakes import frame


def test_the_newest_frame_wins_and_the_dropped_are_counted():
    mailbox = Mailbox()
    for index in range(3):
        mailbox.put(frame(index=index))
    taken = mailbox.take(0)
    assert taken is not None
    assert taken.index == 2
    assert mailbox.dropped == 2
    assert mailbox.take(0) is None


def test_what_was_taken_is_not_dropped():
    mailbox = Mailbox()
    for index in range(3):
        mailbox.put(frame(index=index))
        assert mailbox.take(0) is not None
    assert mailbox.dropped == 0


def test_the_last_frame_can_be_taken_after_closing():
    mailbox = Mailbox()
    mailbox.put(frame(index=7))
    mailbox.close()
    assert mailbox.closed
    taken = mailbox.take(0)
    assert taken is not None
    assert taken.index == 7
    assert mailbox.take(10) is None, "and the call waits for no other"


def test_closing_wakes_the_waiting_thread():
    mailbox = Mailbox()
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(mailbox.take(10)))
    waiting.start()
    mailbox.close()
    waiting.join(5)
    assert got == [None]


def test_a_frame_wakes_the_waiting_thread():
    mailbox = Mailbox()
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(mailbox.take(10)))
    waiting.start()
    sent = frame()
    mailbox.put(sent)
    waiting.join(5)
    assert got == [sent]

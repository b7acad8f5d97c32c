import threading
from collections.abc import Iterator

import pytest

LONG = 20.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("frrcam", "test-")):
            thread.join(LONG)
            assert not thread.is_alive(), thread

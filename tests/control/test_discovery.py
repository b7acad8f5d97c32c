import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import platformdirs
import pytest

from frrcam.control.discovery import Daemon, announce, ask_status, control_path, find_daemon, stand_in, withdraw
from frrcam.control.server import ControlServer
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import Status
from frrcam.errors import ControlError
from frrcam.sinks.preview import PreviewSink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frrcam" / "control.json"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    with ControlServer(PreviewSink(), lambda: Status(state="running"), LiveSettings(), announce_at=path) as server:
        yield server


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_running_daemon_is_found_and_answers(server: ControlServer, path: Path) -> None:
    assert find_daemon(path).url == server.url
    assert ask_status(path).state == "running"
    server.close()
    assert not path.exists()


def test_a_proxy_of_the_environment_is_not_asked(
    server: ControlServer, path: Path, environment: MutableMapping[str, str]
) -> None:
    environment["http_proxy"] = "http://127.0.0.1:9/"
    assert ask_status(path).state == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_its_user_can_read_the_token(server: ControlServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


def test_the_file_lies_with_the_users_runtime_files(tmp_path: Path, environment: MutableMapping[str, str]) -> None:
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    assert control_path() == tmp_path / "frrcam" / "control.json"


def test_where_there_are_none_it_lies_in_a_folder_of_the_users_own(environment: MutableMapping[str, str]) -> None:
    environment.pop("XDG_RUNTIME_DIR", None)
    assert control_path() == platformdirs.user_cache_path("frrcam") / "control.json"


def test_no_daemon(path: Path) -> None:
    with pytest.raises(ControlError, match="frrcam start"):
        ask_status(path)


HUGE_PID = '{"url": "http://127.0.0.1:1/x/", "token": "x", "pid": 99999999999999999999}'
ADDRESSES = ("nonsense", "file:///etc/passwd#", "http://127.0.0.1:99999999999999999999/x/", "http://127.0.0.1:1/é/")
ELSEWHERE = [f'{{"url": "{url}", "token": "x", "pid": 1}}' for url in ADDRESSES]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://127.0.0.1:1/"}', HUGE_PID, *ELSEWHERE])
def test_a_file_that_makes_no_sense_is_no_daemon(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ControlError, match="no frrcam daemon"):
        find_daemon(path)


def test_a_file_left_behind_is_removed(path: Path) -> None:
    announce(Daemon(url="http://127.0.0.1:9/x/", token="x", pid=dead_process()), path)
    with pytest.raises(ControlError, match="has crashed"):
        find_daemon(path)
    assert not path.exists()


def test_a_daemon_that_does_not_answer(path: Path) -> None:
    announce(Daemon(url="http://127.0.0.1:9/x/", token="x", pid=os.getpid()), path)
    with pytest.raises(ControlError, match="does not answer"):
        ask_status(path)


def test_an_answer_that_makes_no_sense(server: ControlServer, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    announce(Daemon(url=server.url + "settings?", token="x", pid=os.getpid()), path)
    with pytest.raises(ControlError, match="not this version"):
        ask_status(path)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_what_answers_and_speaks_no_http_is_no_daemon(path: Path, answer: bytes) -> None:
    def serve() -> None:
        with listening.accept()[0] as asked:
            asked.recv(4096)
            asked.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        path.parent.mkdir()
        path.write_text(Daemon(url=f"http://127.0.0.1:{port}/x/", token="x", pid=os.getpid()).model_dump_json())
        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(ControlError, match="does not answer") as raised:
            ask_status(path)
        server.join()
    assert "\n" not in str(raised.value)


def test_a_second_daemon_does_not_hide_the_first(server: ControlServer, path: Path) -> None:
    with ControlServer(PreviewSink(), lambda: Status(state="running"), LiveSettings(), announce_at=path):
        assert find_daemon(path).url == server.url
    assert ask_status(path).state == "running"


def test_a_daemon_that_answers_no_more_is_replaced(server: ControlServer, path: Path) -> None:
    hung = Daemon(url="http://127.0.0.1:9/x/", token="x", pid=os.getpid())
    path.write_text(hung.model_dump_json())
    with ControlServer(PreviewSink(), lambda: Status(state="running"), LiveSettings(), announce_at=path) as second:
        assert find_daemon(path).url == second.url


def test_a_later_daemon_keeps_its_file(path: Path) -> None:
    first, second = (Daemon(url=f"http://127.0.0.1:{port}/", token="x", pid=1) for port in (1, 2))
    announce(first, path)
    announce(second, path)
    withdraw(first, path)
    assert path.exists()
    withdraw(second, path)
    assert not path.exists()


def test_a_file_that_cannot_be_written_does_not_stop_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "frrcam").write_text("in the way")
    where = tmp_path / "frrcam" / "control.json"
    with ControlServer(PreviewSink(), lambda: Status(state="running"), LiveSettings(), announce_at=where) as server:
        assert server.url.startswith("http://127.0.0.1:")


def wait_for(path: Path, server: ControlServer) -> None:
    """Until the server is found there, asking it meanwhile whether it lives."""
    for _ in range(10_000):
        found = path.exists() and find_daemon(path).url == server.url
        with urllib.request.urlopen(server.url + "status", timeout=20) as answer:
            assert answer.status == 200
        if found:
            return
    raise AssertionError(f"{server.url} is not announced")


def test_the_second_daemon_is_found_when_the_first_has_ended(path: Path, server: ControlServer) -> None:
    status = Status(state="running")
    with ControlServer(PreviewSink(), lambda: status, LiveSettings(), announce_at=path, stand_in_s=0.01) as second:
        assert find_daemon(path).url == server.url
        server.close()
        wait_for(path, second)
        shutil.rmtree(path.parent)  # as systemd does with a service's RuntimeDirectory
        wait_for(path, second)
    assert not path.exists()


def test_one_stands_in_for_the_dead_only(path: Path) -> None:
    mine = Daemon(url="http://127.0.0.1:9/mine/", token="x", pid=os.getpid())
    other = Daemon(url="http://127.0.0.1:9/other/", token="x", pid=os.getppid())
    announce(other, path)
    stand_in(mine, path)
    assert find_daemon(path) == other
    path.write_text(other.model_copy(update={"pid": dead_process()}).model_dump_json())
    stand_in(mine, path)
    assert find_daemon(path) == mine

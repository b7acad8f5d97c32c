import asyncio
import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import cv2
import numpy as np
import psutil
import pytest

from frrcam.control.encoder import Encoder
from frrcam.control.server import ControlServer, own_names
from frrcam.daemon.settings import LiveSettings, LiveValue
from frrcam.daemon.status import Status
from frrcam.errors import ControlError
from frrcam.frame import Frame
from frrcam.sinks.preview import PreviewSink

Task = Callable[[aiohttp.ClientSession], Awaitable[Any]]


class Bench:
    """A server and what it serves from."""

    def __init__(self) -> None:
        self.preview, self.settings, self.encoder = PreviewSink(), LiveSettings(), Encoder()
        self.frames = 0
        self.server = ControlServer(self.preview, self.status, self.settings, encoder=self.encoder, max_fps=500)
        self.url = self.server.url

    def status(self) -> Status:
        return Status(state="running", frames=self.frames)

    def publish(self, value: int = 0, size: tuple[int, int] = (32, 24), noise: bool = False) -> None:
        """A picture whose "after" has that green value (with noise, in its left upper corner)."""
        width, height = size
        random = np.random.default_rng(value)
        image = (
            random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            if noise
            else np.zeros((height, width, 3), np.uint8)
        )
        image[: height // 2, : width // 2] = (0, value, 0)
        self.frames += 1
        self.preview.send(image, Frame(np.zeros_like(image), self.frames, float(self.frames), "test"))

    def run(self, task: Task, seconds: float = 20.0) -> Any:
        """Runs a client to its end."""

        async def client() -> Any:
            async with aiohttp.ClientSession() as session:
                return await asyncio.wait_for(task(session), seconds)

        return asyncio.run(client())

    def get(self, path: str, **options: Any) -> tuple[int, str, dict[str, str]]:
        async def task(session: aiohttp.ClientSession) -> tuple[int, str, dict[str, str]]:
            async with session.get(self.url + path, **options) as response:
                return response.status, (await response.read()).decode("latin-1"), dict(response.headers)

        result: tuple[int, str, dict[str, str]] = self.run(task)
        return result

    def post(self, body: str, **headers: str) -> tuple[int, dict[str, Any]]:
        async def task(session: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
            async with session.post(self.url + "settings", data=body, headers=headers) as response:
                return response.status, await response.json()

        result: tuple[int, dict[str, Any]] = self.run(task)
        return result


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.server.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "frrcam-control"]


async def read_picture(stream: aiohttp.StreamReader) -> np.ndarray:
    """The next part of a multipart stream."""
    head = await stream.readuntil(b"\r\n\r\n")
    assert head.startswith(b"--frrcam-picture\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    data = await stream.readexactly(length)
    assert await stream.readexactly(2) == b"\r\n"
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def green(picture: np.ndarray) -> int:
    return int(picture[4, 4, 1])


# ------------------------------------------------------------ who may look


def test_the_page_and_its_parts_are_served_with_a_strict_policy(bench: Bench) -> None:
    for path, kind in (("", "text/html"), ("app.js", "text/javascript"), ("style.css", "text/css")):
        status, text, headers = bench.get(path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert len(text) > 500
    page = bench.get("")[1]
    assert "<script src=" in page
    assert "style=" not in page
    assert "http:" not in page
    assert "https:" not in page


@pytest.mark.parametrize(
    "path",
    ["", "app.js", "status", "snapshot.jpg", "stream/after.mjpg", "events", "settings", "metrics", "nothing", ".."],
)
def test_no_other_page_may_frame_embed_or_keep_any_answer(bench: Bench, path: str) -> None:
    async def task(session: aiohttp.ClientSession) -> dict[str, str]:
        async with session.get(bench.url + path) as response:
            return dict(response.headers)

    bench.publish()
    headers = bench.run(task)
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_it_listens_on_loopback_only(bench: Bench) -> None:
    port = int(bench.url.split(":")[2].split("/")[0])
    listening = (one.laddr for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "path", ["status", "stream/after.mjpg", "snapshot.jpg", "events", "settings", "metrics", "", "x"]
)
def test_without_the_token_nothing_is_shown(bench: Bench, path: str) -> None:
    root = bench.url.rsplit("/", 2)[0]
    for wrong in ("/", "/wrong/", f"/{'x' * 32}/", "//"):

        async def task(session: aiohttp.ClientSession, address: str = root + wrong + path) -> tuple[int, str]:
            async with session.get(address) as response:
                return response.status, await response.text()

        status, text = bench.run(task)
        assert status == 403
        assert "wrong address" in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_foreign_host_name_is_refused(bench: Bench, host: str) -> None:
    status, text, _ = bench.get("status", headers={"Host": host})
    assert status in (400, 403)
    assert "running" not in text


def test_localhost_is_the_same_host(bench: Bench) -> None:
    port = bench.url.split(":")[2].split("/")[0]
    assert bench.get("status", headers={"Host": f"localhost:{port}"})[0] == 200


def test_browsers_leave_the_usual_port_out() -> None:
    assert own_names(8080) == ("127.0.0.1:8080", "localhost:8080")
    assert own_names(80) == ("127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost")


def test_on_the_usual_port_the_page_is_shown() -> None:
    try:
        server = ControlServer(PreviewSink(), lambda: Status(state="running"), LiveSettings(), port=80)
    except ControlError as error:
        pytest.skip(str(error))
    with server, urllib.request.urlopen(server.url.replace(":80/", "/") + "status", timeout=20) as answer:
        assert json.loads(answer.read())["state"] == "running"


def test_unknown_paths_and_views(bench: Bench) -> None:
    assert bench.get("nothing")[0] == 404
    assert bench.get("stream/nothing.mjpg")[0] == 404
    assert bench.get("%2e%2e/%2e%2e/etc/passwd")[0] in (403, 404)
    status, text, _ = bench.get("snapshot.jpg?view=nothing")
    assert status == 400
    assert "before, after, split" in text


def test_the_address_works_without_its_last_letter(bench: Bench) -> None:
    async def task(session: aiohttp.ClientSession) -> tuple[int, str]:
        async with session.get(bench.url.rstrip("/")) as response:
            return response.status, str(response.url)

    assert bench.run(task) == (200, bench.url)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "status"), ("DELETE", "settings"), ("HEAD", "events"), ("HEAD", "stream/after.mjpg")]
)
def test_a_method_that_is_not_for_that_address(bench: Bench, method: str, path: str) -> None:
    async def task(session: aiohttp.ClientSession) -> int:
        async with session.request(method, bench.url + path) as response:
            return response.status

    assert bench.run(task) in (404, 405)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "no HTTP at all\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'a' * 20_000}\r\n\r\n",
    ],
    ids=["no host", "no HTTP", "a huge header"],
)
def test_what_speaks_no_http_is_refused_without_a_word_in_the_journal(
    bench: Bench, request_text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", int(bench.url.split(":")[2].split("/")[0])), 10) as connection:
        connection.sendall(request_text.encode())
        assert b" 400 " in connection.recv(4096).split(b"\r\n")[0]
    assert bench.get("status")[0] == 200
    assert not caplog.records


def test_a_fault_of_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def status() -> Status:
        raise ZeroDivisionError("in the status")

    with (
        ControlServer(PreviewSink(), status, LiveSettings()) as server,
        pytest.raises(urllib.error.HTTPError, match="500"),
    ):
        urllib.request.urlopen(server.url + "status", timeout=20)
    assert "in the status" in caplog.text


def test_a_taken_port(bench: Bench) -> None:
    port = int(bench.url.split(":")[2].split("/")[0])
    with pytest.raises(ControlError, match=f"port {port} on 127.0.0.1 cannot be had"):
        ControlServer(PreviewSink(), bench.status, LiveSettings(), port=port)


# ------------------------------------------------------------ settings


def test_settings_are_posted_and_read_back(bench: Bench) -> None:
    status, answer = bench.post('{"strength": 0.25, "enabled": false}')
    assert status == 200
    assert answer == LiveValue(strength=0.25, enabled=False).model_dump()
    assert bench.settings.value.strength == 0.25
    assert json.loads(bench.get("settings")[1]) == answer


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ('{"strength": 2}', "less than or equal to 1"),
        ('{"strength": NaN}', "finite"),
        ('{"hue": 1}', "hue is not a setting"),
    ],
)
def test_bad_settings_are_named(bench: Bench, body: str, words: str) -> None:
    status, answer = bench.post(body)
    assert status == 400
    assert words in answer["error"]
    assert bench.settings.value == LiveValue()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "https://localhost"])
def test_another_page_cannot_post(bench: Bench, origin: str) -> None:
    status, _ = bench.post('{"strength": 0.5}', Origin=origin)
    assert status == 403
    assert bench.settings.value.strength == 1.0


def test_the_page_itself_can(bench: Bench) -> None:
    assert bench.post("{}", Origin="/".join(bench.url.split("/")[:3]))[0] == 200


def test_whatever_is_posted_is_no_fault_of_ours(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert bench.post("no gzip", **{"Content-Encoding": "gzip"})[0] == 400
    assert bench.post("no gzip", **{"Content-Encoding": "gzip", "Host": "evil.example"})[0] == 403
    assert bench.post('{"strength": 0.5}', **{"Content-Type": "application/json; charset=klingon"})[0] == 200
    status, answer = bench.post("[" * 50_000)
    assert status == 400
    assert "not JSON" in answer["error"]
    assert not caplog.records


def test_a_huge_body_is_refused(bench: Bench) -> None:
    assert bench.post('"' + "x" * 100_000 + '"')[0] == 413


# ------------------------------------------------------------ pictures


def test_a_snapshot_is_full_size(bench: Bench) -> None:
    assert bench.get("snapshot.jpg")[0] == 503
    bench.publish(200, (1280, 720))
    status, text, headers = bench.get("snapshot.jpg?view=split")
    assert status == 200
    assert headers["Content-Type"] == "image/jpeg"
    image = cv2.imdecode(np.frombuffer(text.encode("latin-1"), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (720, 2560, 3)


@pytest.mark.parametrize("view", ["before", "after", "split"])
def test_a_stream_shows_each_new_picture(bench: Bench, view: str) -> None:
    async def task(session: aiohttp.ClientSession) -> list[int]:
        seen = []
        async with session.get(bench.url + f"stream/{view}.mjpg") as response:
            assert response.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            for value in (50, 120, 220):
                bench.publish(value)
                picture = await read_picture(response.content)
                seen.append(green(picture[:, -32:]))
        return seen

    expected = [0, 0, 0] if view == "before" else [50, 120, 220]
    assert bench.run(task) == pytest.approx(expected, abs=6)


def test_nothing_is_encoded_while_no_program_watches(bench: Bench) -> None:
    for value in range(50):
        bench.publish(value)
    bench.get("status")
    assert bench.encoder.encoded == 0
    assert bench.server.watchers == 0


def test_viewers_share_one_encoding_and_are_counted(bench: Bench) -> None:
    async def task(session: aiohttp.ClientSession) -> None:
        async with contextlib.AsyncExitStack() as stack:
            requests = [session.get(bench.url + "stream/split.mjpg") for _ in range(3)]
            viewers = [await stack.enter_async_context(request) for request in requests]
            bench.publish(1)
            await asyncio.gather(*(read_picture(viewer.content) for viewer in viewers))
            assert bench.server.watchers == 3
            assert bench.encoder.encoded == 1
        while bench.server.watchers:
            async with session.get(bench.url + "status") as response:
                await response.read()

    bench.run(task)


def test_a_slow_viewer_gets_fewer_pictures_not_older_ones(bench: Bench) -> None:
    pictures = 60

    async def task(session: aiohttp.ClientSession) -> list[int]:
        port, path = bench.url.split(":")[2].split("/", 1)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        connection.connect(("127.0.0.1", int(port)))
        slow_reader, slow_writer = await asyncio.open_connection(sock=connection, limit=4096)
        slow_writer.write(f"GET /{path}stream/after.mjpg HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        await slow_reader.readuntil(b"\r\n\r\n")
        async with session.get(bench.url + "stream/after.mjpg") as fast:
            for value in range(pictures):
                bench.publish(4 * value, (640, 480), noise=True)
                await read_picture(fast.content)
        seen: list[int] = []
        while not seen or seen[-1] < pictures - 2:
            seen.append(round(green(await read_picture(slow_reader)) / 4))  # type: ignore[arg-type]
        slow_writer.close()
        return seen

    seen = bench.run(task)
    assert len(seen) < pictures / 3, f"{len(seen)} of {pictures} pictures had been queued"


def test_closing_is_quick_with_viewers_attached(bench: Bench) -> None:
    async def task(session: aiohttp.ClientSession) -> float:
        bench.publish(9)
        async with contextlib.AsyncExitStack() as stack:
            for path in ("stream/split.mjpg", "stream/after.mjpg", "events"):
                stream = await stack.enter_async_context(session.get(bench.url + path))
                await stream.content.readany()
            started = time.monotonic()
            await asyncio.to_thread(bench.server.close)
            return time.monotonic() - started

    assert bench.run(task) < 1.0
    bench.server.close()


def test_a_second_close_and_an_early_one(bench: Bench) -> None:
    bench.server.close()
    bench.server.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        bench.get("status")


# ------------------------------------------------------------ status


def test_status_and_metrics(bench: Bench) -> None:
    bench.frames = 7
    assert Status.model_validate_json(bench.get("status")[1]).frames == 7
    status, text, headers = bench.get("metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert "frrcam_frames_total 7\n" in text


def test_events_tell_status_and_settings_as_they_change(bench: Bench) -> None:
    async def task(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        async with session.get(bench.url + "events") as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            events = []
            for strength in (0.5, 0.75):
                line = await response.content.readline()
                assert line.startswith(b"data: ")
                assert await response.content.readline() == b"\n"
                events.append(json.loads(line[6:]))
                bench.settings.update({"strength": strength})
                bench.frames += 1
        return events

    first, second = bench.run(task)
    assert (first["status"]["frames"], first["settings"]["strength"]) == (0, 1.0)
    assert (second["status"]["frames"], second["settings"]["strength"]) == (1, 0.5)

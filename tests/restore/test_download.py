import contextlib
import errno
import hashlib
import io
import ssl
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from frrcam.commands.models import progress_bar
from frrcam.errors import DownloadError, ModelCorrupt, ModelNotFound
from frrcam.restore.download import CHUNK, fetch, find_pack, urlopen
from frrcam.restore.models import fetched
from frrcam.restore.packs import NOTICE, PACKS, Pack

DETECTOR = np.random.default_rng(0).bytes(3 * CHUNK)


def zipped(name: str = "det_500m.onnx", content: bytes = DETECTOR) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("genderage.onnx", b"not wanted")
        archive.writestr(name, content)
    return buffer.getvalue()


def pack_of(archive: bytes, url: str = "http://127.0.0.1:9/none.zip") -> Pack:
    return Pack(
        name="buffalo_s",
        url=url,
        sha256=hashlib.sha256(archive).hexdigest(),
        bytes=len(archive),
        detector="det_500m.onnx",
        detector_sha256=hashlib.sha256(DETECTOR).hexdigest(),
        detector_bytes=len(DETECTOR),
    )


class Server:
    """An HTTP server on loopback that serves one archive, with the faults a test chooses."""

    def __init__(self) -> None:
        self.archive = zipped()
        self.etag: str | None = '"one"'
        self.ranges = True
        self.code = 200
        self.wrong_offset = 0
        self.breaks: list[int] = []
        """How many bytes to send before the connection is dropped, for one request after the other."""
        self.asked: list[str | None] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def pack(self) -> Pack:
        return pack_of(self.archive, f"http://127.0.0.1:{self.http.server_port}/buffalo_s.zip")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.asked.append(wanted)
        if self.code != 200:
            request.send_error(self.code)
            return
        start = 0
        if wanted and self.ranges and request.headers["If-Range"] == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.archive):
            request.send_error(416)
            return
        body = self.archive[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        if self.etag:
            request.send_header("ETag", self.etag)
        if start:
            first = start + self.wrong_offset
            request.send_header("Content-Range", f"bytes {first}-{len(self.archive) - 1}/{len(self.archive)}")
        request.end_headers()
        request.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join(5)
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def yes(text: str) -> bool:
    return True


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_fetches_the_detector_and_nothing_else(server: Server, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    path = fetch(server.pack, yes, folder=tmp_path, report=lambda done, total: reports.append((done, total)))
    assert path == tmp_path / "buffalo_s" / "det_500m.onnx"
    assert path.read_bytes() == DETECTOR
    assert left(tmp_path) == ["det_500m.onnx"]
    assert reports[-1] == (server.pack.bytes, server.pack.bytes)
    assert [entry.path for entry in fetched(tmp_path)] == [path]


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    path = fetch(server.pack, yes, folder=tmp_path)
    assert fetch(server.pack, lambda text: False, folder=tmp_path) == path
    assert len(server.asked) == 1
    path.write_bytes(b"damaged")
    assert fetch(server.pack, yes, folder=tmp_path).read_bytes() == DETECTOR


def test_the_licence_comes_first(server: Server, tmp_path: Path) -> None:
    shown: list[str] = []

    def no(text: str) -> bool:
        shown.append(text)
        return False

    with pytest.raises(DownloadError, match="licence was not accepted"):
        fetch(server.pack, no, folder=tmp_path)
    assert NOTICE in shown[0]
    assert "NON-COMMERCIAL" in shown[0]
    assert server.pack.url in shown[0]
    assert server.asked == []


def test_goes_on_where_the_connection_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000, 5000]
    assert fetch(server.pack, yes, folder=tmp_path).read_bytes() == DETECTOR
    assert server.asked == [None, "bytes=1000-", "bytes=6000-"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENETUNREACH, "Network is unreachable"), ssl.SSLEOFError(8, "EOF occurred in violation of protocol")],
)
def test_a_network_that_goes_is_no_fault_of_the_disk(server: Server, tmp_path: Path, error: OSError) -> None:
    faults = [error, error]

    class Breaking:
        """Gives the first bytes of an answer."""

        def __init__(self, answer: Any) -> None:
            self._answer, self._bytes = answer, 1000
            self.status, self.headers = answer.status, answer.headers

        def read(self, size: int) -> bytes:
            if not self._bytes:
                raise faults.pop()
            self._bytes, size = 0, self._bytes
            return bytes(self._answer.read(size))

    @contextlib.contextmanager
    def opener(request: urllib.request.Request) -> Iterator[Any]:
        with urlopen(request) as answer:
            yield Breaking(answer) if faults else answer

    assert fetch(server.pack, yes, folder=tmp_path, opener=opener).read_bytes() == DETECTOR
    assert server.asked == [None, "bytes=1000-", "bytes=2000-"]

    @contextlib.contextmanager
    def gone(request: urllib.request.Request) -> Iterator[Any]:
        with urlopen(request) as answer:
            faults.append(error)
            broken = Breaking(answer)
            broken.read(0)
            yield broken

    with pytest.raises(DownloadError, match=r"cannot be reached: .*(unreachable|EOF)"):
        fetch(server.pack, yes, folder=tmp_path / "again", opener=gone)


def test_goes_on_next_time(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000, 0]
    with pytest.raises(DownloadError, match=r"stopped at 1000 of \d+ bytes: run it again"):
        fetch(server.pack, yes, folder=tmp_path)
    assert left(tmp_path) == ["buffalo_s.zip.etag", "buffalo_s.zip.part"]
    assert fetch(server.pack, yes, folder=tmp_path).read_bytes() == DETECTOR
    assert server.asked[-1] == "bytes=1000-"


@pytest.mark.parametrize("change", ["no ranges", "another file", "no tag", "weak tag"])
def test_starts_over_where_it_cannot_go_on(server: Server, tmp_path: Path, change: str) -> None:
    server.breaks = [1000, 0]
    if change == "no tag":
        server.etag = None
    if change == "weak tag":
        server.etag = 'W/"one"'
    with pytest.raises(DownloadError):
        fetch(server.pack, yes, folder=tmp_path)
    server.ranges = change != "no ranges"
    if change == "another file":
        server.etag = '"two"'
    assert fetch(server.pack, yes, folder=tmp_path).read_bytes() == DETECTOR
    assert (server.asked[-1] is None) == (change in ("no tag", "weak tag"))


def test_a_server_that_sends_another_range_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.breaks, server.wrong_offset = [1000], 1
    with pytest.raises(DownloadError, match="asked for bytes from 1000, got bytes 1001-"):
        fetch(server.pack, yes, folder=tmp_path)


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"!", lambda data: data + b"more than was asked"])
def test_wrong_bytes_are_thrown_away(server: Server, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    pack = server.pack
    server.archive = change(server.archive)
    with pytest.raises(ModelCorrupt, match=f"expected {pack.sha256[:12]}…"):
        fetch(pack, yes, folder=tmp_path)
    assert left(tmp_path) == []


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "buffalo_s" / "buffalo_s.zip.part"
    part.parent.mkdir()
    part.write_bytes(bytes(server.pack.bytes + 1))
    with pytest.raises(ModelCorrupt):
        fetch(server.pack, yes, folder=tmp_path)
    assert fetch(server.pack, yes, folder=tmp_path).read_bytes() == DETECTOR


@pytest.mark.parametrize("code", [403, 404, 500])
def test_a_refusal_is_said(server: Server, tmp_path: Path, code: int) -> None:
    server.code = code
    with pytest.raises(DownloadError, match=f"answers {code}"):
        fetch(server.pack, yes, folder=tmp_path)


def test_no_network(server: Server, tmp_path: Path) -> None:
    pack = server.pack
    server.close()
    with pytest.raises(DownloadError, match=r"cannot be reached: .*refused"):
        fetch(pack, yes, folder=tmp_path)


def test_from_a_file(tmp_path: Path) -> None:
    archive = tmp_path / "by hand.zip"
    archive.write_bytes(zipped())
    path = fetch(pack_of(archive.read_bytes()), yes, archive=archive, folder=tmp_path / "models")
    assert path.read_bytes() == DETECTOR
    assert archive.is_file()


def test_from_a_wrong_file(tmp_path: Path) -> None:
    archive = tmp_path / "by hand.zip"
    with pytest.raises(ModelNotFound, match="no file"):
        fetch(pack_of(zipped()), yes, archive=archive, folder=tmp_path / "models")
    archive.write_bytes(b"")
    with pytest.raises(ModelCorrupt, match="is not the buffalo_s that frrcam knows"):
        fetch(pack_of(zipped()), yes, archive=archive, folder=tmp_path / "models")
    archive.write_bytes(b"text")
    with pytest.raises(ModelCorrupt, match="is no zip file"):
        fetch(pack_of(b"text"), yes, archive=archive, folder=tmp_path / "models")
    assert left(tmp_path / "models") == []


@pytest.mark.parametrize("name", ["../../det_500m.onnx", "/etc/det_500m.onnx", "pack/det_500m.onnx"])
def test_no_name_in_the_archive_becomes_a_path(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "odd.zip"
    archive.write_bytes(zipped(name))
    path = fetch(pack_of(archive.read_bytes()), yes, archive=archive, folder=tmp_path / "a" / "models")
    assert path == tmp_path / "a" / "models" / "buffalo_s" / "det_500m.onnx"
    assert left(tmp_path) == ["det_500m.onnx", "odd.zip"]


def test_from_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("gone.zip", "a" * 300 + ".zip"):
        with pytest.raises(ModelNotFound, match="no file"):
            fetch(PACKS["buffalo_s"], yes, archive=tmp_path / name, folder=tmp_path / "models")


def test_an_archive_without_the_detector(tmp_path: Path) -> None:
    archive = tmp_path / "odd.zip"
    archive.write_bytes(zipped("other.onnx"))
    with pytest.raises(ModelCorrupt, match=r"holds no det_500m\.onnx"):
        fetch(pack_of(archive.read_bytes()), yes, archive=archive, folder=tmp_path)
    archive.write_bytes(zipped(content=bytes(len(DETECTOR))))
    with pytest.raises(ModelCorrupt, match=r"det_500m\.onnx in .* is not the known one"):
        fetch(pack_of(archive.read_bytes()), yes, archive=archive, folder=tmp_path)
    assert left(tmp_path) == ["odd.zip"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch(pack_of(zipped()), yes, folder=tmp_path / "models")


def test_a_full_disk(tmp_path: Path) -> None:
    def opener(request: object) -> Server:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DownloadError, match="No space left on device"):
        fetch(pack_of(zipped()), yes, folder=tmp_path, opener=opener)  # type: ignore[arg-type]


def test_only_pinned_packs_are_known() -> None:
    assert find_pack("buffalo_s") is PACKS["buffalo_s"]
    with pytest.raises(ModelNotFound, match=r"no pack called 'buffalo_l' .*buffalo_s, buffalo_sc"):
        find_pack("buffalo_l")
    for pack in PACKS.values():
        assert pack.url.startswith("https://github.com/deepinsight/insightface/releases/")
        assert len(pack.sha256) == len(pack.detector_sha256) == 64


def test_the_bar_shows_the_bytes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_bar("buffalo_s", console) as report:
        report(50, 100)
        report(100, 100)
    assert "100/100 bytes" in console.file.getvalue()  # type: ignore[attr-defined]

"""The page with the live picture, for this machine and this user only.

GET  /TOKEN/                           the page
GET  /TOKEN/stream/VIEW.mjpg           before, after or split, the newest picture only
GET  /TOKEN/snapshot.jpg?view=VIEW     one picture at its full size
GET  /TOKEN/status                     daemon.status.Status as JSON
GET  /TOKEN/events                     {"status", "settings"} as server-sent events, twice a second
GET  /TOKEN/settings, POST /TOKEN/settings   daemon.settings.LiveValue as JSON; any of its keys may be posted
GET  /TOKEN/metrics                    the status as Prometheus text

It listens on 127.0.0.1; the token, new for each run, keeps other users of the machine out; the Host header is checked
against DNS rebinding and Origin against other pages posting here.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from frrcam.closing import Closing
from frrcam.control import discovery
from frrcam.control.encoder import VIEWS, Encoder
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import Status, prometheus
from frrcam.errors import ControlError, UsageError
from frrcam.sinks.preview import PreviewSink

log = logging.getLogger(__name__)

MAX_FPS = 20.0
EVENT_S = 0.5
STAND_IN_S = 2.0
"""Seconds between looks at whether the daemon that the other commands find is still there."""
JOIN_S = 1.0
SEND_BUFFER = 128 * 1024
"""Bytes that may be on their way to a viewer: a slow one gets fewer pictures, not older ones."""

PAGE = {
    "": ("index.html", "text/html"),
    "app.js": ("app.js", "text/javascript"),
    "style.css": ("style.css", "text/css"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BOUNDARY = "frrcam-picture"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _our_fault(record: logging.LogRecord) -> bool:
    """What does not speak HTTP, a port scan or a program gone astray, gets 400 and is not worth a word of ours."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))


http_log = log.getChild("http")
http_log.addFilter(_our_fault)


class ControlServer(Closing):
    """Serves from a thread with its own event loop. Encodes nothing while no browser reads."""

    def __init__(
        self,
        preview: PreviewSink,
        status: Callable[[], Status],
        settings: LiveSettings,
        *,
        port: int = 0,
        token: str | None = None,
        announce_at: Path | None = None,
        encoder: Encoder | None = None,
        max_fps: float = MAX_FPS,
        stand_in_s: float = STAND_IN_S,
    ) -> None:
        """`port` 0 takes a free one, `token` None draws a new one; `announce_at`: the file for `discovery`, if any.

        Raises ControlError when the port is taken. `status` is called from the server's thread.
        """
        self._preview, self._status, self._settings = preview, status, settings
        self._encoder = encoder or Encoder()
        self._period, self._stand_in_s = 1 / max_fps, stand_in_s
        self._token = token or secrets.token_urlsafe(24)
        self._port = port
        self._endless: set[asyncio.Task[Any]] = set()
        self._watchers = 0
        self._announced: tuple[discovery.Daemon, Path] | None = None
        self._stopping: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="frrcam-control", daemon=True
        )
        self._thread.start()
        try:
            self._port = started.result()
        except OSError as error:
            self.close()
            raise ControlError(f"port {port} on 127.0.0.1 cannot be had ({error.strerror}); pick another") from error
        self._announced = self._announce(announce_at)

    @property
    def url(self) -> str:
        """The page, with its token."""
        return f"http://127.0.0.1:{self._port}/{self._token}/"

    @property
    def watchers(self) -> int:
        """How many picture streams are open."""
        return self._watchers

    def close(self) -> None:
        """Lets go of every viewer and joins the thread, within a second. Idempotent."""
        if self._stopping:
            loop, stop = self._stopping
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
        self._thread.join(JOIN_S)
        self._encoder.close()
        if self._announced:
            discovery.withdraw(*self._announced)

    def _announce(self, path: Path | None) -> tuple[discovery.Daemon, Path] | None:
        if path is None:
            return None
        daemon = discovery.Daemon(url=self.url, token=self._token, pid=os.getpid())
        try:
            discovery.announce(daemon, path)
        except OSError as error:
            log.warning("%s cannot be written (%s); other frrcam commands will not find this daemon", path, error)
            return None
        return daemon, path

    def _stand_in(self) -> None:
        """The daemon that was started first may have ended, or systemd removed the folder with its service's end."""
        if self._announced:
            with contextlib.suppress(OSError):
                discovery.stand_in(*self._announced)

    async def _serve(self, started: "Future[int]") -> None:
        stop = asyncio.Event()
        self._stopping = asyncio.get_running_loop(), stop
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            logger=http_log,
            handle_signals=False,
            shutdown_timeout=0.1,
            handler_cancellation=True,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            started.set_result(runner.addresses[0][1])
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._stand_in_s)
                    break
                self._stand_in()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            for task in self._endless:
                task.cancel()
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=64 * 1024)
        base = "/{token}/"
        app.router.add_get("/{token}", self._with_slash)
        app.router.add_get(base + "{name:(app\\.js|style\\.css)?}", self._page)
        app.router.add_get(base + f"stream/{{view:{'|'.join(VIEWS)}}}.mjpg", self._stream, allow_head=False)
        app.router.add_get(base + "snapshot.jpg", self._snapshot)
        app.router.add_get(base + "status", self._get_status)
        app.router.add_get(base + "events", self._events, allow_head=False)
        app.router.add_get(base + "settings", self._get_settings)
        app.router.add_post(base + "settings", self._post_settings)
        app.router.add_get(base + "metrics", self._metrics)
        app.router.add_get(base + "{nothing:.*}", self._nothing)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        names = own_names(self._port)
        if request.headers.get("Host") not in names:
            return _refusal(403, "this page answers to http://127.0.0.1 only")
        origin = request.headers.get("Origin")
        if request.method != "GET" and origin not in (None, *(f"http://{name}" for name in names)):
            return _refusal(403, "only the page itself may change settings")
        token = request.path.removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return _refusal(403, "wrong address: take the one that frrcam printed when it started")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return _refusal(error.status, error.reason or "")
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _with_slash(self, request: web.Request) -> web.StreamResponse:
        """Terminals that make a link of the address may leave its end out."""
        return web.Response(status=307, headers={"Location": f"/{self._token}/"})

    async def _page(self, request: web.Request) -> web.StreamResponse:
        name, content_type = PAGE[request.match_info["name"]]
        text = (resources.files("frrcam.control") / "page" / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=content_type)

    async def _get_status(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._status().model_dump_json(), content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=prometheus(self._status()), content_type="text/plain")

    async def _get_settings(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._settings.value.model_dump())

    async def _post_settings(self, request: web.Request) -> web.StreamResponse:
        try:
            changes = json.loads(await request.read())
        except (ValueError, RecursionError, web.RequestPayloadError) as error:
            return _refusal(400, f"not JSON: {error}")
        if not isinstance(changes, dict):
            return _refusal(400, 'not an object of settings; e.g. {"strength": 0.5}')
        try:
            return web.json_response(self._settings.update(changes).model_dump())
        except UsageError as error:
            return _refusal(400, str(error))

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return _refusal(404, "there is nothing at this address")

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        view = request.query.get("view", "after")
        if view not in VIEWS:
            return _refusal(400, f'no view "{view}"; there are {", ".join(VIEWS)}')
        pair = self._preview.latest()
        if pair is None:
            return _refusal(503, "no picture yet")
        return web.Response(body=await self._encoder.snapshot(pair, view), content_type="image/jpeg")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        pictures = self._pictures(request.match_info["view"])
        return await self._send_until_gone(request, f"multipart/x-mixed-replace; boundary={BOUNDARY}", pictures)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._send_until_gone(request, "text/event-stream", self._status_events())

    async def _send_until_gone(
        self, request: web.Request, content_type: str, chunks: AsyncGenerator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type})
        task = asyncio.current_task()
        assert task is not None
        self._endless.add(task)
        try:
            await response.prepare(request)
            _keep_little_on_the_way(request.transport)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    await response.write(chunk)
        except ConnectionError:
            pass  # the viewer has gone
        finally:
            self._endless.discard(task)
        return response

    async def _pictures(self, view: str) -> AsyncGenerator[bytes]:
        """The newest picture whenever there is a newer one, and no more often than the period."""
        loop = asyncio.get_running_loop()
        number, due = 0, loop.time()
        self._watchers += 1
        try:
            while True:
                pair = self._preview.latest()
                if pair is not None and pair.number != number:
                    number, data = pair.number, await self._encoder.stream_picture(pair, view)
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    yield head.encode() + data + b"\r\n"
                due = max(due + self._period, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            self._watchers -= 1

    async def _status_events(self) -> AsyncGenerator[bytes]:
        while True:
            settings = self._settings.value.model_dump_json()
            yield f'data: {{"status": {self._status().model_dump_json()}, "settings": {settings}}}\n\n'.encode()
            await asyncio.sleep(EVENT_S)


def own_names(port: int) -> tuple[str, ...]:
    """What a browser calls us in Host and Origin: without the port where that is HTTP's own."""
    hosts = ("127.0.0.1", "localhost")
    return tuple(f"{host}:{port}" for host in hosts) + (hosts if port == 80 else ())


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=HEADERS)


def _keep_little_on_the_way(transport: asyncio.BaseTransport | None) -> None:
    """Without this a slow viewer would be shown megabytes of old pictures."""
    connection = transport.get_extra_info("socket") if transport else None
    if isinstance(transport, asyncio.WriteTransport) and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        transport.set_write_buffer_limits(high=0)

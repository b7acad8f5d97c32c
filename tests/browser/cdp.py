"""A headless Chromium driven over the DevTools protocol, with what aiohttp already has."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """The first Chromium on the path."""
    names = ("chromium", "chromium-headless-shell", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.faults: list[str] = []
        """What the page threw, logged as an error or was refused by its policy."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a DevTools command and returns its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 10.0) -> None:
        """Waits, frame by frame in the page, until the expression is true."""
        check = f"""new Promise((resolve, reject) => {{
            const end = performance.now() + {1000 * seconds};
            const look = () => ({expression}) ? resolve(true)
                : performance.now() > end ? reject(new Error("never: " + {json.dumps(expression)}))
                : setTimeout(look, 20);
            look();
        }})"""
        await self.evaluate(check)

    async def open(self, url: str, width: int, height: int, *, dark: bool = False) -> None:
        """Opens the address in a window of that size."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def resize(self, width: int, height: int) -> None:
        """Sets the size of the window, CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def mouse(self, kind: str, x: float, y: float) -> None:
        """mousePressed, mouseMoved or mouseReleased of the left button."""
        held = kind != "mouseReleased"
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(held), clickCount=1)

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move, release."""
        await self.mouse("mousePressed", *start)
        await self.mouse("mouseMoved", *end)
        await self.mouse("mouseReleased", *end)

    async def key(self, kind: str, key: str) -> None:
        """keyDown or keyUp of the key, e.g. "ArrowLeft"."""
        await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    async def centre(self, selector: str) -> tuple[float, float]:
        """The middle of an element, CSS pixels."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = await self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        return x, y

    async def screenshot(self, path: Path) -> None:
        """Writes what is seen as PNG."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])


@contextlib.asynccontextmanager
async def browse(profile: Path, *flags: str) -> AsyncIterator[Page]:
    """A new browser with an empty profile and one tab."""
    path = find_chromium()
    assert path is not None
    command = [path, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True) as browser:
        try:
            address = await asyncio.wait_for(asyncio.to_thread(_devtools, browser), 30)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json/list") as response:
                    tab = next(tab for tab in await response.json() if tab["type"] == "page")
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)


def _devtools(browser: subprocess.Popen[str]) -> str:
    assert browser.stderr is not None
    for line in browser.stderr:
        if "DevTools listening on ws://" in line:
            return line.split("ws://", 1)[1].split("/", 1)[0]
    raise AssertionError("Chromium ended before it listened")

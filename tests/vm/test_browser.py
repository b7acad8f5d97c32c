"""FRR Camera as a meeting in Chromium gets it."""

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.browser.cdp import browse, find_chromium
from tests.vm.machine import MARKS, SHARE, Machine

pytestmark = [*MARKS, pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")]
Seen = Callable[[str], None]

COLOUR = (200, 50, 100)
"""R, G, B."""
LEVELS = 3
ENOUGH_FPS = 5
"""On one core, shared by camera, daemon and a browser that draws in software; an idle one shows 25."""
SLOW_FPS = 5
"""At this rate the network fits beside a browser on one core."""
PAGE = b"""<!doctype html><meta charset=utf-8><title>meeting</title>
<style>body { margin: 20px; font: 16px sans-serif } video { display: block }</style>
<video autoplay muted playsinline></video><p></p>"""
JOIN = """(async () => {
    await navigator.mediaDevices.getUserMedia({video: true}).then(s => s.getTracks().forEach(t => t.stop()));
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind === "videoinput");
    const camera = devices.find(d => d.label.startsWith("FRR Camera"));
    if (!camera) return {labels: devices.map(d => d.label)};
    const stream = await navigator.mediaDevices.getUserMedia({video: {deviceId: {exact: camera.deviceId}}});
    const video = document.querySelector("video");
    video.srcObject = stream;
    await video.play();
    let frames = 0, first = 0, last = 0;
    const count = now => { first ||= now; last = now; frames++; video.requestVideoFrameCallback(count); };
    video.requestVideoFrameCallback(count);
    await new Promise(resolve => setTimeout(resolve, 5000));
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const context = canvas.getContext("2d", {willReadFrequently: true});
    context.drawImage(video, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data, mean = [0, 0, 0];
    for (let i = 0; i < data.length; i++) if (i % 4 < 3) mean[i % 4] += data[i] * 4 / data.length;
    const label = stream.getVideoTracks()[0].label;
    document.querySelector("p").textContent = `${label}, ${canvas.width}x${canvas.height}`;
    return {labels: devices.map(d => d.label), label, mean,
            size: [canvas.width, canvas.height], fps: (frames - 1) * 1000 / (last - first)};
})()"""


class Meeting(http.server.BaseHTTPRequestHandler):
    """One page: a camera is given to pages with an address only."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Meeting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def join(address: str, profile: Path, screenshot: str) -> dict[str, Any]:
    async def meet() -> dict[str, Any]:
        async with browse(profile, "--use-fake-ui-for-media-stream") as page:  # which is to say: always allowed
            await page.open(address, 680, 560)
            answer: dict[str, Any] = await page.evaluate(JOIN)
            await page.screenshot(SHARE / screenshot)
            assert not page.faults
            return answer

    return asyncio.run(asyncio.wait_for(meet(), 120))


def test_chromium_gets_frr_camera_by_its_name(machine: Machine, address: str, tmp_path: Path, seen: Seen) -> None:
    picture = np.full((480, 640, 3), COLOUR[::-1], np.uint8)
    cv2.imwrite(str(tmp_path / "plain.png"), picture)
    machine.frrcam("--source", str(tmp_path / "plain.png"))
    got = join(address, tmp_path / "profile", "chromium-colour.png")
    mean = [round(level, 1) for level in got["mean"]]
    seen(f"{got['labels']}; {got['size']} at {got['fps']:.0f} fps; sent {COLOUR}, shown {mean}")
    assert got["label"].startswith("FRR Camera")
    assert got["size"] == [640, 480]
    assert max(abs(shown - sent) for shown, sent in zip(mean, COLOUR, strict=True)) <= LEVELS
    assert got["fps"] >= ENOUGH_FPS


def test_chromium_wakes_the_camera_and_shows_an_enhanced_face(
    machine: Machine, moving_clip: Path, address: str, tmp_path: Path, seen: Seen
) -> None:
    """No program watched before: it is listed all the same, and comes on for the page."""
    machine.play(moving_clip)
    frrcam = machine.frrcam("--device", "Test Source", "--fps", f"{SLOW_FPS}")
    frrcam.until_state("idle", seconds=60)
    got = join(address, tmp_path / "profile", "chromium-face.png")
    status = frrcam.status()
    assert status
    seen(f"{got['label']} at {got['fps']:.0f} fps, {status.faces} face, {status.fresh_share:.0%} of its frames fresh")
    assert got["label"].startswith("FRR Camera")
    assert got["fps"] >= SLOW_FPS / 2
    assert status.faces == 1
    assert status.fresh_share > 0

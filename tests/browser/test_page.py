"""The page in a real browser: what is drawn, what is posted, what is said when the daemon goes.

With FRRCAM_SCREENSHOTS=FOLDER the screenshots are kept there, to be looked at.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from frrcam.control.server import ControlServer
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import NoticeLine, Status
from frrcam.frame import Frame, Image
from frrcam.sinks.preview import PreviewSink
from tests.browser.cdp import Page, browse, find_chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; apt-get install chromium-headless-shell"),
]

BLUE, GREEN = (200, 60, 30), (40, 170, 60)
STATUS = Status(
    state="running",
    camera="Integrated Camera",
    output="FRR Camera (/dev/video10)",
    size=(640, 360),
    fps=29.97,
    period_ms=33.33,
    frames=1234,
    faces=2,
    rung="balanced",
    rung_reason="2 faces would not fit in 33 ms",
    model="frrnet-balanced",
    provider="openvino",
    frame_ms={"p50": 22.4, "p95": 28.9},
    stages_ms={"detect": {"p50": 6.0, "p95": 7.0}, "restore": {"p50": 14.0, "p95": 16.0}},
    notices=[NoticeLine(time=1.0, text="openvino lists no device here; the processor does the work")],
)
PIXEL = "[...document.querySelector('#picture').getContext('2d').getImageData({x}, {y}, 1, 1).data].slice(0, 3)"
STATE = "document.querySelector('#state').textContent"


def plain(colour: tuple[int, int, int]) -> Image:
    return np.full((360, 640, 3), colour, np.uint8)


class Bench:
    """A daemon's outside, with before in blue and after in green."""

    def __init__(self, folder: Path) -> None:
        self.preview, self.settings, self.status = PreviewSink(), LiveSettings(), STATUS
        self.server = ControlServer(self.preview, lambda: self.status, self.settings)
        self.folder = folder
        self.preview.send(plain(GREEN), Frame(plain(BLUE), 0, 0.0, "test"))

    def drive(self, task: Callable[[Page], Awaitable[Any]], width: int = 1200, height: int = 800) -> None:
        """Opens the page, waits for its first picture, runs the task; the page must have thrown nothing."""

        async def run() -> None:
            async with browse(self.folder / "profile") as page:
                await page.open(self.server.url, width, height)
                await page.until("document.querySelector('#veil').hidden")
                await task(page)
                await self.keep(page, os.environ.get("PYTEST_CURRENT_TEST", "page").split("::")[-1].split(" ")[0])
                assert not page.faults

        asyncio.run(asyncio.wait_for(run(), 60))

    async def keep(self, page: Page, name: str) -> None:
        if folder := os.environ.get("FRRCAM_SCREENSHOTS"):
            await page.screenshot(Path(folder) / f"{name}.png")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.server.close()


async def colours(page: Page, *xs: int) -> list[tuple[int, int, int]]:
    """BGR of the canvas at half its height."""
    found = [await page.evaluate(PIXEL.format(x=x, y=180)) for x in xs]
    return [(blue, green, red) for red, green, blue in found]


def near(colour: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) <= 4


def test_before_is_left_of_the_divider_and_after_right(bench: Bench) -> None:
    async def task(page: Page) -> None:
        left, right = await colours(page, 300, 340)
        assert near(left, BLUE)
        assert near(right, GREEN)

    bench.drive(task)


def test_a_new_picture_is_drawn(bench: Bench) -> None:
    async def task(page: Page) -> None:
        red = (30, 30, 220)
        bench.preview.send(plain(red), Frame(plain(BLUE), 1, 0.1, "test"))
        await page.until(f"({PIXEL.format(x=400, y=180)})[0] > 200")
        assert near((await colours(page, 400))[0], red)

    bench.drive(task)


def test_the_divider_is_dragged(bench: Bench) -> None:
    async def task(page: Page) -> None:
        x, y = await page.centre("#divider")
        await page.drag((x, y), (x + 200, y))
        await page.until("document.querySelector('#divider').ariaValueNow > 60")
        left, right = await colours(page, 340, 600)
        assert near(left, BLUE)
        assert near(right, GREEN)

    bench.drive(task)


def test_the_divider_moves_by_keys(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.evaluate("document.querySelector('#divider').focus()")
        await page.key("keyDown", "Home")
        assert await page.evaluate("document.querySelector('#divider').ariaValueNow") == "0"
        assert near((await colours(page, 5))[0], GREEN)
        for _ in range(3):
            await page.key("keyDown", "PageUp")
        assert await page.evaluate("document.querySelector('#divider').ariaValueNow") == "30"

    bench.drive(task)


def test_holding_b_shows_the_plain_picture(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.key("keyDown", "b")
        assert near((await colours(page, 600))[0], BLUE)
        await page.key("keyUp", "b")
        assert near((await colours(page, 600))[0], GREEN)
        assert bench.settings.value.enabled, "comparing changes nothing that the meeting sees"

    bench.drive(task)


def test_controls_post_and_follow(bench: Bench) -> None:
    async def task(page: Page) -> None:
        for selector, event in (("#enabled", "click()"), ("#mirror", "click()")):
            await page.evaluate(f"document.querySelector('{selector}').{event}")
        await page.evaluate("document.querySelector('#strength').focus()")
        await page.key("keyDown", "Home")
        for _ in range(3):
            await page.key("keyDown", "ArrowRight")
        await page.until(
            "fetch('settings').then(r => r.json()).then(s => window.seen = s) && window.seen?.strength === 0.03"
        )
        value = bench.settings.value
        assert (value.enabled, value.mirror, value.strength) == (False, True, 0.03)
        bench.settings.update({"strength": 0.5, "enabled": True})
        await page.until(
            "document.querySelector('#strength').value === '50' && document.querySelector('#enabled').checked"
        )
        assert await page.evaluate("document.querySelector('#strength-value').textContent") == "50 %"

    bench.drive(task)


def test_a_refused_setting_is_said(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.evaluate(
            "(i => { i.value = 99; i.dispatchEvent(new Event('change')); })(document.querySelector('#max-faces'))"
        )
        await page.until("document.querySelector('#refusal').textContent.includes('less than or equal to 16')")
        page.faults.clear()  # the browser logs the refusal itself

    bench.drive(task)


def test_status_is_shown(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.until(f"{STATE} === 'running'")
        text = await page.evaluate("document.body.innerText")
        for words in (
            "Integrated Camera → FRR Camera (/dev/video10)",
            "balanced",
            "2 faces would not fit",
            "openvino lists",
        ):
            assert words in text
        assert await page.evaluate("document.querySelector('#fps').textContent") == "30"
        assert await page.evaluate("document.querySelector('#frame-ms').textContent") == "22"
        bench.status = STATUS.model_copy(update={"state": "no camera"})
        await page.until(f"{STATE} === 'no camera'")
        await page.until("document.querySelector('#spark-p50').getAttribute('points').split(' ').length > 1")

    bench.drive(task)


def test_a_screen_reader_reads_what_is_new_and_nothing_twice(bench: Bench) -> None:
    watch = """
    window.said = [];
    for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert], output"))
      if (region.ariaLive !== "off")
        new MutationObserver((changes) => said.push(...changes.flatMap((change) => [...change.addedNodes].map((node) =>
          node.textContent)))).observe(region, { childList: true, subtree: true });
    """

    async def task(page: Page) -> None:
        await page.until(f"{STATE} === 'running'")
        await page.evaluate(watch)
        for number in (1, 2):
            bench.status = bench.status.model_copy(update={"frames": number})
            await page.until(f"document.querySelector('#footer').textContent.startsWith('{number} ')")
        assert await page.evaluate("said") == []
        notices = [*STATUS.notices, NoticeLine(time=2.0, text="a new one")]
        bench.status = STATUS.model_copy(update={"state": "no camera", "notices": notices})
        await page.until("said.length >= 2")
        said = await page.evaluate("said")
        assert said[0] == "no camera"
        assert len(said) == 2
        assert said[1].endswith("a new one")
        bench.status = STATUS.model_copy(update={"notices": notices[1:]})
        await page.until("document.querySelector('#notices').children.length === 1")

    bench.drive(task)


def test_with_high_contrast_the_switches_are_seen(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
        assert await page.evaluate("getComputedStyle(document.querySelector('#mirror')).appearance") == "auto"
        divider = "getComputedStyle(document.querySelector('#divider'), '::before').backgroundColor"
        assert await page.evaluate(divider) == "rgb(255, 255, 255)"

    bench.drive(task)


def test_with_reduced_motion_nothing_moves(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        takes = "[...document.querySelectorAll('*')].flatMap((one) => [null, '::before'].map((part) => "
        assert await page.evaluate(f"{takes}getComputedStyle(one, part).transitionDuration)).every(s => s === '0s')")

    bench.drive(task)


@pytest.mark.parametrize("size", [(1440, 900), (820, 1100), (380, 800)])
def test_nothing_is_wider_than_the_window(bench: Bench, size: tuple[int, int]) -> None:
    async def task(page: Page) -> None:
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(
            "document.querySelector('#picture').getBoundingClientRect().width > 0.6 * Math.min(innerWidth, 700)"
        )

    bench.drive(task, *size)


def test_every_control_has_a_name(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.call("Accessibility.enable")
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        roles = {"slider", "switch", "button", "spinbutton", "checkbox"}
        names = [
            (node["role"]["value"], node["name"]["value"])
            for node in nodes
            if not node.get("ignored") and node["role"]["value"] in roles
        ]
        assert len(names) >= 6
        assert all(name for _, name in names), names

    bench.drive(task)


def test_a_daemon_that_goes_is_reported_and_its_return_noticed(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.until(f"{STATE} === 'running'")
        port, token = bench.server.url.split(":")[2].split("/")[:2]
        await asyncio.to_thread(bench.server.close)
        await page.until("!document.querySelector('#veil').hidden")
        assert "does not answer" in await page.evaluate("document.querySelector('#veil').innerText")
        await bench.keep(page, "gone")
        bench.server = ControlServer(bench.preview, lambda: bench.status, bench.settings, port=int(port), token=token)
        await page.until(f"document.querySelector('#veil').hidden && {STATE} === 'running'")
        page.faults.clear()  # the browser logs each failed request

    bench.drive(task)


def test_a_hidden_tab_holds_no_connection_and_nothing_is_encoded_for_it(bench: Bench) -> None:
    seen = threading.Event()

    async def task(page: Page) -> None:
        assert bench.server.watchers == 1
        hide = "Object.defineProperty(document, 'hidden', { value: %s, configurable: true });"
        change = "document.dispatchEvent(new Event('visibilitychange'));"
        await page.evaluate(hide % "true" + change)
        while bench.server.watchers:
            await page.evaluate("fetch('status').then(r => r.text())")
        # five tabs more, and one of the six connections that a browser opens to an address is left
        await page.evaluate("window.tabs = [1, 2, 3, 4, 5].map(() => new EventSource('events')); 0")
        await page.until("tabs.every(tab => tab.readyState === EventSource.OPEN)")
        assert await page.evaluate("fetch('status').then(r => r.ok)")
        await page.evaluate("tabs.forEach(tab => tab.close())")
        bench.status = bench.status.model_copy(update={"state": "idle"})
        await page.evaluate(hide % "false" + change)
        while not bench.server.watchers:
            await page.evaluate("fetch('status').then(r => r.text())")
        await page.until(f"{STATE} === 'idle'")
        seen.set()

    bench.drive(task)
    assert seen.is_set()


def test_a_lifelike_page_for_looking_at(bench: Bench) -> None:
    data = pytest.importorskip("skimage.data")
    after = cv2.resize(
        np.ascontiguousarray(data.astronaut()[:288, :, ::-1]), (1280, 720), interpolation=cv2.INTER_CUBIC
    )
    noise = np.random.default_rng(0).normal(0, 14, after.shape)
    before = np.clip(0.6 * cv2.GaussianBlur(after, (0, 0), 4) + noise, 0, 255).astype(np.uint8)
    bench.preview.send(np.asarray(after, np.uint8), Frame(before, 0, 0.0, "test"))

    async def task(page: Page) -> None:
        await page.until("document.querySelector('#picture').width === 960")
        await page.until(f"{STATE} === 'running'")

    bench.drive(task, 1440, 900)


def test_presets_amounts_and_reset_work_together(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.evaluate("document.querySelector('[data-preset=bright]').click()")
        await page.until("document.querySelector('#light').value === '100'")
        assert bench.settings.value.preset == "bright"
        await page.evaluate("document.querySelector('#light-on').click()")
        await page.until("document.querySelector('#light-value').textContent === '0 %'")
        await page.evaluate("document.querySelector('#reset').click()")
        await page.until("document.querySelector('#light').value === '100'")
        assert await page.evaluate("document.querySelector('#light-on').checked")
        assert bench.settings.value.light == 1.0

    bench.drive(task, 1300, 1150)


def test_reach_and_where_are_posted(bench: Bench) -> None:
    async def task(page: Page) -> None:
        await page.evaluate(
            "(r => { r.value = 'picture'; r.dispatchEvent(new Event('change')); })(document.querySelector('#reach'))"
        )
        await page.evaluate("document.querySelector('#where').click()")
        for _ in range(50):
            if (bench.settings.value.reach, bench.settings.value.where) == ("picture", "face"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(bench.settings.value)

    bench.drive(task)

"""JPEG for the preview page: made only while a browser reads it, once for all browsers on the same view."""

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

import cv2
import numpy as np

from frrcam.frame import Image
from frrcam.sinks.preview import Pair

View = Literal["before", "after", "split"]
"""split: before | after in one picture, so that the two halves are always of the same moment."""
VIEWS: tuple[str, ...] = get_args(View)

STREAM_WIDTH = 960
"""Pixels: wider pictures are streamed smaller, since encoding takes time from the same processor."""


def view_of(pair: Pair, view: str, max_width: int | None = None) -> Image:
    """The view as one BGR picture, each picture in it at most `max_width` pixels wide."""
    pictures = {"before": [pair.before], "after": [pair.after], "split": [pair.before, pair.after]}[view]
    shrunk = [_shrunk(picture, max_width) for picture in pictures]
    return shrunk[0] if len(shrunk) == 1 else np.hstack(shrunk)


def jpeg(image: Image, quality: int) -> bytes:
    """The picture as JPEG; `quality` 1–100."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {image.shape} cannot be encoded")
    return data.tobytes()


class Encoder:
    """Encodes in one thread of its own. All methods but close() belong to the event loop."""

    def __init__(self, quality: int = 80) -> None:
        self.encoded = 0
        """Pictures encoded since the start."""
        self._quality = quality
        self._thread = ThreadPoolExecutor(1, "frrcam-encode", initializer=_give_way)
        self._newest: dict[str, tuple[int, asyncio.Future[bytes]]] = {}

    async def stream_picture(self, pair: Pair, view: str) -> bytes:
        """JPEG of the view, small enough to stream. Those who ask for the same picture share one encoding."""
        number, future = self._newest.get(view, (0, None))
        if future is None or number != pair.number:
            future = self._submit(pair, view, STREAM_WIDTH)
            self._newest[view] = pair.number, future
        return await asyncio.shield(future)

    async def snapshot(self, pair: Pair, view: str) -> bytes:
        """JPEG of the view at its full size."""
        return await self._submit(pair, view, None)

    def close(self) -> None:
        """Drops what is queued."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, pair: Pair, view: str, max_width: int | None) -> asyncio.Future[bytes]:
        self.encoded += 1
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, lambda: jpeg(view_of(pair, view, max_width), self._quality))


def _give_way() -> None:
    """The networks come first: on Linux, where priorities belong to threads, this one runs on what they leave."""
    if sys.platform == "linux":
        own = os.getpriority(os.PRIO_PROCESS, 0)  # under nice it may be more, and to take less is not allowed
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(10, own))


def _shrunk(image: Image, max_width: int | None) -> Image:
    height, width = image.shape[:2]
    if max_width is None or width <= max_width:
        return image
    size = (max_width, max(1, round(height * max_width / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

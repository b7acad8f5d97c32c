import asyncio
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from frrcam.control.encoder import STREAM_WIDTH, Encoder, jpeg, view_of
from frrcam.frame import Image
from frrcam.sinks.preview import Pair


def pair(width: int = 32, height: int = 24, number: int = 1) -> Pair:
    return Pair(np.full((height, width, 3), 10, np.uint8), np.full((height, width, 3), 240, np.uint8), number)


def decoded(data: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_split_is_before_then_after() -> None:
    image = view_of(pair(), "split")
    assert image.shape == (24, 64, 3)
    assert (image[:, :32] == 10).all()
    assert (image[:, 32:] == 240).all()


@pytest.mark.parametrize(("view", "value"), [("before", 10), ("after", 240)])
def test_one_side(view: str, value: int) -> None:
    image = view_of(pair(), view)
    assert image.shape == (24, 32, 3)
    assert (image == value).all()


def test_wide_pictures_are_streamed_smaller_and_kept_in_snapshots() -> None:
    async def both() -> tuple[bytes, bytes]:
        encoder = Encoder()
        try:
            wide = pair(1920, 1080)
            return await encoder.stream_picture(wide, "split"), await encoder.snapshot(wide, "split")
        finally:
            encoder.close()

    streamed, snapshot = asyncio.run(both())
    assert decoded(streamed).shape == (540, 2 * STREAM_WIDTH, 3)
    assert decoded(snapshot).shape == (1080, 3840, 3)


def test_the_same_picture_is_encoded_once_for_all_who_watch() -> None:
    async def watch() -> int:
        encoder = Encoder()
        try:
            await asyncio.gather(*(encoder.stream_picture(pair(), "after") for _ in range(5)))
            assert encoder.encoded == 1
            await encoder.stream_picture(pair(number=2), "after")
            await encoder.stream_picture(pair(number=2), "split")
            return encoder.encoded
        finally:
            encoder.close()

    assert asyncio.run(watch()) == 3


def test_quality_costs_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(jpeg(noise, 95)) > 2 * len(jpeg(noise, 20))


PRIORITY = """
import asyncio, os, threading
import numpy as np
from frrcam.control.encoder import Encoder
from frrcam.sinks.preview import Pair
encoder, picture = Encoder(), np.zeros((8, 8, 3), np.uint8)
asyncio.run(encoder.snapshot(Pair(picture, picture, 1), "after"))
(thread,) = [thread for thread in threading.enumerate() if thread.name.startswith("frrcam-encode")]
print(os.getpriority(os.PRIO_PROCESS, thread.native_id))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
@pytest.mark.parametrize(("nice", "nicer"), [(5, 10), (15, 15)])
def test_the_networks_come_first_and_what_is_nicer_already_stays_so(nice: int, nicer: int) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    command = ["nice", "-n", str(nice - own), sys.executable, "-c", PRIORITY]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert int(ran.stdout) == max(nicer, own)

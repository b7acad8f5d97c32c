"""Tiny clips for tests: picture number i is one grey level all over, but for a bright corner that tells which way is
up."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from frrcam.frame import Image

STEP = 8


def grey(number: int) -> int:
    return 40 + STEP * (number % 20)


def picture(number: int, size: tuple[int, int] = (96, 64)) -> Image:
    image = np.full((size[1], size[0], 3), grey(number), np.uint8)
    image[: size[1] // 4, : size[0] // 4] = 250
    return image


def number_of(image: Image) -> int:
    """Which of the first twenty pictures this is, by the level in its middle."""
    return round((int(image[image.shape[0] // 2, image.shape[1] // 2].mean()) - 40) / STEP)


def write_clip(
    path: Path,
    count: int = 10,
    *,
    size: tuple[int, int] = (96, 64),
    rate: Fraction = Fraction(25),
    rotation: int = 0,
    times: Sequence[int] | None = None,
    noise: bool = False,
    index_first: bool = False,
) -> Path:
    """`times` are in thousandths of a second; without them, `rate` pictures a second. Noise makes the file big."""
    rng = np.random.default_rng(0)
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "4", "g": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(count):
            image = rng.integers(0, 255, (size[1], size[0], 3), np.uint8) if noise else picture(number, size)
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path

"""Tiny clips, made and read back by PyAV."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from frrcam.frame import Image


@dataclass(frozen=True)
class Clip:
    """What a file holds."""

    images: list[Image]
    times: list[float]
    rate: Fraction | None
    pixel_format: str | None
    colour: tuple[int, int]
    """(colorspace, color_range) as FFmpeg numbers them."""
    duration: float
    audio: list[bytes]
    audio_start: float


def read_clip(path: Path) -> Clip:
    """Decodes the pictures, copies the sound's packets."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video))
        duration, rate = (container.duration or 0) / 1_000_000, video.average_rate
        pixel_format = video.codec_context.pix_fmt
    packets: list[bytes] = []
    start = 0.0
    with av.open(str(path)) as container:
        for stream in container.streams.audio[:1]:
            found = [packet for packet in container.demux(stream) if packet.dts is not None]
            packets = [bytes(packet) for packet in found]
            start = float((found[0].pts or 0) * (found[0].time_base or Fraction(0)))
    return Clip(
        [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames],
        [frame.time for frame in frames],
        rate,
        pixel_format,
        (int(frames[0].colorspace), int(frames[0].color_range)),
        duration,
        packets,
        start,
    )


def write_clip(
    path: Path, images: Iterable[Image], *, fps: int = 25, audio_codec: str | None = "aac", video_offset: int = 0
) -> None:
    """An MPEG-4 clip with a second of a tone; its first picture comes `video_offset` periods late."""
    images = list(images)
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", fps, width=width, height=height)
        assert isinstance(video, VideoStream)
        audio = container.add_stream(audio_codec, 44100, bit_rate=96_000) if audio_codec else None
        for index, image in enumerate(images):
            frame = VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index + video_offset, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if isinstance(audio, AudioStream):
            container.mux([packet for frame in _tone() for packet in audio.encode(frame)])
            container.mux(audio.encode(None))


def gradient(width: int, height: int, index: int = 0) -> Image:
    """A smooth coloured picture, another for each index."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes: Sequence[np.ndarray] = (x / width, y / height, (x + y) / (width + height))
    return np.stack([20 + 150 * plane + 3 * index for plane in planes], axis=-1).astype(np.uint8)


def _tone() -> Iterable[AudioFrame]:
    samples = (0.3 * np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100)).astype(np.float32)
    for start in range(0, 44032, 1024):
        chunk = np.tile(samples[start : start + 1024], (2, 1))
        frame = AudioFrame.from_ndarray(chunk, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        yield frame

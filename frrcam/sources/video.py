"""Clips, decoded by FFmpeg's libraries through PyAV: upright, in order, with their own timestamps."""

import re
import threading
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream
from av.video.reformatter import ColorTrc, Interpolation
from av.video.stream import VideoStream

from frrcam.closing import Closing
from frrcam.errors import SourceLost, SourceUnusable
from frrcam.frame import Frame, Image
from frrcam.limits import check_read_size, is_rate
from frrcam.media.clip import REJOINED_S, STILL, Look, moving_streams, open_clip
from frrcam.media.display import matrix_of, orientation_of, primaries_of
from frrcam.sources.base import SourceInfo
from frrcam.sources.files import check_file

FALLBACK_FPS = 30.0
"""Where a clip tells no rate, or one outside 1 … 240."""
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Without these, FFmpeg's conversion to BGR is eight times as fast and one grey level too dark."""
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_UNTOLD = (0, 2, 3)
"""Primaries and transfers that say nothing."""
THREADS = 2
"""For decoding. More would only take cores from the networks."""


class VideoSource(Closing):
    """The pictures of a clip's first moving video stream: BGR, turned and mirrored as its display matrix says.

    Cover art, still images and timed thumbnails are not moving. An untagged clip of more than 576 lines is BT.709, any
    other BT.601, as players have it.

    Opening decodes the first picture, so that a clip without one is refused at once. `timestamp` follows the clip's own
    clock from 0 (variable rates stay variable) and never goes back. A damaged stretch costs its own pictures and no
    more. With `loop`, the clip starts over at its end; index and timestamps go on, and it never ends.
    `exact` converts colours without the usual loss of one grey level, in 15 ms a 720p picture instead of 2: for files
    that are kept.

    Raises SourceNotFound, SourceForbidden, or SourceUnusable (folder, empty, not a clip, truncated before the first
    picture, no video stream, a side outside 32 … 8192).
    """

    def __init__(self, path: str | Path, *, loop: bool = False, exact: bool = False) -> None:
        self._path, self._loop, self._exact = Path(path), loop, exact
        self._lock = threading.Lock()
        self._run: _Run | None = _Run(self._path, self._exact)
        stream = self._run.stream
        self.frames: int | None = stream.frames or None
        """How many pictures the clip says it has, where it says."""
        self.start = self._run.start
        """Seconds on the clip's own clock, which its sound has too, at which the first picture is; None without one."""
        self.look = self._run.look
        self.lost = self._run.lost
        """What its pictures, as they come here, and its sound do not hold, for people."""
        height, width = self._run.first.shape[:2]
        self.info = SourceInfo(
            self._path.name, width, height, self._run.fps, False, stream.codec_context.name, ends=not loop
        )
        self._index, self._timestamp, self._base = 0, 0.0, 0.0

    def read(self) -> Frame | None:
        """The next picture; None at the end. Raises SourceLost, naming the place, where a truncated clip breaks off."""
        with self._lock:
            if self._run is None:
                raise SourceLost(f"{self.info.name}: closed")
            picture = self._run.next()
            if picture is None and self._loop:
                self._run.close()
                self._run = _Run(self._path, self._exact)
                self._base = self._timestamp + 1 / self.info.fps
                picture = self._run.next()
            if picture is None:
                return None
            image, time = picture
            if self._base + time < self._timestamp - REJOINED_S:
                self._base = self._timestamp + 1 / self.info.fps - time
            self._timestamp = max(self._timestamp, self._base + time)
            self._index += 1
            return Frame(image, self._index - 1, self._timestamp, self.info.name)

    def close(self) -> None:
        with self._lock:
            if self._run is not None:
                self._run.close()
                self._run = None


class _Run:
    """One run through a clip, from its first picture to its last."""

    def __init__(self, path: Path, exact: bool) -> None:
        check_file(path, "clip")
        self._scaling = EXACT if exact else None
        self._path, self._count, self._time, self._last_s = path, 0, 0.0, 0.0
        self._container = open_clip(path)
        try:
            self.stream = _video_stream(self._container, path)
            self._truncated = _points_past_end(self.stream, path)
            fps = float(self.stream.average_rate or self.stream.guessed_rate or 0)
            self.fps = fps if is_rate(fps) else FALLBACK_FPS
            self._frames = self._decode()
            frame = next(self._frames, None)
            if frame is None:
                raise SourceUnusable(f"{path}: no picture in it can be decoded; the clip is truncated or damaged")
            self._start, self._coded_size = frame.pts or 0, (frame.width, frame.height)
            self.start = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            self._matrix = matrix_of(frame.colorspace, frame.height)
            self.look = _look(self.stream, frame, self._matrix)
            self.lost = _lost(self._container, self.stream, frame, path)
            self._ahead: tuple[Image, float] | None = self._picture(frame)
            self.first = self._ahead[0]
        except BaseException:
            self._container.close()
            raise

    def next(self) -> tuple[Image, float] | None:
        """The next picture and its time in seconds from the first; None at the end. Raises SourceLost."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            frame = next(self._frames, None)
            if frame is None:
                if self._truncated or self._time + self._last_s + 1 < _stated_seconds(self.stream):
                    at = f"picture {self._count}, {self._time:.1f} s"
                    raise SourceLost(f"{self._path}: the clip breaks off after {at}: it is truncated or damaged")
                return None
            ahead = self._picture(frame)
        self._count += 1
        self._time = ahead[1]
        return ahead

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        try:
            for packet in self._container.demux(self.stream):
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    continue
        except (av.error.FFmpegError, OSError):
            self._truncated = True

    def _picture(self, frame: av.VideoFrame) -> tuple[Image, float]:
        width, height = self._coded_size
        if not frame.format.is_rgb:
            frame.colorspace = self._matrix
        bgr = frame.reformat(width, height, "bgr24", interpolation=self._scaling, threads=1)
        image = orientation_of(frame).apply(np.asarray(bgr.to_ndarray(), np.uint8))
        self._last_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
        if frame.pts is None or frame.time_base is None:
            return image, self._count / self.fps
        return image, float((frame.pts - self._start) * frame.time_base)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream of moving pictures, whatever stands before it."""
    moving = moving_streams(container)
    if not moving:
        has = "only sound" if container.streams.audio else "no video"
        if container.streams.video:
            has = "no moving picture, only a still one, like the cover of an album,"
        raise SourceUnusable(f"{path}: there is {has} in it")
    stream = moving[0]
    if stream.codec_context is None:
        raise SourceUnusable(f"{path}: its video is in a format that this FFmpeg cannot decode")
    check_read_size(stream.codec_context.width, stream.codec_context.height, path)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = THREADS
    return stream


def _look(stream: VideoStream, frame: av.VideoFrame, matrix: int) -> Look:
    aspect, context = stream.sample_aspect_ratio or Fraction(1), stream.codec_context
    primaries, transfer = context.color_primaries, context.color_trc
    return Look(
        1 / aspect if orientation_of(frame).transposed else aspect,
        primaries_of(frame.height) if primaries in _UNTOLD else primaries,
        Look.transfer if transfer in _UNTOLD else transfer,
        matrix,
    )


def _lost(container: InputContainer, taken: VideoStream, frame: av.VideoFrame, path: Path) -> list[str]:
    lost = []
    if (bits := frame.format.components[0].bits) > 8:
        lost.append(f"its {bits} bits a colour become 8{', in which HDR may show steps' * (frame.color_trc in _HDR)}")
    if frame.interlaced_frame:
        progressive = f"ffmpeg -i '{path}' -vf bwdif -c:a copy '{path.stem}-progressive.mkv'"
        lost.append(f"it is interlaced, which players will not know; better convert it first: {progressive}")
    left_out = [words for words, streams in _other_streams(container, taken) if streams]
    if left_out:
        lost.append(f"its {' and '.join(left_out)} {'are' if left_out[-1].endswith('s') else 'is'} left out")
    return lost


def _other_streams(container: InputContainer, taken: VideoStream) -> list[tuple[str, list[Stream]]]:
    """What a clip holds besides its pictures and its sound, by name."""
    others = [stream for stream in container.streams.video if stream.index != taken.index]
    still = [stream for stream in others if stream.disposition & STILL]
    moving = [stream for stream in others if not stream.disposition & STILL]
    # an MP4's chapter titles are a text stream too
    data = [stream for stream in container.streams.data if stream.codec_context or not container.chapters()]
    number = f"{len(moving)} further video streams" if len(moving) > 1 else "second video stream"
    return [
        ("subtitles", list(container.streams.subtitles)),
        (number, list(moving)),
        ("cover picture", list(still)),
        ("data streams", list(data)),
        ("attachments", list(container.streams.attachments)),
    ]


def _points_past_end(stream: VideoStream, path: Path) -> bool:
    """True if the clip's index names bytes that the file does not have: an MP4 cut short plays on in silence."""
    entries = stream.index_entries
    return bool(entries) and max(entry.pos + entry.size for entry in entries) > path.stat().st_size


def _stated_seconds(stream: VideoStream) -> float:
    """How long the container says its video is, for the containers without a full index; 0 where it does not say."""
    if stream.frames and stream.average_rate and len(stream.index_entries) <= 1:
        return float(stream.frames / stream.average_rate)
    stated = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # a tag may say anything
    return int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) if stated else 0.0

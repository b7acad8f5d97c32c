"""Writes what is published to a video file, with the sound and timing of the clip it came from."""

import contextlib
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream

from frrcam.closing import Closing
from frrcam.errors import SinkLost, SinkUnusable, UsageError
from frrcam.frame import Frame, Image, Payload
from frrcam.media.clip import REJOINED_S, Look, open_clip
from frrcam.media.display import BT601
from frrcam.sinks.base import SinkInfo
from frrcam.sinks.files import make_part, write_error

if TYPE_CHECKING:
    from av.container.core import Chapter

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""File name ending → container. Each takes H.264 and any timing."""

_FAILURES = (FFmpegError, OSError, ValueError)
_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
_KEPT_TAGS = (
    "artist",
    "comment",
    "copyright",
    "creation_time",
    "date",
    "description",
    "location",
    "make",
    "model",
    "title",
)
"""What a clip says of itself and is kept, as a picture's EXIF is: names that FFmpeg has for it in every container."""
_PHONES = {
    "com.apple.quicktime.creationdate": "date",
    "com.apple.quicktime.location.iso6709": "location",
    "com.apple.quicktime.make": "make",
    "com.apple.quicktime.model": "model",
}
"""The same in phones' own names."""
_NAMES = ("language", "title")
"""What tells one sound from another."""
_AUDIO_LEAD = 0.5
"""Seconds of sound written ahead of the pictures, as players like it interleaved."""

Opener = Callable[[str, str], OutputContainer]
"""(path, muxer) → a container open for writing."""


def _open_output(path: str, muxer: str) -> OutputContainer:
    return av.open(path, "w", format=muxer)


class VideoSink(Closing):
    """One H.264 file; MPEG-4 Part 2 where FFmpeg was built without x264.

    It is written to a part file beside its final name and renamed by a successful close(), so that a file under the
    final name is whole. `with` calls abort() when the body raises.

    Pictures keep the time of `Frame.timestamp`, so a clip of variable rate stays in step with its sound; a timestamp
    that runs backwards (a clip played again, a source re-opened) goes on one period after the last.
    Colours are limited range by the matrix of `look`, tagged as such. An odd side is filled up to an even one by
    repeating the last column or row: players and phones show H.264 in 4:2:0 only, and that has even sides.

    Raises at once: UsageError (ending, size), SinkNotFound (no such folder), SinkForbidden, SinkUnusable (a folder of
    that name, sound the container cannot hold). Later, from send() and close(): SinkUnusable when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        audio_from: Path | None = None,
        audio_start: Fraction | None = None,
        look: Look | None = None,
        crf: int = 18,
        preset: str = "veryfast",
        opener: Opener = _open_output,
        x264: bool = "libx264" in av.codecs_available,
    ) -> None:
        """`audio_start`: seconds on the clock of `audio_from` where the first picture is; None: where its video begins.

        `crf` (0–51, lower is better) and `preset` are x264's.
        """
        muxer = _muxer_of(path)
        if width < 1 or height < 1 or not 0 < fps <= 1000:
            raise UsageError(f"{path}: cannot write pictures of {width}x{height} at {fps:g} fps")
        self.info = SinkInfo(path.name, str(path), reopens=False)
        self._path, self._width, self._height = path, width, height
        self._part = make_part(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._anchor: float | None = None
        self._last_pts = -1
        self._closed = False
        look = look or Look()
        self._matrix = look.matrix
        options = {"crf": str(crf), "preset": preset} if x264 else {"qscale": str(max(2, crf // 6))}
        self._held = contextlib.ExitStack()
        self._held.callback(self._part.unlink, missing_ok=True)
        with self._cleanly():
            # absolute: FFmpeg takes what stands before a colon for a protocol, as the hour in 18:05.mp4
            self._container = opener(str(self._part.absolute()), muxer)
            self._held.callback(_close_anyway, self._container)
            self._video = self._add_video(muxer, look, options, x264)
            self._audio = self._add_audio(muxer, audio_from, audio_start) if audio_from else iter(())
            self._waiting = next(self._audio, None)
            try:
                self._container.start_encoding()
            except ValueError as error:  # some a container turns away only now
                if audio_from is None or self._waiting is None:
                    raise
                raise self._cannot_hold(muxer, audio_from, self._waiting.stream) from error

    def convert(self, image: Image) -> Payload:
        """I420 (H·3/2 × W), each side filled up to an even one."""
        if self._width % 2 or self._height % 2:
            image = np.asarray(
                cv2.copyMakeBorder(image, 0, self._height % 2, 0, self._width % 2, cv2.BORDER_REPLICATE), np.uint8
            )
        if self._matrix == BT601:  # ten times as fast
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        planes = VideoFrame.from_ndarray(image, format="bgr24").reformat(
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
            interpolation=_TO_YUV,
            threads=1,
        )
        return np.asarray(planes.to_ndarray(), np.uint8)

    def send(self, payload: Payload, original: Frame) -> None:
        """Adds one picture at its own time. Raises SinkLost once closed, SinkUnusable when the disk is full."""
        if self._closed:
            raise SinkLost(f"{self._path}: the file is closed")
        with self._cleanly():
            frame = self._as_video_frame(payload)
            frame.pts = self._pts_of(original.timestamp)
            frame.time_base = self._time_base
            frame.duration = round(1 / self._rate / self._time_base)
            self._container.mux(self._video.encode(frame))
            self._mux_audio(until=float(frame.pts * self._time_base) + _AUDIO_LEAD)

    def close(self) -> None:
        """Completes the file and gives it its name; a sink that was sent nothing leaves nothing. Idempotent."""
        if self._closed:
            return
        if self._last_pts < 0:
            self.abort()
            return
        with self._cleanly():
            self._container.mux(self._video.encode(None))
            self._mux_audio(until=float("inf"))
            self._container.close()
            os.replace(self._part, self._path)
        self.abort()

    def abort(self) -> None:
        """Gives up: removes the part file and leaves whatever had the final name as it was. Idempotent."""
        self._closed = True
        self._held.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _add_video(self, muxer: str, look: Look, options: dict[str, str], x264: bool) -> VideoStream:
        # Matroska counts milliseconds; MPEG-4 Part 2 allows 16 bits of ticks a second. A multiple of the rate is exact.
        numerator = self._rate.numerator
        ticks = 1000 if muxer == "matroska" else min(numerator * max(1, 65535 // numerator), 65535)
        self._time_base = Fraction(1, ticks)
        stream = self._container.add_stream("libx264" if x264 else "mpeg4", self._rate, options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self._width + self._width % 2, self._height + self._height % 2
        context.pix_fmt = "yuv420p"
        context.time_base = self._time_base
        context.max_b_frames = 0  # re-ordered pictures would make the file's length wrong where the rate varies
        context.color_range, context.colorspace = ColorRange.MPEG, look.matrix
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.sample_aspect_ratio = look.pixel_aspect
        return stream

    def _add_audio(self, muxer: str, source: Path, start: Fraction | None) -> Iterator["Packet[Stream]"]:
        """Adds every sound of `source` that FFmpeg knows and returns their packets, in time with its first picture.

        What the clip says of itself goes along, by when and where it was taken albums sort it, and so do its chapters.
        """
        container = self._held.enter_context(open_clip(source))
        for name, text in container.metadata.items():
            name = name.lower()  # Matroska's are in capitals
            if (known := _PHONES.get(name, name)) in _KEPT_TAGS:
                self._container.metadata[known] = text
        self._container.set_chapters(_shifted(container.chapters(), start or Fraction(0)))
        streams: dict[int, Stream] = {}
        for stream in container.streams.audio:
            if stream.codec_context is None:
                continue  # FFmpeg does not know it: phones' spatial sound, which has a plain one beside it
            try:
                streams[stream.index] = added = self._container.add_stream_from_template(stream)
                if (layout := stream.codec_context.layout).name.endswith(" channels"):
                    # not known, as in AVI, where MP4 needs it when the file is completed: the usual one
                    added.codec_context.layout = f"{layout.nb_channels}c"
                added.metadata.update({name: stream.metadata[name] for name in _NAMES if name in stream.metadata})
            except ValueError as error:
                raise self._cannot_hold(muxer, source, stream) from error
        return _copied_packets(container, streams, start) if streams else iter(())

    def _cannot_hold(self, muxer: str, source: Path, sound: Stream) -> SinkUnusable:
        convert = f"convert it first: ffmpeg -i '{source}' -c:v copy -c:a flac '{source.stem}-flac.mkv'"
        return SinkUnusable(
            f"{self._path}: a {self._path.suffix} file cannot hold the sound of {source} "
            f"({sound.codec_context.name}); {convert if muxer == 'matroska' else 'write a .mkv file instead'}"
        )

    def _mux_audio(self, until: float) -> None:
        while self._waiting is not None:
            if (self._waiting.dts or 0) * (self._waiting.time_base or 0) > until:
                return
            self._container.mux_one(self._waiting)
            self._waiting = next(self._audio, None)

    def _pts_of(self, timestamp: float) -> int:
        period = 1 / float(self._rate)
        if self._anchor is None:
            self._anchor = timestamp
        last = self._last_pts * float(self._time_base)
        if self._last_pts >= 0 and timestamp - self._anchor < last - period / 2:
            self._anchor = timestamp - last - period
        pts = max(round((timestamp - self._anchor) / float(self._time_base)), self._last_pts + 1)
        self._last_pts = pts
        return pts

    def _as_video_frame(self, payload: Payload) -> VideoFrame:
        frame = VideoFrame.from_ndarray(payload, format="yuv420p")
        frame.colorspace, frame.color_range = self._matrix, ColorRange.MPEG
        return frame

    @contextlib.contextmanager
    def _cleanly(self) -> Iterator[None]:
        """Whatever fails inside removes the part file; what FFmpeg and the system say becomes a SinkError."""
        try:
            yield
        except _FAILURES as error:
            self.abort()
            raise write_error(self._path, error) from error
        except BaseException:
            self.abort()
            raise


def _muxer_of(path: Path) -> str:
    try:
        return MUXERS[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"{path}: a video is written as {', '.join(MUXERS)}, not {path.suffix or 'no ending'}"
        ) from None


def _close_anyway(container: OutputContainer) -> None:
    with contextlib.suppress(*_FAILURES):
        container.close()


def _shifted(chapters: list["Chapter"], start: Fraction) -> list["Chapter"]:
    """The chapters on a clock that is 0 at `start`."""
    moved: list[Chapter] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        begin, end = (max(0, round(chapter[key] - start / base)) for key in ("start", "end"))
        if end > begin:
            text = chapter["metadata"]
            moved.append({"id": chapter["id"], "start": begin, "end": end, "time_base": base, "metadata": text})
    return moved


def _copied_packets(
    container: InputContainer, streams: dict[int, Stream], start: Fraction | None
) -> Iterator["Packet[Stream]"]:
    video = container.streams.video
    if start is None:
        start = (video[0].start_time or 0) * (video[0].time_base or Fraction(0)) if video else Fraction(0)
    shifts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for packet in container.demux([container.streams[index] for index in streams]):
        if packet.dts is None:
            continue
        index = packet.stream.index
        shift = shifts.setdefault(index, round(start / packet.time_base))
        end = ends.get(index, packet.dts - shift)
        if (packet.dts - shift - end) * packet.time_base < -REJOINED_S:  # its clock was reset: go on
            shift = shifts[index] = packet.dts - end
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        ends[index] = packet.dts + (packet.duration or 0)
        packet.stream = streams[index]
        yield packet

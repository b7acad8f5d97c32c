"""What has not changed is copied: the file as it is, or a clip's packets into another container."""

import shutil
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Stream

from frrcam.errors import SourceError
from frrcam.media.clip import moving_streams, open_clip
from frrcam.sinks.files import written_whole
from frrcam.sinks.video import MUXERS
from frrcam.sources.video import VideoSource

_SAME = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".m4v": ".mp4", ".heif": ".heic"}
"""Endings that are other names of one format."""

_PLAYED = {
    "mp4": {"h264", "hevc", "av1", "mpeg4"},
    "mov": {"h264", "hevc", "mpeg4", "mjpeg", "prores"},
}
"""Codecs that players know in a container; Matroska has any."""


class _OtherwiseShownError(ValueError):
    """The copy is not what players would show of the original."""


def same_format(source: Path, target: Path) -> bool:
    """True if the two names' endings mean one format."""
    one, other = source.suffix.lower(), target.suffix.lower()
    return _SAME.get(one, one) == _SAME.get(other, other)


def copy_file(source: Path, target: Path) -> None:
    """The same bytes under another name, whole or not at all. Raises SinkError."""
    with written_whole(target) as part:
        shutil.copyfile(source, part)


def copy_clip(source: Path, target: Path) -> bool:
    """The clip's film and sound, packet by packet, in the container of the target's name; whole or not at all.

    False, and nothing is written, where that container does not hold them or would show them otherwise. Raises
    SinkError.
    """
    if same_format(source, target):
        copy_file(source, target)
        return True
    try:
        with written_whole(target) as part:
            _remux(source, part, MUXERS[target.suffix.lower()])
            if not _shows_the_same(source, part):
                raise _OtherwiseShownError
    except (FFmpegError, SourceError, ValueError):
        return False
    return True


def _remux(source: Path, part: Path, muxer: str) -> None:
    with open_clip(source) as container, av.open(str(part.absolute()), "w", format=muxer) as output:
        film = moving_streams(container)[:1]
        if muxer in _PLAYED and film[0].codec_context.name not in _PLAYED[muxer]:
            raise _OtherwiseShownError
        sound = [stream for stream in container.streams.audio if stream.codec_context is not None]
        output.metadata.update(container.metadata)
        output.set_chapters(container.chapters())
        streams: dict[int, Stream] = {}
        for stream in (*film, *sound):
            streams[stream.index] = added = output.add_stream_from_template(stream)
            added.metadata.update(stream.metadata)
        for packet in container.demux([*film, *sound]):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux_one(packet)


def _shows_the_same(source: Path, copy: Path) -> bool:
    """Compares the tags of the two, and their first pictures: a container may not hold a turn, or a codec."""
    with VideoSource(source) as one, VideoSource(copy) as other:
        first, second = one.read(), other.read()
        if first is None or second is None or one.look != other.look:
            return False
        return first.image.shape == second.image.shape and bool((first.image == second.image).all())

"""PipeWire as a sink, without PipeWire: tests/vm/booted/ has the real one."""

import ctypes.util
import errno
import struct

import cv2
import numpy as np
import pytest

from frrcam.errors import SinkLost, SinkNotFound, SinkUnusable, UsageError
from frrcam.frame import Frame
from frrcam.linux import pipewire_stream as stream
from frrcam.sinks.base import Sink, WatchedSink
from frrcam.sinks.pipewire import PipeWireSink
from tests.sinks.fakes import FakeStream


def open_sink(width: int = 64, height: int = 48) -> tuple[PipeWireSink, FakeStream]:
    made: list[FakeStream] = []

    def opener(label: str, width: int, height: int, fps: float) -> FakeStream:
        made.append(FakeStream((label, width, height, fps)))
        return made[-1]

    return PipeWireSink(width, height, 30.0, "FRR Camera", opener=opener), made[0]


def frame(width: int = 64, height: int = 48) -> Frame:
    image = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(image, 0, 0.0, "test")


def test_a_picture_goes_out_as_i420() -> None:
    sink, fake = open_sink()
    contract: Sink = sink
    picture = frame()
    contract.send(contract.convert(picture.image), picture)
    contract.close()
    assert fake.opened == ("FRR Camera", 64, 48, 30.0)
    assert (sink.info.name, sink.info.where, sink.info.keeps) == ("FRR Camera", "PipeWire node 36", 1)
    assert np.array_equal(fake.offered[0], cv2.cvtColor(picture.image, cv2.COLOR_BGR2YUV_I420))
    assert fake.closed == 1


def test_an_odd_side_is_cut_off() -> None:
    sink, fake = open_sink(65, 49)
    assert fake.opened[1:3] == (64, 48)
    assert sink.convert(frame(65, 49).image).shape == (72, 64)
    with pytest.raises(SinkUnusable, match="open for 65x49, not 64x48"):
        sink.convert(frame(64, 48).image)


@pytest.mark.parametrize("size", [(1, 48), (64, 0), (8194, 48)])
def test_a_size_that_cannot_be(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="each side 2 to 8192"):
        open_sink(*size)


def test_it_tells_who_watches() -> None:
    sink, fake = open_sink()
    assert isinstance(sink, WatchedSink)
    assert not sink.watching(0)
    fake.readers = True
    assert sink.watching(0)


def test_without_pipewire_it_is_lost() -> None:
    sink, fake = open_sink()
    picture = frame()
    fake.fault = "PipeWire has ended"
    with pytest.raises(SinkLost, match="FRR Camera \\(PipeWire node 36\\) is gone: PipeWire has ended"):
        sink.send(sink.convert(picture.image), picture)
    with pytest.raises(SinkLost, match="PipeWire has ended"):
        sink.watching(0)


def test_not_installed_is_one_line_with_the_package() -> None:
    with pytest.raises(SinkNotFound, match=r"sudo apt install libpipewire-0\.3-0 pipewire wireplumber"):
        stream.library("libpipewire-of-no-system.so.0")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EHOSTDOWN, "does not run in this session.*systemctl --user start pipewire wireplumber"),
        (errno.ECONNREFUSED, "does not run in this session"),
        (errno.EACCES, "Permission denied; see: systemctl --user status pipewire"),
    ],
)
def test_a_refusal_is_one_line_with_the_way_out(number: int, words: str) -> None:
    with pytest.raises(SinkNotFound, match=words):
        raise stream.refusal(number)


def test_too_old_a_library_is_one_line() -> None:
    name = ctypes.util.find_library("c")  # as one that has none of the functions
    assert name
    with pytest.raises(SinkNotFound, match=r"too old \(.* without pw_init\): install 0\.3\.34 or later"):
        stream.library(name)


def decode(data: bytes) -> object:
    """A pod as PipeWire reads it: int, (int, int), list of a choice's numbers, or dict of an object."""
    size, kind = struct.unpack_from("II", data)
    body = data[8 : 8 + size]
    assert len(body) == size
    match kind:
        case stream.ID | stream.INT:
            return struct.unpack("I", body)[0]
        case stream.RECTANGLE | stream.FRACTION:
            return struct.unpack("II", body)
        case stream.CHOICE:
            kind, flags, size, child = struct.unpack_from("IIII", body)
            assert (flags, size, child) == (0, 4, stream.INT)
            return [kind, *struct.unpack_from(f"{(len(body) - 16) // 4}I", body, 16)]
        case stream.OBJECT:
            found: dict[object, object] = {"kind": struct.unpack_from("II", body)}
            at = 8
            while at < len(body):
                (key, flags), value = struct.unpack_from("II", body, at), body[at + 8 :]
                assert flags == 0
                found[key] = decode(value)
                at += 8 + 8 + -(-struct.unpack_from("I", value)[0] // 8) * 8
            return found
    raise AssertionError(kind)


def test_what_is_asked_of_pipewire() -> None:
    """The numbers are those of the headers in spa/param/; pw-dump shows the same in words."""
    assert decode(stream.video_format(640, 480, 29.97)) == {
        "kind": (0x40003, 3),
        1: 2,
        2: 1,
        0x20001: 2,
        0x20003: (640, 480),
        0x20004: (2997, 100),
    }
    assert decode(stream.buffers(640, 480)) == {
        "kind": (0x40004, 5),
        1: [1, 4, 2, 16],
        2: 1,
        3: 460800,
        4: 640,
        6: [4, 6],
    }
    assert len(stream.video_format(640, 480, 30.0)) % 8 == len(stream.buffers(640, 480)) % 8 == 0

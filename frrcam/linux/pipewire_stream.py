"""A camera in PipeWire, through PipeWire's own C library: what is used of it, and no more.

GStreamer's pipewiresink was tried first. Debian 12's waits for ever for a buffer once its first reader has gone, and
does not show whether there is one; this stream leaves a picture out where it has no buffer, and knows who reads.
"""

import contextlib
import ctypes
import errno
import json
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, Final

from frrcam.closing import Closing
from frrcam.errors import SinkNotFound, SinkUnusable
from frrcam.frame import Payload

LIBRARY: Final = "libpipewire-0.3.so.0"
PACKAGES: Final = "libpipewire-0.3-0 pipewire wireplumber"
"""Debian's and Ubuntu's."""
CONNECT_S: Final = 3.0
"""Seconds for PipeWire to answer, and to make a node of the stream."""
BUFFERS: Final = (4, 2, 16)
"""Of the stream: asked for, at least, at most."""

ID, INT, RECTANGLE, FRACTION, OBJECT, CHOICE = 3, 4, 10, 11, 15, 19
"""Kinds of pods: enum in spa/utils/type.h."""
RANGE, FLAGS = 1, 4
"""Kinds of choices: enum spa_choice_type."""
FORMAT_OBJECT, BUFFERS_OBJECT = 0x40003, 0x40004
ENUM_FORMAT, BUFFERS_PARAM = 3, 5
"""enum spa_param_type."""
VIDEO, RAW, I420 = 2, 1, 2
MEMORY_POINTER, MEMORY_FILE = 1, 2
"""enum spa_data_type."""
OUTPUT, ANY_TARGET = 1, 0xFFFFFFFF
MAP_BUFFERS, DRIVER = 1 << 2, 1 << 3
"""enum pw_stream_flags. A driver says itself when a picture is there."""
ERROR, UNCONNECTED, CONNECTING, PAUSED, STREAMING = range(-1, 4)
"""enum pw_stream_state. Streaming: a program reads."""


class Chunk(ctypes.Structure):
    """struct spa_chunk."""

    _fields_ = [
        ("offset", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("stride", ctypes.c_int32),
        ("flags", ctypes.c_int32),
    ]


class Data(ctypes.Structure):
    """struct spa_data."""

    _fields_ = [
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("fd", ctypes.c_int64),
        ("mapoffset", ctypes.c_uint32),
        ("maxsize", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("chunk", ctypes.POINTER(Chunk)),
    ]


class SpaBuffer(ctypes.Structure):
    """struct spa_buffer."""

    _fields_ = [
        ("n_metas", ctypes.c_uint32),
        ("n_datas", ctypes.c_uint32),
        ("metas", ctypes.c_void_p),
        ("datas", ctypes.POINTER(Data)),
    ]


class Buffer(ctypes.Structure):
    """The beginning of struct pw_buffer."""

    _fields_ = [("buffer", ctypes.POINTER(SpaBuffer))]


STATE_CHANGED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_char_p)


class Events(ctypes.Structure):
    """struct pw_stream_events, of which one is listened to."""

    _fields_ = [
        ("version", ctypes.c_uint32),
        ("destroy", ctypes.c_void_p),
        ("state_changed", STATE_CHANGED),
        ("rest", ctypes.c_void_p * 9),
    ]


class PipeWireStream(Closing):
    """A node of class Video/Source that gives I420 of one size. Its methods may be called from any thread.

    Raises SinkNotFound where there is no PipeWire, SinkUnusable where it does not take the stream.
    """

    def __init__(self, label: str, width: int, height: int, fps: float) -> None:
        self._library = library()
        self._changed = threading.Condition()
        self._state, self._error = UNCONNECTED, ""
        self._stride = width
        self._stream: int | None = None
        self._events = Events(0, None, STATE_CHANGED(self._take_state))
        self._loop: int | None = self._library.pw_thread_loop_new(b"frrcam", None)
        if self._loop is None or self._library.pw_thread_loop_start(self._loop) < 0:
            raise SinkUnusable("PipeWire's library does not start")
        try:
            self._connect(label, [video_format(width, height, fps), buffers(width, height)])
        except BaseException:
            self.close()
            raise
        self.node: int = self._library.pw_stream_get_node_id(self._stream)
        """PipeWire's number of it."""

    def _connect(self, label: str, pods: Sequence[bytes]) -> None:
        properties = {
            "media.class": "Video/Source",
            "media.role": "Camera",  # portals show nothing else to a program in a sandbox
            "node.name": "frrcam",
            "node.description": label,
            "media.name": label,
        }
        params = [_aligned(pod) for pod in pods]
        pointers = (ctypes.c_void_p * len(params))(*(ctypes.addressof(param) for param in params))
        with self._locked():
            self._stream = self._library.pw_stream_new_simple(
                self._library.pw_thread_loop_get_loop(self._loop),
                b"frrcam",
                self._library.pw_properties_new_string(json.dumps(properties, ensure_ascii=False).encode()),
                ctypes.byref(self._events),
                None,
            )
            if self._stream is None:
                raise SinkUnusable(f"PipeWire's library makes no stream: {os.strerror(ctypes.get_errno())}")
            code = self._library.pw_stream_connect(
                self._stream, OUTPUT, ANY_TARGET, MAP_BUFFERS | DRIVER, pointers, len(params)
            )
        if code < 0:
            raise refusal(-code)
        with self._changed:
            self._changed.wait_for(lambda: self._state not in (UNCONNECTED, CONNECTING), CONNECT_S)
        if self._state not in (PAUSED, STREAMING):
            raise SinkUnusable(f"PipeWire does not take the stream: {self._error or 'no answer'}; see: wpctl status")

    @property
    def fault(self) -> str | None:
        """Why there is no node any more, or None."""
        if self._stream is None:
            return "it is closed"
        return self._error or "PipeWire has ended" if self._state in (ERROR, UNCONNECTED) else None

    def watching(self, timeout: float) -> bool:
        """True if a program reads. Waits for that to change, or for a fault, `timeout` seconds at the most."""
        with self._changed:
            before = self._state == STREAMING
            if timeout > 0:
                self._changed.wait_for(lambda: (self._state == STREAMING) != before or self._state <= 0, timeout)
            return self._state == STREAMING

    def offer(self, payload: Payload) -> bool:
        """Gives the picture to the readers; False if there are none, or none of their buffers is free."""
        if self._state != STREAMING:
            return False
        with self._locked():
            buffer = self._library.pw_stream_dequeue_buffer(self._stream)
            if not buffer:
                return False
            data = buffer.contents.buffer.contents.datas[0]
            size = min(payload.nbytes, data.maxsize) if data.data else 0
            if size:
                ctypes.memmove(data.data, payload.ctypes.data, size)
            data.chunk.contents.offset, data.chunk.contents.size = 0, size
            data.chunk.contents.stride, data.chunk.contents.flags = self._stride, 0
            self._library.pw_stream_queue_buffer(self._stream, buffer)
            if self._library.pw_stream_is_driving(self._stream):
                self._library.pw_stream_trigger_process(self._stream)
        return size > 0

    def close(self) -> None:
        """Takes the node away. Idempotent."""
        loop, self._loop = self._loop, None
        stream, self._stream = self._stream, None
        if loop is None:
            return
        self._library.pw_thread_loop_stop(loop)
        if stream is not None:
            self._library.pw_stream_destroy(stream)
        self._library.pw_thread_loop_destroy(loop)
        with self._changed:
            self._state = UNCONNECTED
            self._changed.notify_all()

    def _take_state(self, data: int, old: int, new: int, error: bytes | None) -> None:
        with self._changed:
            self._state, self._error = new, (error or b"").decode(errors="replace")
            self._changed.notify_all()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """PipeWire's own thread stands still inside."""
        self._library.pw_thread_loop_lock(self._loop)
        try:
            yield
        finally:
            self._library.pw_thread_loop_unlock(self._loop)


@cache
def library(name: str = LIBRARY) -> Any:
    """libpipewire, begun. Raises SinkNotFound where it is not installed."""
    try:
        found = ctypes.CDLL(name, use_errno=True)
    except OSError:
        raise SinkNotFound(f"PipeWire is not installed ({name}); run: sudo apt install {PACKAGES}") from None
    pointer, number = ctypes.c_void_p, ctypes.c_int
    signatures: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "pw_init": (None, (pointer, pointer)),
        "pw_properties_new_string": (pointer, (ctypes.c_char_p,)),
        "pw_thread_loop_new": (pointer, (ctypes.c_char_p, pointer)),
        "pw_thread_loop_start": (number, (pointer,)),
        "pw_thread_loop_get_loop": (pointer, (pointer,)),
        "pw_thread_loop_lock": (None, (pointer,)),
        "pw_thread_loop_unlock": (None, (pointer,)),
        "pw_thread_loop_stop": (None, (pointer,)),
        "pw_thread_loop_destroy": (None, (pointer,)),
        "pw_stream_new_simple": (pointer, (pointer, ctypes.c_char_p, pointer, pointer, pointer)),
        "pw_stream_connect": (
            number,
            (pointer, number, ctypes.c_uint32, number, ctypes.POINTER(pointer), ctypes.c_uint32),
        ),
        "pw_stream_get_node_id": (ctypes.c_uint32, (pointer,)),
        "pw_stream_dequeue_buffer": (ctypes.POINTER(Buffer), (pointer,)),
        "pw_stream_queue_buffer": (number, (pointer, ctypes.POINTER(Buffer))),
        "pw_stream_is_driving": (ctypes.c_bool, (pointer,)),
        "pw_stream_trigger_process": (number, (pointer,)),
        "pw_stream_destroy": (None, (pointer,)),
    }
    for function_name, (result, arguments) in signatures.items():
        function = getattr(found, function_name, None)
        if function is None:
            raise SinkNotFound(f"PipeWire is too old ({name} without {function_name}): install 0.3.34 or later")
        function.restype, function.argtypes = result, arguments
    found.pw_init(None, None)
    return found


def refusal(number: int) -> SinkNotFound:
    """Why PipeWire does not answer, and the way out."""
    if number in (errno.ECONNREFUSED, errno.EHOSTDOWN, errno.ENOENT):
        return SinkNotFound(
            f"PipeWire does not run in this session ({os.strerror(number)}); "
            f"run: systemctl --user start pipewire wireplumber (sudo apt install {PACKAGES})"
        )
    return SinkNotFound(f"PipeWire does not answer: {os.strerror(number)}; see: systemctl --user status pipewire")


def pod(kind: int, body: bytes) -> bytes:
    """A value as PipeWire sends it: size, kind, the value, padded to eight bytes."""
    return struct.pack("II", len(body), kind) + body + bytes(-len(body) % 8)


def integer(value: int, kind: int = INT) -> bytes:
    return pod(kind, struct.pack("I", value))


def choice(kind: int, *values: int) -> bytes:
    """Integers of which the first is the default."""
    return pod(CHOICE, struct.pack(f"IIII{len(values)}I", kind, 0, 4, INT, *values))


def params(kind: int, number: int, properties: dict[int, bytes]) -> bytes:
    """An object: keys of its own enum, pods."""
    body = b"".join(struct.pack("II", key, 0) + value for key, value in properties.items())
    return pod(OBJECT, struct.pack("II", kind, number) + body)


def video_format(width: int, height: int, fps: float) -> bytes:
    """The one format on offer: I420 at that size and rate."""
    rate = Fraction(fps).limit_denominator(1001)
    properties = {
        1: integer(VIDEO, ID),
        2: integer(RAW, ID),
        0x20001: integer(I420, ID),
        0x20003: pod(RECTANGLE, struct.pack("II", width, height)),
        0x20004: pod(FRACTION, struct.pack("II", rate.numerator, rate.denominator)),
    }
    return params(FORMAT_OBJECT, ENUM_FORMAT, properties)


def buffers(width: int, height: int) -> bytes:
    """What a buffer has to be: one block of memory that holds the three planes."""
    properties = {
        1: choice(RANGE, *BUFFERS),
        2: integer(1),
        3: integer(width * height * 3 // 2),
        4: integer(width),
        6: choice(FLAGS, 1 << MEMORY_FILE | 1 << MEMORY_POINTER),
    }
    return params(BUFFERS_OBJECT, BUFFERS_PARAM, properties)


def _aligned(data: bytes) -> Any:
    """A copy of it that begins at a multiple of eight, as PipeWire reads it."""
    return (ctypes.c_uint64 * (len(data) // 8)).from_buffer_copy(data)

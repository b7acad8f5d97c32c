"""A machine with one video node, pyvirtualcam without a driver, and a node of PipeWire without PipeWire."""

import errno
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from frrcam.frame import Payload
from frrcam.linux.devices import LOOPBACK_DRIVER
from frrcam.linux.v4l2 import VIDIOC_QUERYCAP, VIDIOC_STREAMON, Capability, System


@dataclass
class FakeMachine:
    """Answers VIDIOC_QUERYCAP for every node, and VIDIOC_STREAMON; the nodes are plain files under `root`."""

    root: Path
    driver: str = LOOPBACK_DRIVER
    card: str = "FRR Camera"
    capabilities: Capability = Capability.VIDEO_OUTPUT
    healed: Capability | None = None
    """What it can do once a program has begun to stream to it and gone: v4l2loopback 0.12.7."""
    ioctl_errno: int | None = None
    open_errno: int | None = None
    descriptors: set[int] = field(default_factory=set)
    streamed: set[int] = field(default_factory=set)
    """Descriptors that have said to stream."""

    def add(self, node: str) -> Path:
        """Makes a node."""
        path = self.root / node.lstrip("/")
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    def replace(self, node: str) -> None:
        """The same name, another device."""
        other = self.add(node + ".new")
        os.replace(other, self.root / node.lstrip("/"))

    @property
    def system(self) -> System:
        return System(root=self.root, open=self._open, close=self._close, ioctl=self._ioctl)

    def _open(self, path: str, flags: int) -> int:
        if self.open_errno:
            raise OSError(self.open_errno, os.strerror(self.open_errno), path)
        descriptor = os.open(path, flags)
        self.descriptors.add(descriptor)
        return descriptor

    def _close(self, descriptor: int) -> None:
        self.descriptors.remove(descriptor)
        os.close(descriptor)
        if descriptor in self.streamed and self.healed is not None:
            self.capabilities = self.healed

    def _ioctl(self, descriptor: int, request: int, argument: bytearray) -> object:
        assert descriptor in self.descriptors
        if request == VIDIOC_STREAMON:
            self.streamed.add(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        assert request == VIDIOC_QUERYCAP
        if self.ioctl_errno:
            raise OSError(self.ioctl_errno, os.strerror(self.ioctl_errno))
        caps = self.capabilities
        struct.pack_into(
            "16s32s32sIII",
            argument,
            0,
            self.driver.encode(),
            self.card.encode(),
            b"platform:v4l2loopback-000",
            0x060100,
            caps | Capability.DEVICE_CAPS,
            caps,
        )
        return 0


@dataclass
class FakeCamera:
    """Takes what pyvirtualcam.Camera takes; `opened` is what it was opened with."""

    opened: tuple[int, int, float, str | None]
    sent: list[Payload] = field(default_factory=list)
    closed: int = 0
    fault: Exception | None = None

    @property
    def device(self) -> str:
        return self.opened[3] or "OBS Virtual Camera"

    def send(self, frame: Payload) -> None:
        if self.fault:
            raise self.fault
        self.sent.append(np.array(frame))

    def close(self) -> None:
        self.closed += 1


@dataclass
class FakeStream:
    """Takes what PipeWireStream takes; `opened` is what it was opened with."""

    opened: tuple[str, int, int, float]
    node: int = 36
    fault: str | None = None
    readers: bool = False
    offered: list[Payload] = field(default_factory=list)
    closed: int = 0

    def watching(self, timeout: float) -> bool:
        return self.readers

    def offer(self, payload: Payload) -> bool:
        self.offered.append(np.array(payload))
        return self.readers

    def close(self) -> None:
        self.closed += 1
        self.fault = "it is closed"

"""Which cameras and virtual cameras there are, and which one is meant.

Looking never takes a stream: no lamp goes on, and a program that streams is not disturbed.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frrcam.errors import SinkNotFound, SourceForbidden, SourceNotFound, SourceUnusable, UsageError
from frrcam.linux import sysfs, v4l2
from frrcam.linux.sysfs import Holder, Loopback, Node
from frrcam.linux.v4l2 import LINUX, Capability, CapabilityInfo, System

LABEL = "FRR Camera"
"""The virtual camera's name, which meeting programs show."""
LOOPBACK_DRIVER = "v4l2 loopback"
COMMON_SIZES = ((320, 240), (640, 360), (640, 480), (848, 480), (960, 540), (1280, 720), (1920, 1080))
"""What is listed of a camera that takes any size between two."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One size of one pixel format, and the rates it comes at."""

    width: int
    height: int
    rates: tuple[float, ...]
    """Pictures a second, fastest first; empty where the driver does not say."""


@dataclass(frozen=True, slots=True)
class Format:
    """A pixel format and its sizes."""

    fourcc: str
    description: str
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """A node that pictures can be read from."""

    name: str
    node: str
    link: str
    """The name under /dev/v4l that stays the camera's own when numbers change; "" where udev makes none."""
    bus: str
    """Where it is plugged in; the colour and the infrared camera of one laptop share it. "" where not known."""
    formats: tuple[Format, ...]
    loopback: bool
    """True if another program's pictures come out of it: never chosen unless it is named."""
    busy_by: tuple[Holder, ...]
    """The other programs that have it open, streaming or not, as far as the system tells."""
    problem: str = ""
    """Why it could not be asked, e.g. "no permission (group video)"; "" if all is well."""


@dataclass(frozen=True, slots=True)
class VirtualCamera:
    """A v4l2loopback device."""

    label: str
    node: str
    exclusive_caps: bool | None
    """None if it could not be asked."""
    producing: bool | None
    """True while a program publishes on it; None where this version does not tell."""
    output: bool
    """True if it can be published on now. False without a producer is 0.12.7's fault: see `frrcam doctor`."""
    format: str
    """What it carries, e.g. "YU12:1280x720@30/1"; "" while nothing does."""
    busy_by: tuple[Holder, ...]
    problem: str = ""


def list_cameras(system: System = LINUX, *, size: tuple[int, int] | None = None) -> tuple[Camera, ...]:
    """The nodes that give pictures, by number. `size` is listed too where a camera takes any size near it.

    A loopback that waits for its producer is none; metadata nodes are none. Empty where there is no Video4Linux.
    """
    found = []
    for node in sysfs.nodes(system):
        camera = _ask_camera(node, system, size)
        if camera is not None:
            found.append(camera)
    return tuple(found)


def list_virtual_cameras(system: System = LINUX) -> tuple[VirtualCamera, ...]:
    """The v4l2loopback devices, by number. Empty where the module is not loaded."""
    found = []
    for node in sysfs.nodes(system):
        loopback = sysfs.loopback(node.number, system)
        try:
            with system.opened(node.path) as fd:
                answer = v4l2.query_capability(system, fd)
        except OSError as error:
            if loopback is not None:
                found.append(_unasked_virtual(node, loopback, _problem(error, node.path, system), system))
            continue
        if answer.driver == LOOPBACK_DRIVER:
            found.append(_virtual(node, loopback, answer, system))
    return tuple(found)


def find_camera(device: str | None = None, system: System = LINUX, *, size: tuple[int, int] | None = None) -> Camera:
    """The camera meant by a number, a path, a by-id or by-path link, or part of its name in either case.

    None means the first that is no loopback: a daemon must not watch its own output. A name that fits several nodes of
    one device means the first of them.

    Raises UsageError (the name fits several), SourceNotFound, SourceForbidden, SourceUnusable (no camera).
    """
    cameras = list_cameras(system, size=size)
    if device is None:
        return _usable(_first(cameras))
    if device.isdecimal():
        return _by_node(f"/dev/video{int(device)}", device, cameras, system)
    if device.startswith("/"):
        return _by_node(device, device, cameras, system)
    wanted = device.casefold()
    fits = [camera for camera in cameras if wanted in camera.name.casefold() or wanted in camera.link.casefold()]
    fits = [camera for camera in fits if camera.name.casefold() == wanted] or fits
    if len({camera.bus or camera.node for camera in fits}) > 1:
        raise UsageError(f'"{device}" fits {len(fits)} cameras: {_listing(fits)}; name one by its node or link')
    if not fits:
        raise SourceNotFound(f'no camera is called "{device}"; {_there_is(cameras)}')
    return _usable(fits[0])


def find_virtual_camera(label: str = LABEL, system: System = LINUX) -> VirtualCamera:
    """The loopback device with that label, or of that node (/dev/videoN).

    Raises SinkNotFound with the command that makes one.
    """
    devices = list_virtual_cameras(system)
    for device in devices:
        if label in (device.label, device.node):
            return device
    others = ", ".join(f"{device.label} ({device.node})" for device in devices)
    there_is = f"there is {others}" if others else "v4l2loopback has no device here"
    raise SinkNotFound(f'no virtual camera "{label}": {there_is}; run: {modprobe_line(label)}')


def modprobe_line(label: str) -> str:
    """The command that makes a virtual camera of that name."""
    return f'sudo modprobe v4l2loopback devices=1 exclusive_caps=1 max_buffers=2 card_label="{label}"'


def as_json(cameras: Sequence[Camera], virtual_cameras: Sequence[VirtualCamera]) -> dict[str, Any]:
    """{"cameras": [...], "virtual_cameras": [...]}, with the fields of the two classes."""
    return {
        "cameras": [asdict(camera) for camera in cameras],
        "virtual_cameras": [asdict(camera) for camera in virtual_cameras],
    }


def _ask_camera(node: Node, system: System, size: tuple[int, int] | None) -> Camera | None:
    attributes = sysfs.loopback(node.number, system)
    link = next(iter(sysfs.links(node.path, system)), "")
    try:
        with system.opened(node.path) as fd:
            answer = v4l2.query_capability(system, fd)
            if not answer.capabilities & (Capability.VIDEO_CAPTURE | Capability.VIDEO_CAPTURE_MPLANE):
                return None
            formats = tuple(_formats(system, fd, size))
    except OSError as error:
        if node.index or (attributes is not None and attributes.state != "capture"):
            return None
        users = sysfs.holders(node.path, system)
        return Camera(
            node.name, node.path, link, "", (), attributes is not None, users, _problem(error, node.path, system)
        )
    users = sysfs.holders(node.path, system)
    loopback = answer.driver == LOOPBACK_DRIVER
    return Camera(answer.card or node.name, node.path, link, answer.bus_info, formats, loopback, users)


def _formats(system: System, fd: int, size: tuple[int, int] | None) -> Iterator[Format]:
    for item in v4l2.enum_formats(system, fd):
        sizes: dict[tuple[int, int], None] = {}
        for offered in v4l2.enum_frame_sizes(system, fd, item.fourcc):
            wanted = [(0, 0)] if offered.discrete else [*COMMON_SIZES, *([size] if size else [])]
            sizes.update((offered.nearest(*each), None) for each in wanted)
        modes = (
            Mode(w, h, tuple(sorted(v4l2.enum_frame_intervals(system, fd, item.fourcc, w, h), reverse=True)))
            for w, h in sorted(sizes)
        )
        yield Format(item.fourcc, item.description, tuple(modes))


def _virtual(node: Node, loopback: Loopback | None, answer: CapabilityInfo, system: System) -> VirtualCamera:
    ways = answer.capabilities & (Capability.VIDEO_CAPTURE | Capability.VIDEO_OUTPUT)
    exclusive = ways != Capability.VIDEO_CAPTURE | Capability.VIDEO_OUTPUT
    if loopback is not None and loopback.state:
        producing: bool | None = loopback.state == "capture"
    else:
        producing = Capability.VIDEO_CAPTURE in ways if exclusive else None
    return VirtualCamera(
        label=answer.card or node.name,
        node=node.path,
        exclusive_caps=exclusive,
        producing=producing,
        output=Capability.VIDEO_OUTPUT in ways,
        format=loopback.format if loopback is not None else "",
        busy_by=sysfs.holders(node.path, system),
    )


def _unasked_virtual(node: Node, loopback: Loopback, problem: str, system: System) -> VirtualCamera:
    producing = loopback.state == "capture" if loopback.state else None
    users = sysfs.holders(node.path, system)
    return VirtualCamera(node.name, node.path, None, producing, False, loopback.format, users, problem)


def _by_node(path: str, device: str, cameras: Sequence[Camera], system: System) -> Camera:
    place = system.path(path)
    if not os.path.exists(place):
        raise SourceNotFound(f"{path}: no such device; {_there_is(cameras)}")
    real = os.path.realpath(place)
    for camera in cameras:
        if os.path.realpath(system.path(camera.node)) == real:
            return _usable(camera)
    raise _why_unusable(path, system)


def _why_unusable(path: str, system: System) -> SourceForbidden | SourceUnusable:
    """It is there and is not among the cameras."""
    try:
        with system.opened(path) as fd:
            answer = v4l2.query_capability(system, fd)
    except PermissionError:
        return _forbidden(path, system)
    except OSError:
        if system.path(path).is_dir():
            return SourceUnusable(f"{path}: a folder, not a camera")
        if system.path(path).is_file():
            return SourceUnusable(f"{path}: a file, not a camera; play it with --source")
        return SourceUnusable(f"{path}: not a camera; see: frrcam devices")
    if answer.driver == LOOPBACK_DRIVER:
        return SourceUnusable(
            f'{path}: the virtual camera "{answer.card}", on which no program publishes; name a real camera'
        )
    if Capability.META_CAPTURE in answer.capabilities:
        return SourceUnusable(f"{path}: carries a camera's metadata and no pictures; see: frrcam devices")
    return SourceUnusable(f"{path}: {answer.card} gives no pictures; see: frrcam devices")


def _first(cameras: Sequence[Camera]) -> Camera:
    for camera in cameras:
        if not camera.loopback:
            return camera
    if cameras:
        raise SourceNotFound(f"no camera here but virtual ones: {_listing(cameras)}; choose one with --device")
    raise SourceNotFound("no camera here; plug one in, or try: --source demo")


def _usable(camera: Camera) -> Camera:
    if camera.problem.startswith("no permission"):
        raise SourceForbidden(f"{camera.node} ({camera.name}): {camera.problem}")
    if camera.problem:
        raise SourceUnusable(f"{camera.node} ({camera.name}): {camera.problem}")
    return camera


def _problem(error: OSError, node: str, system: System) -> str:
    if isinstance(error, PermissionError):
        group = _group(node, system)
        return f"no permission (group {group}); run: sudo usermod -aG {group} $USER, then log in again"
    return f"cannot be asked: {os.strerror(error.errno or 0)}"


def _forbidden(node: str, system: System) -> SourceForbidden:
    return SourceForbidden(f"{node}: {_problem(PermissionError(), node, system)}")


def _group(node: str, system: System) -> str:
    """The group that may open the node; "video", as on every distribution, where it is root's or has no name."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        import grp

        name = grp.getgrgid(system.path(node).stat().st_gid).gr_name
        if name != "root":
            return name
    return "video"


def _there_is(cameras: Sequence[Camera]) -> str:
    return f"there is {_listing(cameras)}" if cameras else "there is no camera here"


def _listing(cameras: Sequence[Camera]) -> str:
    return ", ".join(f'"{camera.name}" ({camera.node})' for camera in cameras)

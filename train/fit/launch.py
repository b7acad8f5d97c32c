"""From options to a training: the processes, the state to begin with, the faces, the features, and when to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from train.common import progress
from train.common.distributed import World, joined
from train.data import shards, skin_tone
from train.data.faces import Faces, load_faces
from train.data.stream import Stream, held_out_faces
from train.degrade import occluders
from train.fit import checkpoint, loop, mask_teacher, pretrain, pretrain_detail, pretrain_light
from train.fit.settings import Settings
from train.networks.face_features import feature_network
from train.networks.frrnet import FRRNet


@dataclass(frozen=True)
class Machine:
    """What a training runs on, and how its pictures and features come to it."""

    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda; under torchrun each process takes a GPU of its own."""
    threads: int = 1
    """CPU threads that PyTorch uses in each process."""
    stream: bool = False
    """Decode faces as they come, with worker processes, instead of once into a cache in memory."""
    stream_workers: int = 2
    """Worker processes that decode for each training process; each needs a shard of its own."""
    buffer: int = 1000
    """Streamed faces among which each worker draws the next."""
    features: str = "mobilefacenet"
    """Network of the perceptual, style and identity losses: mobilefacenet (in MODELS) or vgg (torchvision's VGG16)."""

    def __post_init__(self) -> None:
        for name in ("threads", "stream_workers", "buffer"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Places:
    """Where a training reads and writes.

    data: a folder of shards or their address. begin: a checkpoint, taken if `out` has none, for a training of its own.
    light, detail: what the commands of those names left, for a training that begins; they take the place of `begin`'s.
    """

    data: str
    cache: Path
    out: Path
    mobilefacenet: Path
    begin: Path | None = None
    light: Path | None = None
    detail: Path | None = None
    occluders: Path | None = None
    """Folder of occluders-*.tar; without one, drawn occluders alone."""


def train(shape: dict[str, Any], settings: Settings, machine: Machine, places: Places) -> checkpoint.State:
    """Train a network, or go on where places.out stopped, or from places.begin; Ctrl-C saves and ends it.

    shape: FRRNet's arguments, where they differ from its defaults or the checkpoint's.
    Raises ValueError or OSError for what cannot be trained on.
    """
    torch.set_num_threads(machine.threads)
    with joined(machine.device) as world:
        content = world.agreed(lambda: beginning(shape, settings, places))
        state = checkpoint.restored(content, settings.rate, world.device)
        for phase in settings.phases:
            world.share(phase.batch)
            for size in phase.sizes:
                if size % state.network.multiple:
                    raise ValueError(f"the sides of phases must be multiples of {state.network.multiple}, not {size}")
        sides = {192 if size <= 192 else 336 for phase in settings.phases for size in phase.sizes}
        features = None
        if settings.weights.featured:
            if settings.weights.identity and machine.features != "mobilefacenet":
                raise ValueError(f"--identity needs --features mobilefacenet: {machine.features} does not know faces")
            features = feature_network(machine.features, places.mobilefacenet).to(world.device)
        stream, label, cut_outs = None, None, None
        if machine.stream:
            stream, faces = streamed(places, max(sides), settings, machine, world, state.images // world.size)
            label = labeller(places, world)
        else:
            faces = world.in_turn(lambda: {side: load_faces(places.data, places.cache, side) for side in sides})
            if settings.even_tones:
                lesson = skin_tone.even_lesson(faces[min(faces)])  # the caches hold the same faces in the same order
                faces = {side: replace(found, lesson=lesson) for side, found in faces.items()}
            if settings.occluded:
                cut_outs = occluders.load(places.occluders)
        # from here on a signal ends the training in good order; before, it finds nothing to save, and ends the process
        with progress.shown(quiet=not world.first) as (report, advance), asked_to_stop() as stopped:
            if label is None and all(found.masks is None for found in faces.values()):
                report("there are no mask labels, so the mask learns nothing: python -m train masks makes them")
            return loop.fit(
                state,
                faces,
                settings,
                places.out,
                features,
                report,
                stopped=stopped,
                advance=advance,
                world=world,
                stream=stream,
                label=label,
                cut_outs=cut_outs,
            )


def beginning(shape: dict[str, Any], settings: Settings, places: Places) -> checkpoint.Content:
    """The checkpoint to go on from, or a new training's; ValueError if its network has not the shape asked for."""
    resumed = places.out / "checkpoint.pt"
    if resumed.exists():
        return of_shape(checkpoint.read_training(resumed), shape, resumed)
    if places.begin is not None:
        begun = checkpoint.restarted(of_shape(checkpoint.read(places.begin), shape, places.begin))
        state = checkpoint.restored(begun, settings.rate)
    else:
        torch.manual_seed(settings.seed)
        state = checkpoint.start(checkpoint.build(shape), settings.rate)
    for course, path in ((pretrain_light.COURSE, places.light), (pretrain_detail.COURSE, places.detail)):
        if path is not None:
            take_part(state.network, course, path)
            take_part(state.average, course, path)
    return checkpoint.contents(state)


def of_shape(content: checkpoint.Content, shape: dict[str, Any], path: Path) -> checkpoint.Content:
    """What `path` holds; ValueError if its network differs from `shape`."""
    for name, wanted in shape.items():
        if content["shape"][name] != wanted:
            raise ValueError(
                f"--{name.replace('_', '-')} {wanted}: the network in {path} has {content['shape'][name]}: give another"
                " --out or --begin, or leave the option out"
            )
    return content


def take_part(network: FRRNet, course: pretrain.Course, path: Path) -> None:
    """Put what a part's own training left into the network; ValueError if it does not fit there."""
    own = getattr(network, course.name)
    content = pretrain.read(path, course)["average"]
    if own is None:
        raise ValueError(f"--{course.name}: a network of stem stride {network.stem_stride} has no such part")
    if checkpoint.unlike(own, content):
        raise ValueError(f"--{course.name}: {path} was trained for another width or stem stride")
    own.load_state_dict(content)


def streamed(
    places: Places, side: int, settings: Settings, machine: Machine, world: World, seen: int
) -> tuple[Stream, dict[int, Faces]]:
    """The training faces as they come, and the held-out ones to validate on."""
    urls = shards.addresses(places.data)
    stream = Stream(urls, side, settings.seed, seen, machine.stream_workers, machine.buffer, world.size)
    return stream, {side: held_out_faces(urls, side, 64)}


def labeller(places: Places, world: World) -> mask_teacher.Labeller | None:
    """The mask teacher, if `python -m train masks` has left one."""
    teacher = places.cache / "teacher.pt"
    if not teacher.exists():
        return None
    return mask_teacher.Labeller(checkpoint.load_network(teacher)[0].to(world.device))


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come, which within this block end nothing by themselves."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""What a training step is fed: this process's crops of each batch, degraded on its device.

Every random draw comes from (seed, images seen) and is made for the whole batch, whichever process takes a share of it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from train.common.distributed import ALONE, World
from train.data.faces import Crops, Faces, crop_affine, crops
from train.data.stream import Stream
from train.degrade import camera
from train.degrade.occluders import CutOuts
from train.degrade.pipeline import GENTLE, degrade, far
from train.fit import losses
from train.fit.settings import Settings

Labeller = Callable[[Tensor], Tensor]
"""Masks (N×1×S×S) of pictures (N×3×S×S) that carry none."""
MILD = 0.7
"""What the classifier is to say of a slight fault: with this the network's gate is half open (`frrnet.SURE`)."""


def shuffled(indices: np.ndarray, seed: int, start: int, count: int) -> np.ndarray:
    """`count` entries from place `start` of an endless list of shuffles of `indices`; ValueError if these are none."""
    if not len(indices):
        raise ValueError("there is no face to train on: all are held out")
    places = np.arange(start, start + count)
    rounds = places // len(indices)
    order = {r: np.random.default_rng((seed, int(r))).permutation(indices) for r in np.unique(rounds)}
    return np.array([order[r][p % len(indices)] for r, p in zip(rounds, places, strict=True)])


def cut(
    faces: Faces,
    chosen: np.ndarray,
    size: int,
    settings: Settings,
    seen: int,
    share: slice,
    total: int,
    cut_outs: CutOuts | None = None,
) -> Crops:
    """This process's crops (`chosen`, at the places `share` of a batch of `total`), each under its own jitter.

    With cut-outs, a share of them (`Settings.occluded`) has something in front.
    """
    random = np.random.default_rng((settings.seed, seen))
    affines = [crop_affine(faces, size, settings.jitter, random) for _ in range(total)]
    taken = crops(faces, chosen, size, affines[share])
    if cut_outs is not None and taken.masks is not None:
        for place in range(*share.indices(total)):
            own = np.random.default_rng((settings.seed, seen, place, 2))
            if own.random() < settings.occluded:
                at = place - share.indices(total)[0]
                cut_outs.put(taken.pictures[at], taken.masks[at], own)
    return taken


def spoil(
    taken: Crops, settings: Settings, seen: int, first: int, total: int, device: torch.device, label: Labeller | None
) -> tuple[Tensor, losses.Truth]:
    """Crops, those from place `first` of a batch of `total`, degraded on the device, and what they should become."""
    target, mask = taken.to(device)
    generator = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + seen)
    random = np.random.default_rng((settings.seed, seen, 1))
    kind, distance = random.random(2)
    gentle, degradation = kind < settings.gentle, settings.degradation
    if gentle:
        degradation = GENTLE
    elif kind >= 1 - settings.far:
        degradation = far(target.shape[-1], distance)
    if not gentle and 1 - settings.far - settings.camera <= kind < 1 - settings.far:
        degraded, labels = camera.spoil(target, camera.CAMERA, (settings.seed, seen, 3), first, total)
    else:
        degraded, labels = degrade(target, degradation, generator, first, total)
        labels = labels * MILD if gentle else labels
    if mask is None and label is not None:
        mask = label(target)
    return degraded.contiguous(memory_format=torch.channels_last), losses.Truth(target, labels, mask)


def make_batch(
    faces: Faces, chosen: np.ndarray, size: int, settings: Settings, seen: int
) -> tuple[Tensor, losses.Truth]:
    """Degraded pictures and what they should become, a function of the settings' seed and `seen`; whole, on the CPU."""
    total = len(chosen)
    taken = cut(faces, chosen, size, settings, seen, slice(None), total)
    return spoil(taken, settings, seen, 0, total, torch.device("cpu"), None)


def starts(settings: Settings, seen: int) -> Iterator[int]:
    """How many images have been seen before each of the steps that are left."""
    while seen < settings.images:
        yield seen
        seen += settings.phase(seen).batch


def ahead(make: Callable[[int], Crops], places: Iterable[int], workers: int) -> Iterator[Crops]:
    """make(place) for each place in order; by threads, if any, which are a few steps ahead."""
    if not workers:
        yield from map(make, places)
        return
    waiting: deque[Future[Crops]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for place in places:
            waiting.append(pool.submit(make, place))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class Feed:
    """Where a training's pictures come from: faces in memory by cache size, or a stream of them.

    A phase takes the smallest cache that is at least its own size.
    """

    faces: dict[int, Faces]
    settings: Settings
    world: World = ALONE
    stream: Stream | None = None
    label: Labeller | None = None
    cut_outs: CutOuts | None = None

    def source(self, size: int) -> Faces:
        return self.faces[min((s for s in self.faces if s >= size), default=max(self.faces))]

    def cut(self, seen: int) -> Crops:
        """This process's crops of the batch after `seen` images."""
        phase = self.settings.phase(seen)
        share = self.world.share(phase.batch)
        size = phase.side(np.random.default_rng((self.settings.seed, seen, 4)).random())
        if self.stream is not None:
            own = share.stop - share.start
            faces, chosen = self.stream.take(own), np.arange(own)
            return cut(faces, chosen, size, self.settings, seen, share, phase.batch, self.cut_outs)
        source = self.source(size)
        lesson = source.indices(training=True) if source.lesson is None else source.lesson
        chosen = shuffled(lesson, self.settings.seed, seen, phase.batch)[share]
        return cut(source, chosen, size, self.settings, seen, share, phase.batch, self.cut_outs)

    def batches(self, seen: int) -> Iterator[tuple[Tensor, losses.Truth]]:
        """Degraded pictures and truth of every step that is left."""
        # a stream has workers of its own, and one thread alone may take from it
        crops = ahead(self.cut, starts(self.settings, seen), 0 if self.stream else self.settings.workers)
        for place, taken in zip(starts(self.settings, seen), crops, strict=True):
            total = self.settings.phase(place).batch
            first = self.world.share(total).start
            yield spoil(taken, self.settings, place, first, total, self.world.device, self.label)

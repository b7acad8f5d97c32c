"""Faces that do not fit in memory: decoded from WebDataset shards as they come, by worker processes.

The webdataset library splits the shards among the processes and their workers, and shuffles with a buffer; what a
worker yields is a function of (seed, its shards, epoch). The library keeps no place in a stream, but this order makes
one: a training that goes on passes over, without decoding, the faces that it has seen, whole epochs by counting one. So
it sees the same faces in the same order as one that never stopped, if it has as many processes and workers, for the
price of reading up to two epochs' bytes.
"""

import os
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
import webdataset
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from webdataset.shardlists import split_by_node

from train.data import shards
from train.data.faces import Faces, canvas, held_out


class Canvases(IterableDataset[tuple[str, Tensor]]):
    """This worker's share of the training faces, without end: (key, canvas C×C×3 RGB uint8).

    buffer: faces among which the next is drawn. skip: faces that this process (all its workers) has taken before.
    """

    def __init__(self, urls: list[str], size: int, seed: int, buffer: int, skip: int = 0) -> None:
        super().__init__()
        self.urls, self.size, self.seed, self.buffer, self.skip = urls, size, seed, buffer, skip

    def epoch(self, urls: list[str], number: int) -> Iterator[shards.Sample]:
        """The samples of one pass over some shards, shuffled by (seed, number)."""
        seed = self.seed * 1_000_003 + number
        return iter(
            webdataset.DataPipeline(
                webdataset.SimpleShardList(urls, seed=seed),
                shards.samples,
                webdataset.select(lambda sample: not held_out(sample["__key__"])),
                webdataset.detshuffle(self.buffer, self.buffer, seed, epoch=-1),
            )
        )

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        worker = get_worker_info()
        turn, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        # the loader takes from its workers in turn, from the first on, even if it stopped before another one
        place = (turn + self.skip) % workers
        skip = len(range(place, self.skip, workers))
        urls = list(split_by_node(self.urls))[place::workers]
        number = 0
        while True:
            count = 0
            for count, sample in enumerate(self.epoch(urls, number), 1):  # noqa: B007
                if skip:
                    skip -= 1
                    continue
                key = sample["__key__"]
                yield key, torch.from_numpy(np.ascontiguousarray(canvas(key, sample, self.size)))
            if not count:
                raise ValueError(f"no face to train on in {', '.join(urls)}")
            number += 1 + skip // count
            skip %= count


def apart(_worker: int) -> None:
    """Put a worker, and the programs of `pipe:` addresses, in a group of its own.

    Ctrl-C and torchrun's signals go to whole groups, but a training that is to end still takes its next faces.
    """
    os.setpgrp()


class Stream:
    """Training faces from shards, in batches, without end; memory holds a buffer of each worker's alone.

    Workers yield in turn, so that all faces are seen equally often if each worker has as many (shards a multiple of
    processes · workers, and alike).

    size: side of the crops inside the canvases. seen: faces that this process has taken in an earlier run.
    Raises ValueError if there are fewer shards than `processes` · `workers`, each of which needs one of its own.
    """

    def __init__(
        self,
        urls: list[str],
        size: int,
        seed: int,
        seen: int = 0,
        workers: int = 2,
        buffer: int = 1000,
        processes: int = 1,
    ) -> None:
        if len(urls) < processes * max(1, workers):
            raise ValueError(
                f"{len(urls)} shards cannot be split among {processes} processes with {workers} workers each: "
                "cut the data into more shards, or take fewer --stream-workers"
            )
        self.size = size
        canvases = Canvases(urls, size, seed, buffer, seen)
        loader = DataLoader(canvases, batch_size=None, num_workers=workers, worker_init_fn=apart)
        self.faces = iter(loader)

    def take(self, count: int) -> Faces:
        """The next faces."""
        keys, canvases = zip(*islice(self.faces, count), strict=True)
        return Faces(torch.stack(canvases).numpy(), self.size, keys)


def held_out_faces(urls: list[str], size: int, count: int) -> Faces:
    """The first held-out faces of some shards, to validate on; it reads until it has them."""
    samples = shards.samples({"url": url} for url in urls)
    chosen = list(islice((sample for sample in samples if held_out(sample["__key__"])), count))
    if not chosen:
        raise ValueError(f"no held-out face in {len(urls)} shards ({urls[0]}, …): too few faces to validate on")
    keys = tuple(sample["__key__"] for sample in chosen)
    return Faces(np.stack([canvas(key, sample, size) for key, sample in zip(keys, chosen, strict=True)]), size, keys)

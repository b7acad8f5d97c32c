"""How long one face takes: on its own, and against the paper's own network in the same run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import onnx

from train.export.onnx import export, session
from train.networks.frrnet import FRRNet

PAPER_SIZE = 336

Progress = Callable[[Sequence[int], str], Iterable[int]]
"""Yields the positions it is given, and may draw a bar."""


def silent(steps: Sequence[int], what: str) -> Iterable[int]:
    return steps


@dataclass(frozen=True)
class Timing:
    """Milliseconds for one face (first decile), and the share of the reference's time (median over the rounds).

    The share is that of wall or of processor time, whichever is larger and so flatters less: a busy machine interrupts
    long runs more often than short ones, and a small network keeps a second thread less busy than a large one.
    """

    milliseconds: float
    ratio: float


def runner(file: Path, threads: int) -> Callable[[], tuple[float, float]]:
    """Runs the file on one face and returns the seconds it took: on the wall and of all processors."""
    opened = session(file, threads)
    (taken,) = opened.get_inputs()
    image = np.random.default_rng(0).random((1, *taken.shape[1:]), np.float32)

    def run() -> tuple[float, float]:
        began = perf_counter(), process_time()
        opened.run(None, {taken.name: image})
        return perf_counter() - began[0], process_time() - began[1]

    return run


def milliseconds(file: Path, threads: int = 2, runs: int = 100) -> float:
    """Time of one face on the CPU provider after ten runs to warm up: the first decile, as other programs only add."""
    run = runner(file, threads)
    times = [run()[0] for _ in range(runs + 10)]
    return float(np.percentile(times[10:], 10) * 1e3)


def interleaved(
    files: Sequence[Path], threads: int = 2, rounds: int = 8, runs: int = 3, progress: Progress = silent
) -> list[Timing]:
    """Times of several files, taken in turns, so that what else the machine does falls on all of them alike.

    The first file is the reference of the ratios. Each round gives each file `runs` runs, of which the fastest counts.
    """
    runners = [runner(file, threads) for file in files]
    for run in runners:
        run()
    fastest = np.array(
        [[np.min([run() for _ in range(runs)], axis=0) for run in runners] for _ in progress(range(rounds), "timing")]
    )
    ratios = np.median(fastest / fastest[:, :1], axis=0).max(axis=1)
    deciles = np.percentile(fastest[..., 0], 10, axis=0) * 1e3
    return [Timing(float(time), float(ratio)) for time, ratio in zip(deciles, ratios, strict=True)]


def paper_file(folder: Path) -> Path:
    """The paper's primary network, (12,2) at stem 1, as a float32 file; its weights are random, its time is not.

    Made once, and again where the architecture has changed.
    """
    network = FRRNet(width=12, depth=2, stem_stride=1).eval().requires_grad_(False)
    path = folder / f"frrnet-paper-12-2-1-{sum(parameter.numel() for parameter in network.parameters())}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        export(network, PAPER_SIZE, path)
    return path


def multiply_accumulates(file: Path) -> float:
    """GMAC of one face through an exported file, counted on its convolutions and matrix products."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(file)))
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {value.name: [d.dim_value or 1 for d in value.type.tensor_type.shape.dim] for value in values}
    weights = {w.name: list(w.dims) for w in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            out, kernel = shapes[node.output[0]], weights[node.input[1]]
            total += int(np.prod(out[1:])) * int(np.prod(kernel[1:]))
        elif node.op_type == "Gemm":
            total += int(np.prod(weights[node.input[1]]))
    return total / 1e9

"""From a checkpoint to weights/: export, quantise, measure against the reference, and write the manifest's entry."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from train.detector import evaluate, export, fit
from train.detector.data.composites import Composer
from train.detector.data.views import Source
from train.detector.judging import exam
from train.detector.network import multiply_adds
from train.publish import manifest

REFERENCE = "scrfd_2.5g_bnkps.onnx"
SIDE = 320
TRAINED_ON = (
    "composites of 5,981 synthetic face photographs (faces-train: StyleGAN and diffusion sets, SFHQ and SFHQ-T2I among "
    "them; points from the set, boxes by YuNet, MIT) on drawn backgrounds and on photographs of rooms (scenes: 1,956, "
    "research and testing only); 997 photographs of real people (people: research and testing only; boxes and points "
    "by SCRFD-2.5g, whose files are for non-commercial research, where YuNet agrees); cut-outs of hands and things "
    "(occluders: research and testing only)"
)
LICENCE = "GPL-2.0-or-later; trained in part on photographs of real people and rooms given for research and testing"


@dataclass(frozen=True)
class Benchmark:
    """Where the clips and the reference lie, and how the comparison is run."""

    data: Path
    cache: Path
    size: tuple[int, int] = (SIDE, SIDE)
    reference_size: tuple[int, int] = (640, 640)
    threshold: float = 0.5


def calibration_images(source: Source, count: int) -> list[NDArray[np.float32]]:
    """Normalised frames (1×3×320×320 each), from a stream that training does not draw."""
    random = np.random.default_rng(2**31)
    images = [source.scene(SIDE, SIDE, random).image for _ in range(count)]
    return [np.ascontiguousarray(fit.to_tensor([image]).numpy()) for image in images]


def write(checkpoint: Path, path: Path, source: Source | None, calibration: int) -> int:
    """Export a checkpoint's averaged weights, int8 if a source is there to calibrate with; returns the images seen."""
    network, seen = fit.load_averaged(checkpoint)
    scores = fit.load_calibration(checkpoint)
    if source is None:
        export.export(network, path, scores)
        return seen
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        export.export(network, plain, scores)
        export.quantise(plain, path, calibration_images(source, calibration))
    return seen


def materials(benchmark: Benchmark) -> tuple[evaluate.InsightFaceDetector, list[Path]]:
    """The reference and the clips; FileNotFoundError if either is missing."""
    clips = sorted((benchmark.data / "clips").glob("*.mp4"))
    if not clips:
        raise FileNotFoundError(f"no clip in {benchmark.data / 'clips'}: set --data to the folder that holds clips/")
    return evaluate.InsightFaceDetector(benchmark.data / "models" / REFERENCE, benchmark.reference_size), clips


def compare(model: Path, benchmark: Benchmark) -> list[evaluate.Figures]:
    """Figures per clip and, last, of all clips together."""
    candidate = evaluate.InsightFaceDetector(model, benchmark.size, benchmark.threshold)
    reference, clips = materials(benchmark)
    figures: list[evaluate.Figures] = []
    frames: list[evaluate.FrameComparison] = []
    for clip in clips:
        width, height = benchmark.reference_size
        stored = benchmark.cache / "reference" / f"{clip.stem}-{clip.stat().st_size}-{width}x{height}.npz"
        of_clip, of_frames = evaluate.compare_clip(candidate, clip, evaluate.reference_faces(reference, clip, stored))
        figures.append(of_clip)
        frames += of_frames
    return [*figures, evaluate.summarise("all", frames)]


def compare_composites(model: Path, composer: Composer, count: int, threshold: float) -> list[evaluate.Figures]:
    """Figures on `count` composites of held-out faces (320×320), by the shorter side of the face in the input's px.

    Here the reference is the truth: where the face was pasted, and its known points.
    """
    detector = evaluate.InsightFaceDetector(model, (SIDE, SIDE), threshold)
    random = np.random.default_rng(2**31 + 1)
    buckets = ((6.0, 12.0), (12.0, 24.0), (24.0, 48.0), (48.0, float("inf")))
    frames: list[list[evaluate.FrameComparison]] = [[] for _ in buckets]
    for _ in range(count):
        scene = composer.scene(SIDE, SIDE, random)
        found = detector.detect(scene.image)
        for sides, bucket in zip(buckets, frames, strict=True):
            bucket.append(evaluate.compare_frame((scene.boxes, scene.points), found, sides, scene.ignored))
    names = [f"{first:.0f} to {last:.0f} px" for first, last in buckets]
    return [evaluate.summarise(name, bucket) for name, bucket in zip(names, frames, strict=True)]


def milliseconds(model: Path, size: tuple[int, int], rounds: int = 8, runs: int = 20) -> float:
    """Time of one run of the network on two threads: the best round's median, as other work only ever adds to it."""
    session = evaluate.InsightFaceDetector(model, size).model.session
    blob = np.zeros((1, 3, size[1], size[0]), np.float32)
    medians = []
    for _ in range(rounds):
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            session.run(None, {export.INPUT: blob})
            times.append(time.perf_counter() - start)
        medians.append(float(np.median(times)))
    return round(min(medians) * 1000, 2)


def publish(checkpoint: Path, path: Path, source: Source, calibration: int, benchmark: Benchmark) -> None:
    """Write the int8 file and its manifest entry, and make it the default detector.

    Raises as `materials`, before the file of the name is replaced.
    """
    materials(benchmark)
    seen = write(checkpoint, path, source, calibration)
    network, _ = fit.load_averaged(checkpoint)
    questions = exam.open_exam(benchmark.data, benchmark.cache)
    found = exam.take(path, questions).as_dict(benchmark.threshold)
    sets = {row["set"]: row for row in found["sets"]}
    people, rooms, clips = (sets[name] for name in ("people, held out", "rooms, held out", "all clips"))
    tracks, _ = exam.ghost_tracks(exam.open_detector(path, benchmark.threshold), questions.rooms)
    entry: manifest.Entry = {
        **manifest.file_facts(path),
        "kind": "detector",
        "licence": LICENCE,
        "trained_on": TRAINED_ON,
        "size": SIDE,
        "precision": "int8",
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "gmac": round(multiply_adds(network, SIDE, SIDE) / 1e9, 3),
        "images_seen": seen,
        "labels": "faces of at least 48 px that SCRFD-2.5g and YuNet agree on",
        "recall_people": people["recall"],
        "recall_clips": clips["recall"],
        "false_per_300_rooms": rooms["false_per_300"],
        "false_per_300_frames": clips["false_per_300"],
        "ghost_tracks_on_moving_rooms": tracks,
        "points_error_frontal": people["points_frontal"],
        "points_error_profile_median": people["points_profile_median"],
        "points_error_clips": clips["points_frontal"],
        "milliseconds": milliseconds(path, (SIDE, SIDE)),
        "milliseconds_320x192": milliseconds(path, (SIDE, 192)),
        "command": f"python -m train.detector judge weights/{path.name} --pan {len(questions.rooms)}",
    }
    manifest.record(path.with_name("manifest.toml"), path.stem, entry, default_for="detector")

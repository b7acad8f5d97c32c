"""What the commands measure with, and options that several of them take."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from frrcam.faces.detector import InsightFaceDetector
from frrcam.faces.tracker import Tracker
from train.common.paths import MOBILEFACENET, WEIGHTS
from train.common.progress import stepped
from train.data.faces import load_faces
from train.evaluate import dlib_identity, flicker, lpips, measure, timing
from train.publish import manifest, publish

DETECTOR = WEIGHTS / "frrcam-face-320.onnx"

Count = Annotated[int | None, typer.Option(min=1, help="How many held-out faces to look at; all if not given.")]
Record = Annotated[Path, typer.Option(help="JSON file that keeps what was measured of every version.")]
Weights = Annotated[Path, typer.Option(help="Folder of the files and their manifest.toml.")]


def tools(data: Path, runs: Path, count: int | None, *, clips: bool) -> publish.Tools:
    """Held-out faces, clips and networks to measure with; what is missing among clips, LPIPS and dlib is noted."""
    notes: dict[str, str] = {}
    distances = {}
    for name, load in (("lpips", lpips.load), ("dlib", dlib_identity.load)):
        distance, why = load()
        if why:
            notes[name] = why
        if distance:
            distances[name] = distance
    held = measure.held_out(load_faces(data, runs / "cache", measure.REFERENCE), count)
    bench = measure.Bench(held, measure.Identity(data / MOBILEFACENET), distances)
    found: list[flicker.Clip] = []
    files = sorted((data / "clips").glob("*.mp4"))
    if not clips:
        notes["flicker"] = "left out by --no-clips"
    elif not files:
        notes["flicker"] = f"no .mp4 in {data / 'clips'}"
    else:
        detector = InsightFaceDetector(DETECTOR)
        prepared = [
            flicker.prepare(files[i], detector, Tracker()) for i in stepped(range(len(files)), "following faces")
        ]
        found = [clip for clip in prepared if clip is not None]
    return publish.Tools(bench, found, notes, partial(timing.paper_file, runs), stepped)


def shipped_in(weights: Path) -> dict[str, manifest.Entry]:
    """The manifest's restorers; ValueError if it has none."""
    found = manifest.restorers(weights)
    if not found:
        raise ValueError(f"no restorer in {weights / manifest.NAME}: make some with python -m train export")
    return found


def int8_files() -> list[Path]:
    """The shipped restorers in int8."""
    return sorted(WEIGHTS.glob("frrnet-*-int8.onnx"))

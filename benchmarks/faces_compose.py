"""What tracking and composing cost on one core, and how steady and how quick they are: a table.

    python -m benchmarks.faces_compose

Times are the thread's own, median of many, so that a busy machine blurs them less.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drawn.moving_head import Pose, picture, wall
from benchmarks.drawn.noisy_face import Scene, flicker
from frrcam.compose import FaceMemory, blend
from frrcam.faces.alignment import crop, similarity
from frrcam.faces.tracker import Tracker

DT = 1 / 30
Add = Callable[[str, float], object]


def milliseconds(work: Callable[..., object], shots: Iterable[tuple[Any, ...]]) -> float:
    """Median time of one call, over calls with each shot's arguments."""
    spent = []
    for arguments in shots:
        start = time.thread_time()
        work(*arguments)
        spent.append(time.thread_time() - start)
    return float(np.median(spent)) * 1e3


def costs(add: Add) -> None:
    background = wall(720, 1280)
    for size in (336, 224):
        scene, memory = Scene(size), FaceMemory()
        looks = [scene.look() for _ in range(4)]
        crop_seen, change = looks[0]
        add(
            f"memory, fresh, {size}", milliseconds(memory.update, [(*look, scene.mask, 1.0, DT) for look in looks * 15])
        )
        add(f"memory, re-use, {size}", milliseconds(memory.update, [(crop_seen, None, None, None, 0.0)] * 60))
        for side in (60, 150, 300, 600):
            affine = similarity(Pose(640, 360, side).points, size)
            add(f"crop, {side} px face, {size}", milliseconds(crop, [(background, affine, size)] * 60))
            shot = (background.copy(), change, scene.mask, affine, 0.8)
            add(f"blend, {side} px face, {size}", milliseconds(blend, [shot] * 60))
    for side in (24, 60, 150, 300, 600):
        poses = [Pose(500 + 3.0 * i, 360, side) for i in range(60)]
        frames = [(picture(background, pose), i * DT, [pose.detection()]) for i, pose in enumerate(poses)]
        add(f"track, {side} px face", milliseconds(Tracker().update, frames))


def steadiness(add: Add) -> None:
    scene, memory = Scene(336), FaceMemory()
    looks = [scene.look() for _ in range(45)]
    shown = []
    for seen, change in looks:
        remembered = memory.update(seen, change, scene.mask, 1.0, DT)
        if remembered is not None:
            shown.append(seen + remembered.change)
    raw = flicker([seen + change for seen, change in looks][15:], scene.mask)
    add("flicker without memory, levels", raw)
    add("flicker with memory, levels", flicker(shown[15:], scene.mask))
    random, still = np.random.default_rng(1), Pose(320, 180, 150)
    tracker = Tracker()
    points = []
    for i in range(120):
        image = picture(wall(), still, noise=4.0, random=random)
        points.append(tracker.update(image, i * DT, [still.detection(random, 1.0)] if i % 3 == 0 else None)[0].points)
    add("points of a still face, detector ± 1 px, every third picture, px", np.std(points[60:], axis=0).max())


def main() -> None:
    cv2.setNumThreads(1)
    for unit, measure in (("ms", costs), ("figure", steadiness)):
        table = Table("what", unit)

        def add(what: str, figure: float, table: Table = table) -> None:
            table.add_row(what, f"{figure:.2f}")

        measure(add)
        Console().print(table)


if __name__ == "__main__":
    main()

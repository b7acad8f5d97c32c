"""What a training leaves behind in its folder: log.csv, validation.csv, validation.png and checkpoint.pt."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from train.common import progress
from train.common.files import replace
from train.common.images import tile, write_image
from train.data.faces import Faces
from train.fit import checkpoint
from train.fit.checkpoint import State
from train.fit.settings import Settings
from train.fit.validation import Pair, held_out_pairs, validate


class Journal:
    """What a training leaves behind in its folder: logs, sheets and checkpoints."""

    def __init__(
        self, out: Path, settings: Settings, seen: int, report: progress.Report, clock: Callable[[], float]
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("log.csv", "validation.csv"):
            forget(out / name, seen)
        self.out, self.settings, self.report, self.clock = out, settings, report, clock
        self.began = self.saved = clock()
        self.first = seen
        self.pairs: dict[int, list[Pair]] = {}

    def training(self, before: int, seen: int, means: dict[str, float]) -> None:
        """Log the mean terms since the last time; what remains is estimated by pixels, as large pictures come late."""
        size, elapsed = self.settings.phase(before).size, self.clock() - self.began
        done = self.settings.progress(seen) - self.settings.progress(self.first)
        left = elapsed * (1 - self.settings.progress(seen)) / max(done, 1e-9) / 60
        self.report(
            f"{seen} of {self.settings.images} images at {size} px, {(seen - self.first) / elapsed:.1f}/s, "
            f"{left:.0f} min left: " + ", ".join(f"{name} {value:.4f}" for name, value in means.items())
        )
        row = {"images": seen, "size": size, "rate": self.settings.rate_at(before), **means}
        log(self.out / "log.csv", row)

    def validation(self, state: State, faces: Faces, size: int) -> None:
        """Figures and a sheet (degraded, restored, original) of held-out faces, if there are any."""
        if not len(faces.indices(training=False)):
            self.report("validation: there is no held-out face")
            return
        if (
            size not in self.pairs
        ):  # kept: to degrade them again, on the CPU, takes longer than a GPU's steps in between
            self.pairs = {size: list(held_out_pairs(faces, size))}
        scores = validate(state.average, self.pairs[size], bf16=self.settings.bf16)
        self.report("validation: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        log(self.out / "validation.csv", {"images": state.images, "size": size, **scores})
        target, degraded, _ = self.pairs[size][0]
        with torch.no_grad():
            restored = state.average(degraded.to(state.device))[0].cpu()
        write_image(self.out / "validation.png", tile([degraded, restored, target], 8, 160))

    def checkpoint(self, state: State) -> None:
        """Write the checkpoint if the last one is old."""
        if self.clock() - self.saved > self.settings.checkpoint_seconds:
            checkpoint.save(self.out / "checkpoint.pt", state)
            self.saved = self.clock()


def logged(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV file with these rows and no others."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    replace(path, write)


def forget(path: Path, seen: int) -> None:
    """Drop the rows of a CSV file that are of more images than `seen`.

    A training that was killed has logged more than its last checkpoint has seen, and logs it again.
    """
    rows = logged(path)
    kept = [row for row in rows if float(row.get("images") or 0) <= seen]
    if len(kept) < len(rows):
        rewrite(path, list(rows[0]), kept)


def log(path: Path, row: dict[str, float]) -> None:
    """Append a row to a CSV file; a column that is new, as under another loss, is empty in the rows before."""
    before = logged(path)
    columns = list(dict.fromkeys([*(before[0] if before else ()), *row]))
    if before and columns == list(before[0]):
        with path.open("a", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)
    else:
        rewrite(path, columns, [*before, row])

"""The commands about the training data: collect, degradations."""

from pathlib import Path
from typing import Annotated

import typer

from train.common import progress
from train.common.paths import DATA, MOBILEFACENET, RUNS, YUNET, Data
from train.data import collect
from train.degrade import gallery
from train.evaluate.measure import Identity

app = typer.Typer()


@app.command("collect")
def collect_command(
    place: Annotated[Path, typer.Argument(help="Folder of pictures, or a bare git repository with --source.")],
    out: Annotated[Path, typer.Option(help="Folder of the shards, for `fit --data DATA::OUT`.")] = RUNS / "collected",
    source: Annotated[
        str | None, typer.Option(help=f"Which known set the repository is: {', '.join(collect.SOURCES)}.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the set; SOURCE or the folder's if not given.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of a folder's pictures, as its source states it.")] = "unknown",
    least: Annotated[int, typer.Option(min=64, help="Smallest aligned face to take, in pixels of the picture.")] = 240,
    data: Data = DATA,
) -> None:
    """Turn photographs into a shard of training faces: one sharp face each, and none that is kept for measuring."""
    if source is not None and source not in collect.SOURCES:
        raise ValueError(f"--source {source} is not known; known are {', '.join(collect.SOURCES)}")
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder")
    known = collect.SOURCES[source] if source else None
    pictures = collect.from_repository(place, known) if known else collect.from_folder(place)
    finder = collect.Finder(data / YUNET)
    kept = collect.Known(collect.embedding(Identity(data / MOBILEFACENET).embed), collect.kept_faces(data, finder))
    collector = collect.Collector(finder, kept, least)
    title, terms = name or source or place.name, known.licence if known else licence
    taken = (
        collector.take(title, path, content, terms)
        for path, content in progress.counted(pictures, f"looking at the pictures of {title}")
    )
    shard = out / f"faces-train-{title}-000.tar"
    collect.write((sample for sample in taken if sample is not None), shard)
    print(f"{shard}: " + ", ".join(f"{count} {reason}" for reason, count in collector.counts.most_common()))


@app.command("degradations")
def degradations_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    data: Data = DATA,
) -> None:
    """Draw what each operation of the degradation does, and random mixtures of them, on held-out SFHQ faces."""
    gallery.write(out, gallery.sheet(data))

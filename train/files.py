"""Files that appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file beside its place (.part), then rename it there, so that no reader sees half a file."""
    part = path.with_name(path.name + ".part")
    write(part)
    part.rename(path)

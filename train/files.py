"""Files that appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file beside its place (.part), then rename it there, so that no reader sees half a file."""
    part = path.with_name(path.name + ".part")
    write(part)
    part.rename(path)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """An array as a .npy file."""

    def write(part: Path) -> None:
        with part.open("wb") as file:  # by its name, numpy would add a suffix
            np.save(file, array)

    replace(path, write)

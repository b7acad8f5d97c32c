"""Files that appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frrcam.atomic import replacing


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a part file, which then becomes `path`. Raises OSError."""
    with replacing(path) as part:
        write(part)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """An array as a .npy file."""
    replace(path, lambda part: into(part, lambda file: np.save(file, array)))


def save_arrays(path: Path, **arrays: Any) -> None:
    """Arrays by name as a .npz file."""
    replace(path, lambda part: into(part, lambda file: np.savez(file, **arrays)))


def into(part: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill an opened file: by a name alone, numpy would add a suffix to it."""
    with part.open("wb") as file:
        write(file)

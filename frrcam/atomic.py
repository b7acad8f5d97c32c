"""Atomic writes: a file appears whole under its name or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def create_part(path: Path, mode: int = 0o666) -> Path:
    """Creates NAME.xxxxxxxx.part beside `path`, empty, under a name that no other process uses. Raises OSError.

    mode: permissions of the new file, less the process's umask.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    return part


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o666, durable: bool = False) -> Iterator[Path]:
    """The part file to write to: it becomes `path` if the body ends well, else it is removed.

    mode: permissions of the new file, less the process's umask. durable: the content is on the disk before the name
    changes, so that a power cut leaves the old file or the new one. Raises OSError.
    """
    part = create_part(path, mode)
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise

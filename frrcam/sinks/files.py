"""Files written whole or not at all, and what is said when they cannot be."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from frrcam.atomic import create_part, replacing
from frrcam.errors import SinkError, SinkForbidden, SinkNotFound, SinkUnusable

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


def no_folder(path: Path) -> SinkNotFound:
    """The folder that `path` is to lie in is not there."""
    return SinkNotFound(f"{path.parent}: no such folder; make it first: mkdir -p '{path.parent}'")


def write_error(path: Path, error: Exception) -> SinkError:
    """What the system, or FFmpeg, says against writing `path`, and what to do about it."""
    number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
    if number == errno.ENOENT and not path.absolute().parent.is_dir():
        return no_folder(path)
    if number in _DISK_FULL:
        return SinkUnusable(f"{path}: the disk is full ({reason}); nothing was kept, free some space and try again")
    if number in _NO_RIGHT:
        return SinkForbidden(f"{path}: no permission to write there ({reason}); pick another folder")
    return SinkUnusable(f"{path}: cannot be written: {reason}")


def make_part(path: Path) -> Path:
    """Creates the part file, in which `path` is written until it is whole. Raises SinkError."""
    try:
        _check_place(path)
        return create_part(path)
    except OSError as error:
        raise write_error(path, error) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The part file to write to: it gets the name of `path` if the body ends well, else it is removed.

    What the system refuses becomes a SinkError.
    """
    try:
        _check_place(path)
        with replacing(path) as part:
            yield part
    except OSError as error:
        raise write_error(path, error) from error


def check_target(path: Path) -> None:
    """Raises what writing a file there would: a long run is not to find that out at its end."""
    make_part(path).unlink()


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise SinkUnusable(f"{path}: is a folder, not a file; name another one")
    if not path.absolute().parent.is_dir():
        raise no_folder(path)

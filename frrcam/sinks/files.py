"""Files written whole or not at all, and what is said when they cannot be."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

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
    """Creates NAME.xxxxxxxx.part, in which `path` lies until it is whole; no other run's. Raises SinkError."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        if path.is_dir():
            raise SinkUnusable(f"{path}: is a folder, not a file; name another one")
        if not path.absolute().parent.is_dir():
            raise no_folder(path)
        part.open("xb").close()
    except OSError as error:
        raise write_error(path, error) from error
    return part


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The part file to write to: it gets the name of `path` if the body ends well, else it is removed.

    What the system refuses becomes a SinkError.
    """
    part = make_part(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Raises what writing a file there would: a long run is not to find that out at its end."""
    make_part(path).unlink()

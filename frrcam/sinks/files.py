"""Whether a file can be written, and what is said when it cannot."""

import errno
import os
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


def check_target(path: Path) -> None:
    """Raises what writing a file there would: a long run is not to find that out at its end."""
    folder = path.absolute().parent
    try:
        if path.is_dir():
            raise SinkUnusable(f"{path}: is a folder, not a file; name another one")
        if not folder.is_dir():
            raise no_folder(path)
    except OSError as error:
        raise write_error(path, error) from error
    if not os.access(folder, os.W_OK):
        raise SinkForbidden(f"{path}: no permission to write there; pick another folder")

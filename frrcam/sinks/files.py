"""What is said when a file cannot be written."""

import errno
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

"""What every file source asks of a file before a decoder sees it, and OpenCV kept quiet."""

import stat
from pathlib import Path

import cv2

from frrcam.errors import SourceForbidden, SourceNotFound, SourceUnusable


def quiet_opencv() -> None:
    """Keeps OpenCV's remarks off stderr: every failure is an error of ours, in one line."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def check_file(path: Path, kind: str) -> None:
    """Raises unless `path` is a file with something in it that may be read. `kind` is "clip" or "picture".

    SourceNotFound: nothing there. SourceForbidden: may not be read. SourceUnusable: a folder, a device, empty.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceUnusable(f"{path}: a folder; name one {kind} in it")
        if stat.S_ISCHR(status.st_mode):
            raise SourceUnusable(f"{path}: a device, not a {kind}; cameras are chosen with --device")
        if not stat.S_ISREG(status.st_mode):
            raise SourceUnusable(f"{path}: not a regular file")
        if status.st_size == 0:
            raise SourceUnusable(f"{path}: the file is empty (0 bytes)")
        with path.open("rb"):
            pass
    except PermissionError:
        raise SourceForbidden(f"{path}: no permission to read it; try: chmod u+r '{path}'") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise SourceNotFound(f"{path}: no such file") from None
        raise SourceNotFound(f"{path}: cannot be opened: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

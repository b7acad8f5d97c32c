"""How other commands find the running daemon: a small file that only its user can read.

$XDG_RUNTIME_DIR/frrcam/control.json, mode 0600: {"url": "http://127.0.0.1:PORT/TOKEN/", "token": TOKEN, "pid": PID}
"""

import contextlib
import http.client
import json
import os
import urllib.request
from pathlib import Path

import platformdirs
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frrcam.atomic import replacing
from frrcam.daemon.status import Status
from frrcam.errors import ControlError


class Daemon(BaseModel):
    """Where a running daemon answers."""

    model_config = ConfigDict(frozen=True)

    url: str = Field(pattern=r"^http://127\.0\.0\.1:[0-9]{1,5}/[!-~]*$")
    """The page, with its token: a program that knows it sees the camera."""
    token: str
    pid: int = Field(gt=0, lt=2**31)


def control_path() -> Path:
    """The file of this user's daemon; it need not exist. Where the system keeps no runtime folder, in the cache."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return (Path(runtime) / "frrcam" if runtime else Path(platformdirs.user_cache_dir("frrcam"))) / "control.json"


def announce(daemon: Daemon, path: Path) -> None:
    """Writes the file, whole or not at all, readable by this user only. Raises OSError.

    If another daemon is announced there and answers, its file stays: a second daemon must not hide the service.
    """
    with contextlib.suppress(ControlError):
        ask_status(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path, mode=0o600) as part:
        part.write_text(daemon.model_dump_json(), encoding="utf-8")


def stand_in(daemon: Daemon, path: Path) -> None:
    """Announces this daemon if no other one runs any more. Raises OSError."""
    with contextlib.suppress(ControlError):
        find_daemon(path)
        return
    announce(daemon, path)


def withdraw(daemon: Daemon, path: Path) -> None:
    """Removes the file if it is still this daemon's."""
    if _read(path) == daemon:
        path.unlink(missing_ok=True)


def find_daemon(path: Path | None = None) -> Daemon:
    """The daemon that announced itself and lives. Raises ControlError; a file left behind by a dead one is removed."""
    path = path or control_path()
    daemon = _read(path)
    if daemon is None:
        raise ControlError("no frrcam daemon runs for this user; start one: frrcam start")
    if not psutil.pid_exists(daemon.pid):
        path.unlink(missing_ok=True)
        raise ControlError(f"the frrcam daemon (process {daemon.pid}) has crashed; start one: frrcam start")
    return daemon


def ask_status(path: Path | None = None) -> Status:
    """The status of the running daemon. Raises ControlError when none answers."""
    return ask(find_daemon(path))


def ask(daemon: Daemon, timeout: float = 2.0) -> Status:
    """The status of this daemon. Raises ControlError when it does not answer within `timeout` seconds."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(daemon.url + "status", timeout=timeout) as response:
            return Status.model_validate_json(response.read())
    except (OSError, http.client.HTTPException) as error:  # what answers need not speak HTTP
        reason = " ".join(str(error).split())
        raise ControlError(
            f"the frrcam daemon (process {daemon.pid}) does not answer: {reason}; restart it if it hangs"
        ) from error
    except ValidationError as error:
        raise ControlError(f"what answers at process {daemon.pid} is not this version of frrcam; restart it") from error


def _read(path: Path) -> Daemon | None:
    try:
        return Daemon.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None

"""`frrcam service`: the daemon as a service of the user's systemd, there after every login."""

import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from frrcam.control.discovery import ask_status
from frrcam.daemon.readers import ClientEvents
from frrcam.daemon.status import Status
from frrcam.errors import ControlError, UsageError
from frrcam.install.setup import files
from frrcam.install.setup.run import Ran, Runner, find, run
from frrcam.linux.devices import list_virtual_cameras
from frrcam.linux.v4l2 import LINUX, System
from frrcam.say import Say

UNIT: Final = "frrcam.service"
ARGUMENTS: Final = ("start",)
"""What the service runs frrcam with; everything else comes from config.toml."""
PROPERTIES: Final = ("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "StatusText")
SHOW_EXIT: Final = ("show", UNIT, "--property=ExecMainStatus", "--value")
NAMESPACE_LINES: Final = re.compile(r"^# \[user namespace\].*?^# \[/user namespace\]\n", re.MULTILINE | re.DOTALL)
"""The part of the unit in which the open files of other programs cannot be seen."""
BACK_OFF_LINES: Final = re.compile(r"^# \[back-off\].*?^# \[/back-off\]\n", re.MULTILINE | re.DOTALL)
"""The part of the unit that lets the time between attempts grow, which systemd knows since 254."""
NO_BACK_OFF: Final = "RestartSec=5\n"
NAMESPACE_FAULTS: Final = frozenset({"217", "218", "226"})
"""ExecMainStatus where systemd could not build the sandbox: USER, CAPABILITIES, NAMESPACE of systemd.exec(5)."""


@dataclass(frozen=True, slots=True)
class Host:
    """The user's account, and through what it is looked at; tests put a made-up one here."""

    system: System = LINUX
    run: Runner = run
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    command: Sequence[str] = field(default_factory=lambda: own_command())
    """How frrcam is run: absolute."""
    ask: Callable[[], Status] = ask_status

    @property
    def unit_path(self) -> str:
        """Where the user's own units lie."""
        home = self.environment.get("HOME") or str(Path.home())
        return f"{self.environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/systemd/user/{UNIT}"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What systemd and the daemon say."""

    installed: bool
    enabled: bool
    """True if it starts at login."""
    active: bool
    state: str
    """In systemd's words: "active (running)", "activating (auto-restart)", "failed (exit-code)"."""
    restarts: int
    text: str
    """The daemon's own line to systemd."""
    daemon: Status | None
    """What `frrcam status` tells; None if no daemon answers."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "daemon": self.daemon.model_dump(mode="json") if self.daemon else None}

    def __str__(self) -> str:
        if not self.installed:
            return "not installed; see: frrcam service install"
        parts = [self.state, "starts at login" if self.enabled else "does not start at login"]
        parts += [f"restarted {self.restarts} times"] if self.restarts else []
        return "; ".join([*parts, *([self.text] if self.text else [])])


def own_command(argv0: str | None = None, executable: str = sys.executable) -> tuple[str, ...]:
    """How this frrcam is run, by absolute paths: the console script it came from, or Python with -m."""
    script = Path(sys.argv[0] if argv0 is None else argv0)
    if script.stem == "frrcam":
        path = find(str(script))
        if path is not None:
            return (os.path.abspath(path),)
    return (executable, "-m", "frrcam")


def unit(host: Host, *, namespace: bool = True, back_off: bool = True) -> str:
    """The unit's text for this user; without a `namespace`, less is locked away and other programs can be seen.

    back_off: False for a systemd that cannot let the time between attempts grow.
    """
    text = files.template(UNIT)
    line = " ".join(map(quoted, (*host.command, *ARGUMENTS)))
    text = re.sub(r"^ExecStart=.*$", lambda _: f"ExecStart={line}", text, count=1, flags=re.MULTILINE)
    text = text if back_off else BACK_OFF_LINES.sub(NO_BACK_OFF, text)
    return text if namespace else NAMESPACE_LINES.sub("", text)


def quoted(word: str) -> str:
    """One word of an Exec line, as systemd.service(5) wants it. Raises UsageError for a line break."""
    if re.search(r"[\0-\x1f\x7f]", word):
        raise UsageError(f"{word!r} holds control characters, which a unit file cannot: move frrcam elsewhere")
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def install(say: Say, host: Host | None = None) -> None:
    """Writes the unit and starts it, now and at every login.

    Raises ControlError (no systemd for this user, it does not start), UsageError (under sudo), SinkUnusable (the unit
    was not written by frrcam), SinkForbidden (it cannot be written).
    """
    host = host or Host()
    if host.environment.get("SUDO_USER"):
        raise UsageError("the service is the user's own: run this without sudo")
    back_off = _session_version(host) >= 254
    namespace = not _needs_to_see_others(host.system)
    ran = _start(host, say, unit(host, namespace=namespace, back_off=back_off))
    if ran.code and namespace and _systemctl(host, *SHOW_EXIT).output in NAMESPACE_FAULTS:
        say("this system lets no user's service have a namespace of its own: the unit goes without")
        ran = _start(host, say, unit(host, namespace=False, back_off=back_off))
    if ran.code:
        # the daemon's own words, not systemd's about it
        why = host.run(["journalctl", "--user", f"_SYSTEMD_USER_UNIT={UNIT}", "-n", "1", "-o", "cat", "-q"], True)
        reason = why.last_line if not why.code and why.output else ran.last_line
        raise ControlError(f"{UNIT} does not start ({reason}); systemd goes on trying; see: frrcam service logs")
    say("frrcam runs, and will after every login; see: frrcam service status")


def _start(host: Host, say: Say, text: str) -> Ran:
    """Writes the unit if it differs, and starts or restarts it; how that went."""
    change = files.writing(host.unit_path, text, host.system)
    if change:
        say(str(change).splitlines()[0])
        files.apply(change, host.system)
    _systemctl(host, "daemon-reload")
    _systemctl(host, "enable", UNIT)
    return host.run(["systemctl", "--user", "restart", UNIT], True)


def remove(say: Say, host: Host | None = None) -> None:
    """Stops it and takes the unit away. Raises ControlError, or SinkForbidden if the file cannot be removed."""
    host = host or Host()
    before = files.read(host.unit_path, host.system)
    if before is None:
        say(f"there is no {host.unit_path}: nothing to remove")
        return
    change = files.removing(host.unit_path, host.system)
    if change is None:
        raise ControlError(f"{host.unit_path} was not written by frrcam: remove it yourself if you mean it")
    _session_version(host)
    _systemctl(host, "disable", "--now", UNIT)
    files.apply(change, host.system)
    _systemctl(host, "daemon-reload")
    host.run(["systemctl", "--user", "reset-failed", UNIT], True)  # it may never have failed: then this does
    say(str(change))


def status(host: Host | None = None) -> ServiceStatus:
    """What systemd tells of the unit and the daemon of itself. Raises ControlError where there is no user session."""
    host = host or Host()
    _session_version(host)
    ran = _systemctl(host, "show", UNIT, f"--property={','.join(PROPERTIES)}")
    properties = dict(line.partition("=")[::2] for line in ran.output.splitlines())
    active, result, restarts = (
        properties.get("ActiveState", "unknown"),
        properties.get("Result", ""),
        properties.get("NRestarts", ""),
    )
    detail = result if active == "failed" else properties.get("SubState", "")
    try:
        daemon = host.ask()
    except ControlError:
        daemon = None
    return ServiceStatus(
        installed=properties.get("LoadState") == "loaded",
        enabled=properties.get("UnitFileState") == "enabled",
        active=active == "active",
        state=f"{active} ({detail})" if detail else active,
        restarts=int(restarts) if restarts.isdecimal() else 0,
        text=properties.get("StatusText", ""),
        daemon=daemon,
    )


def logs(lines: int = 50, follow: bool = False, host: Host | None = None) -> None:
    """Shows what the service has said. Raises ControlError if the journal cannot be read."""
    host = host or Host()
    ran = host.run(
        ["journalctl", "--user", "-u", UNIT, "-n", str(lines), "--no-pager", *(["-f"] if follow else [])], False
    )
    if ran.code == 127:
        raise ControlError("this system has no journal (journalctl is not there)")
    if ran.code not in (0, 130, -2):  # Ctrl-C ends --follow
        raise ControlError(
            f"the journal cannot be read (exit code {ran.code}); where it is kept in memory only, the user's part "
            f"needs: sudo journalctl _SYSTEMD_USER_UNIT={UNIT}"
        )


def _session_version(host: Host) -> int:
    """The version of the user's systemd, 0 if it does not say. Raises ControlError where none answers."""
    ran = host.run(["systemctl", "--user", "show", "--property=Version"], True)
    if ran.code == 127:
        raise ControlError("this system has no systemd; let your desktop's own autostart run: frrcam start")
    if ran.code:
        user = host.environment.get("USER") or "$USER"
        raise ControlError(
            f"no systemd session of this user answers ({ran.last_line}); log in to the desktop, or, on a machine "
            f"reached by ssh or su: sudo loginctl enable-linger {user}, then log in again"
        )
    version = re.match(r"Version=(\d+)", ran.output)
    return int(version[1]) if version else 0


def _systemctl(host: Host, *arguments: str) -> Ran:
    ran = host.run(["systemctl", "--user", *arguments], True)
    if ran.code:
        raise ControlError(f"systemctl --user {' '.join(arguments)}: {ran.last_line}")
    return ran


def _needs_to_see_others(system: System) -> bool:
    """True if v4l2loopback does not tell who watches, so that it has to be looked for among other programs' files."""
    for camera in list_virtual_cameras(system):
        try:
            ClientEvents(camera.node, system).close()
        except OSError as error:
            return error.errno in (errno.EINVAL, errno.ENOTTY)
        return False
    return False

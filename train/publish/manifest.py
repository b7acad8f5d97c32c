"""weights/manifest.toml: what each file in weights/ is, what it was trained on, and what was measured of it."""

import hashlib
import tempfile
import tomllib
from pathlib import Path

from frrcam.atomic import replacing

Value = str | int | float | bool | list[int]
Entry = dict[str, Value]
Manifest = dict[str, dict[str, Value | Entry]]

NAME = "manifest.toml"
HEAD = "# Written by train/publish/manifest.py. Figures are as last measured, by the command beside them.\n"


def read(path: Path) -> Manifest:
    """The manifest at `path`; an empty one where there is no file. ValueError if it is broken."""
    if not path.exists():
        return {"default": {}, "models": {}}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no manifest: {error}") from error
    return {"default": dict(content.get("default", {})), "models": dict(content.get("models", {}))}


def restorers(weights: Path) -> dict[str, Entry]:
    """The restorers' entries in the manifest of a folder, by name."""
    models = read(weights / NAME)["models"].items()
    return {
        name: entry for name, entry in sorted(models) if isinstance(entry, dict) and entry.get("kind") == "restorer"
    }


def quoted(text: str) -> str:
    """A TOML basic string."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'


def literal(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def render(manifest: Manifest) -> str:
    """TOML, tables sorted by name, keys in the order they came in."""
    lines = [HEAD, "[default]"]
    lines += [
        f"{key} = {literal(value)}" for key, value in sorted(manifest["default"].items()) if not isinstance(value, dict)
    ]
    for name, entry in sorted(manifest["models"].items()):
        if isinstance(entry, dict):
            lines += ["", f"[models.{quoted(name)}]", *(f"{key} = {literal(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def record(path: Path, name: str, entry: Entry, default_for: str | None = None) -> None:
    """Put one model's entry into the manifest, leave the others, and make it the default `restorer` or `detector`.

    The file is replaced whole (a temporary file, then a rename) under a lock beside it, so that two writers lose
    nothing and a reader sees the old or the new.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(
        tempfile.gettempdir(), f"frrcam-manifest-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    ).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        manifest = read(path)
        manifest["models"][name] = dict(entry)
        if default_for is not None:
            manifest["default"][default_for] = name
        with replacing(path) as part:
            part.write_text(render(manifest), encoding="utf-8")


def file_facts(path: Path) -> Entry:
    """File name, sha256 and bytes of a weights file."""
    content = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

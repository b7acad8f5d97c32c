"""Remember what was set on the page, so that the next start begins with it."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from frrcam.atomic import replacing
from frrcam.config import Settings
from frrcam.daemon.settings import LiveValue

KEPT = ("strength", "preset", "light", "colour", "noise", "sharpness", "reach", "where", "mirror", "max_faces")
"""What is remembered. Whether enhancement is on is not: a start enhances."""


def state_path() -> Path:
    """Where it is remembered; it need not exist."""
    return Path(platformdirs.user_state_dir("frrcam")) / "page.json"


def at_start(settings: Settings, path: Path) -> LiveValue:
    """The settings that a run begins with: what was remembered, below what was set by file, environment or flag.

    A file that cannot be read, or holds what is no setting, counts as empty.
    """
    value = LiveValue.at_first(settings)
    explicit = _explicit(settings)
    remembered = {key: kept for key, kept in _read(path).items() if key in KEPT and key not in explicit}
    try:
        return LiveValue.model_validate({**value.model_dump(), **remembered})
    except ValidationError:
        return value


def remember(path: Path, value: LiveValue) -> None:
    """Keep the settings for the next start. What the system refuses is passed over: a call goes on without it."""
    content = json.dumps({key: entry for key, entry in value.model_dump().items() if key in KEPT}, indent=1)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(content, encoding="utf-8")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _explicit(settings: Settings) -> set[str]:
    """Names of live settings that a file, the environment or a flag set."""
    light = set(settings.light.model_fields_set)
    if "preset" in light:
        light |= {"light", "colour", "noise", "sharpness"}
    return light | settings.restore.model_fields_set | settings.camera.model_fields_set

"""What the checks look through, and what they find."""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from frrcam.config import load_settings
from frrcam.install import service
from frrcam.install.service import ServiceStatus
from frrcam.linux import pipewire_stream
from frrcam.linux.v4l2 import LINUX, System
from frrcam.restore import models, providers
from frrcam.restore.models import Manifest, ModelEntry

Status = Literal["ok", "info", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    title: str
    status: Status
    detail: str
    """One line."""
    remedy: str = ""
    """The command to run, or what to do; "" where there is nothing to fix."""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probes:
    """What the checks look through; tests put made-up answers here."""

    system: System = LINUX
    providers: Callable[[], Sequence[tuple[str, str]]] = providers.status
    """(name, one line) of every execution provider."""
    manifest: Callable[[], Manifest] = models.load_manifest
    verify: Callable[[ModelEntry], object] = models.verify
    version: Callable[[str], str] = importlib.metadata.version
    python: tuple[int, ...] = sys.version_info[:3]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    service: Callable[[], ServiceStatus] = service.status
    pipewire: Callable[[], object] = pipewire_stream.library
    label: Callable[[], str] = lambda: load_settings().output.label
    """What the virtual camera that frrcam publishes to is called."""

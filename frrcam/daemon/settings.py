"""What may be changed while it runs, as one immutable value that is swapped whole."""

import threading
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frrcam.config import Settings
from frrcam.errors import UsageError


class LiveValue(BaseModel):
    """The settings in force for one frame. Types are strict: 0.5 is a strength, "0.5" is not."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    strength: float = Field(1.0, ge=0, le=1, description="share of the network's change that is applied")
    mirror: bool = Field(False, description="flip left and right")
    enabled: bool = Field(True, description="false passes the camera's picture through")
    max_faces: int = Field(4, ge=1, le=16, description="faces enhanced at the most, largest first")

    @classmethod
    def at_first(cls, settings: Settings) -> Self:
        """What a run begins with."""
        restore = settings.restore
        return cls(strength=restore.strength, mirror=settings.camera.mirror, max_faces=restore.max_faces)


class LiveSettings:
    """Read by the processing thread once a frame, posted to by the page. A reader never sees half a change."""

    def __init__(self, value: LiveValue | None = None) -> None:
        self._value = value or LiveValue()
        self._lock = threading.Lock()

    @property
    def value(self) -> LiveValue:
        """The settings in force."""
        return self._value

    def update(self, changes: Mapping[str, Any]) -> LiveValue:
        """Changes the given keys and returns the new value; nothing changes if any of them is wrong.

        Raises UsageError naming the key, the value and the bound.
        """
        with self._lock:
            try:
                self._value = LiveValue.model_validate({**self._value.model_dump(), **changes})
            except ValidationError as error:
                raise UsageError("; ".join(_line(fault) for fault in error.errors())) from None
            return self._value


def _line(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key} is not a setting; there are {', '.join(LiveValue.model_fields)}"
    return f"{key} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"

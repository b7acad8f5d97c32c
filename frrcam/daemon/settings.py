"""What may be changed while it runs, as one immutable value that is swapped whole."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frrcam.amounts import KINDS, NATURAL_LIGHT, PRESETS, Amounts, Preset, Reach, Where
from frrcam.config import Settings
from frrcam.errors import UsageError


class LiveValue(BaseModel):
    """The settings in force for one frame. Types are strict: 0.5 is a strength, "0.5" is not."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    strength: float = Field(1.0, ge=0, le=1, description="share of the network's change that is applied")
    preset: Preset = Field("natural", description="natural, bright or repair: sets the four amounts below")
    light: float = Field(NATURAL_LIGHT, ge=0, le=1, description="missing light that is given; above 0.7 without care")
    colour: float = Field(1.0, ge=0, le=1, description="colour cast that is taken off")
    noise: float = Field(1.0, ge=0, le=1, description="noise reduction of what is lit")
    sharpness: float = Field(1.0, ge=0, le=1, description="detail that the network restores on faces")
    reach: Reach = Field("person", description="how far the light goes: face, person or picture")
    where: Where = Field("scene", description="face: outside the faces every pixel stays the camera's")
    mirror: bool = Field(False, description="flip left and right")
    enabled: bool = Field(True, description="false passes the camera's picture through")
    max_faces: int = Field(4, ge=1, le=16, description="faces enhanced at the most, largest first")

    @classmethod
    def at_first(cls, settings: Settings) -> Self:
        """What a run begins with."""
        restore, amounts = settings.restore, settings.light.amounts
        return cls(
            strength=restore.strength,
            preset=settings.light.preset,
            mirror=settings.camera.mirror,
            max_faces=restore.max_faces,
            **asdict(amounts),
        )

    @property
    def amounts(self) -> Amounts:
        """How much of each kind of change is wanted."""
        return Amounts(self.light, self.colour, self.noise, self.sharpness, self.reach, self.where)


class LiveSettings:
    """Read by the processing thread once a frame, posted to by the page. A reader never sees half a change."""

    def __init__(
        self, value: LiveValue | None = None, remember: Callable[[LiveValue], None] = lambda value: None
    ) -> None:
        """`remember` is called with each new value."""
        self._value = value or LiveValue()
        self._remember = remember
        self._lock = threading.Lock()

    @property
    def value(self) -> LiveValue:
        """The settings in force."""
        return self._value

    def update(self, changes: Mapping[str, Any]) -> LiveValue:
        """Changes the given keys and returns the new value; nothing changes if any of them is wrong.

        A preset brings its four amounts with it; those that are given beside it count.
        Raises UsageError naming the key, the value and the bound.
        """
        chosen = PRESETS.get(changes["preset"]) if isinstance(changes.get("preset"), str) else None
        brought = {kind: getattr(chosen, kind) for kind in KINDS} if chosen else {}
        with self._lock:
            try:
                self._value = LiveValue.model_validate({**self._value.model_dump(), **brought, **changes})
            except ValidationError as error:
                raise UsageError("; ".join(_line(fault) for fault in error.errors())) from None
            self._remember(self._value)
            return self._value


def _line(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key} is not a setting; there are {', '.join(LiveValue.model_fields)}"
    return f"{key} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"

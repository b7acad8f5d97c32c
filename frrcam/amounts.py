"""How much of each kind of change the user wants, and the presets."""

from dataclasses import dataclass, replace
from typing import Literal

Reach = Literal["face", "person", "picture"]
"""How far the light goes: to the face and hair, to the person as from a lamp at the screen, or to everything."""
Where = Literal["scene", "face"]
"""Where the picture may change: anywhere, or inside the faces' masks only."""
Preset = Literal["natural", "bright", "repair"]

KINDS = ("light", "colour", "noise", "sharpness")
"""The amounts that a preset sets."""
NATURAL_LIGHT = 0.7
"""The amount of light that exposes as a careful photographer does. What is above it is given without that care: a
picture that was meant to be moody is lit as well."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What the user wants of each kind, [0,1]."""

    light: float = NATURAL_LIGHT
    """Of the light that the scene and the faces lack."""
    colour: float = 1.0
    """Of the colour cast that is taken off."""
    noise: float = 1.0
    """Of the noise reduction where light is given."""
    sharpness: float = 1.0
    """Of the detail that the network restores."""
    reach: Reach = "person"
    where: Where = "scene"

    @property
    def careful_light(self) -> float:
        """Share of the light that a careful photographer would give, [0,1]."""
        return min(self.light / NATURAL_LIGHT, 1.0)

    @property
    def eager(self) -> float:
        """How much of a photographer's care is left out, [0,1]."""
        return max(self.light - NATURAL_LIGHT, 0.0) / (1 - NATURAL_LIGHT)


PRESETS: dict[Preset, Amounts] = {
    "natural": Amounts(),
    "bright": Amounts(light=1.0),
    "repair": Amounts(light=0.0, colour=0.0),
}
"""Natural is the default. Bright gives all the light that is missing. Repair leaves light and colour alone."""


def preset_with(
    preset: Preset,
    *,
    light: float | None = None,
    colour: float | None = None,
    noise: float | None = None,
    sharpness: float | None = None,
    reach: Reach = "person",
    where: Where = "scene",
) -> Amounts:
    """A preset's amounts, with those that are given in their place."""
    given = zip(KINDS, (light, colour, noise, sharpness), strict=True)
    amounts = {kind: value for kind, value in given if value is not None}
    return replace(PRESETS[preset], reach=reach, where=where, **amounts)

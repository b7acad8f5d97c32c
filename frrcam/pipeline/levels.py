"""The rungs of work, best first, and what one of them asks of a frame.

rung        model      each face's network result    faces
best        largest    fresh on every frame          all
…           smaller    fresh on every frame          all
half        smallest   fresh on every 2nd frame      all     (between, the last change is re-used in face space)
third       smallest   fresh on every 3rd frame      all
two faces   smallest   fresh on every 3rd frame      the largest two
main face   smallest   fresh on every 3rd frame      the largest
glimpses    smallest   fresh on every 6th frame      the largest
plain       none       –                             none    (the camera's picture)

Where a camera gives fewer pictures than it says, a face's result is fresh every half second all the same, as long as
that leaves every second picture without one: its last change would fade.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of work."""

    name: str
    model: str | None
    """The restorer's name; None passes the camera's picture through."""
    every: int = 1
    """A face's network result is fresh on one frame in this many."""
    faces: int | None = None
    """At most this many faces, largest first; None for as many as the user allows."""

    def serves(self, faces: int) -> int:
        """How many of `faces` are enhanced."""
        return min(faces, self.faces or faces) if self.model else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the pipeline is to do with one frame."""

    rung: str
    reason: str
    """Why this rung and no better one, for people."""
    model: str | None
    faces: int
    """At most this many faces are enhanced."""
    fresh: int
    """How many of them get a new network result; the others re-use their last change in face space."""
    detect: bool
    """True if this frame runs the detector."""


def ladder(models: Sequence[str]) -> tuple[Rung, ...]:
    """The rungs over a family of restorers, best first (their names, best to lightest; may be empty)."""
    if not models:
        return (Rung("plain", None),)
    light = models[-1]
    return (
        *(Rung(model, model) for model in models),
        Rung("half", light, every=2),
        Rung("third", light, every=3),
        Rung("two faces", light, every=3, faces=2),
        Rung("main face", light, every=3, faces=1),
        Rung("glimpses", light, every=6, faces=1),
        Rung("plain", None),
    )

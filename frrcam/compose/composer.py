"""Compose one picture: the scene in its new light, and each face's restored detail on top."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frrcam.amounts import Amounts
from frrcam.compose.blend import Change, blend
from frrcam.compose.detail import in_light
from frrcam.compose.exposure import halved
from frrcam.compose.monochrome import in_tone
from frrcam.compose.relight import Relight, Seen
from frrcam.compose.temporal import Remembered
from frrcam.compose.tone import Toner
from frrcam.faces.alignment import Affine, crop
from frrcam.frame import Image


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face of the frame, cut out, with what is remembered of its restoration."""

    id: int
    affine: Affine
    """2×3, from the picture to the crop."""
    crop: Image
    """S×S×3 BGR, as the camera gave it."""
    remembered: Remembered | None
    """The network's steady answer; None where there is none."""
    restored: Change | None
    """S×S×3 float32 BGR, levels: the remembered face itself."""
    presence: float
    """[0,1]: how far its effect has come up."""
    confidence: float
    """[0,1]: how surely it is a face."""
    served: bool
    """False for a face that is only fading out."""


class Composer:
    """Owned by one thread; remembers the light of the frames before."""

    def __init__(self, *, still: bool = False) -> None:
        """`still`: it is one picture, and there is time."""
        self._relight, self._toner = Relight(), Toner(still=still)

    @property
    def active(self) -> bool:
        """True while light is still shown of a face that may be gone."""
        return self._relight.active

    def reset(self) -> None:
        """Forget the frames before: another camera, another size, a long gap."""
        self._relight.reset()
        self._toner.reset()

    def light(self, image: Image, faces: Sequence[Face], strength: float, amounts: Amounts, dt: float) -> Image:
        """The picture (H×W×3 BGR) in its new light; the picture itself where none is lacking.

        strength: [0,1], scales all amounts. dt: seconds since the frame before.
        """
        if strength * max(amounts.light, amounts.colour) <= 0:
            self.reset()
            return image
        half = halved(image)
        size = image.shape[1], image.shape[0]
        seen = [_seen(face) for face in faces if face.served]
        field = self._relight.update(half, seen, dt, strength, amounts, size)
        if field is None:
            self._toner.reset()
            return image
        return self._toner.apply(image, *field, amounts.noise * strength, dt, half)

    def detail(self, camera: Image, lit: Image, faces: Sequence[Face], strength: float, amounts: Amounts) -> Image:
        """A new picture: `lit` with each face's restored detail; `camera` outside the masks if `where` is "face"."""
        inside = amounts.where == "face"
        image = camera.copy() if inside or lit is camera else lit
        for face in faces:
            if face.remembered is None or face.restored is None:
                continue
            shown = face.presence * face.confidence
            amount = strength * amounts.sharpness * shown * face.remembered.effect
            lights = inside and lit is not camera
            if amount <= 0 and not lights:
                continue
            under = face.crop if lit is camera else crop(lit, face.affine, face.crop.shape[0])
            change = in_light(face.restored, under, face.remembered.mask)
            change = in_tone(change, face.crop)
            if not lights:
                blend(image, under, change, face.remembered.mask, face.affine, amount)
                continue
            whole = np.asarray(under - face.crop.astype(np.float32) + np.float32(amount) * change, np.float32)
            blend(image, face.crop, whole, face.remembered.mask, face.affine, 1.0)
        return image


def _seen(face: Face) -> Seen:
    remembered = face.remembered
    if remembered is None:
        return Seen(face.id, face.affine, face.crop, None, None, 0.0, face.confidence)
    return Seen(face.id, face.affine, face.crop, face.restored, remembered.mask, remembered.effect, face.confidence)

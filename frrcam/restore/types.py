"""What the restore folder speaks of, and the fake that tests use."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from frrcam.frame import Image
from frrcam.restore.contract import Tensor, to_tensor


@dataclass(frozen=True, slots=True)
class Restored:
    """FRR-Net's word on a batch of N faces (shapes and ranges: restore/contract.py)."""

    restored: Tensor
    mask: Tensor
    distortion: Tensor


class Restorer(Protocol):
    """One FRR-Net, loaded and warm."""

    @property
    def name(self) -> str:
        """The manifest's name, or the file's stem."""

    @property
    def size(self) -> int:
        """S: the side in pixels of the crops it takes."""

    @property
    def provider(self) -> str:
        """What it runs on now: "cpu", "openvino", "cuda" …; changes when a broken provider was left."""

    def restore(self, crops: list[Image]) -> Restored:
        """Restores N aligned BGR crops of S×S×3. Raises ModelError when every provider has failed."""

    def close(self) -> None:
        """Frees the session. Idempotent."""


STRIPE = 6
"""Width in pixels of a bright and a dark stripe together."""


class FakeRestorer:
    """Draws stripes of ±`gain` inside a centred disc, which no light could draw; fails while `broken`. For tests."""

    def __init__(self, name: str = "fake", size: int = 64, gain: float = 0.1, distortion: float = 1.0) -> None:
        self.name, self.size, self.provider = name, size, "cpu"
        self.gain, self.distortion, self.broken, self.calls = gain, distortion, False, 0

    def restore(self, crops: list[Image]) -> Restored:
        self.calls += 1
        if self.broken:
            raise RuntimeError("fake: the provider broke")
        image = to_tensor(crops)
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        disc = ((axis[:, None] ** 2 + axis**2) < 0.5).astype(np.float32)
        mask = np.broadcast_to(disc, (len(crops), 1, self.size, self.size)).copy()
        words = np.full((len(crops), 3), self.distortion, np.float32)
        stripes = np.where(np.arange(self.size) % STRIPE < STRIPE // 2, self.gain, -self.gain).astype(np.float32)
        return Restored(np.clip(image + stripes, 0, 1), mask, words)

    def close(self) -> None:
        self.calls += 0

"""Temporal flicker on clips: the warping error of the restored face less that of the face as it came.

Warping error (Lai et al., ECCV 2018, Eq. 11): the difference between a frame and the one before it, moved along the
optical flow, where the flow holds. The flow is the input's (DIS, Kroeger et al., ECCV 2016), for both. The camera's
noise and the flow's faults are in both, so the excess is what the network adds; it is negative where the network takes
noise away, and grows with the contrast that it adds. Frame by frame, without the live path's smoothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frrcam.faces import alignment
from frrcam.faces.types import Detection, Detector, Track
from frrcam.restore import contract
from train.evaluate.measure import REFERENCE, Restorer, chunks, shown_by
from train.evaluate.timing import Progress, silent

Image = NDArray[np.uint8]
Map = NDArray[np.float32]
FRAMES = 32


class Follows(Protocol):
    """A tracker (`frrcam.faces.tracker.Tracker`)."""

    def update(self, image: Image, timestamp: float, detections: list[Detection] | None) -> list[Track]: ...


def frames(clip: Path, count: int) -> Iterator[tuple[Image, float]]:
    """The first `count` frames of a clip with their times in seconds; ValueError if it shows none."""
    capture = cv2.VideoCapture(str(clip))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
        for index in range(count):
            there, image = capture.read()
            if not there:
                if not index:
                    raise ValueError(f"{clip} shows no picture: is it a video?")
                return
            yield np.asarray(image, np.uint8), index / rate
    finally:
        capture.release()


def aligned(pictures: Iterator[tuple[Image, float]], detector: Detector, tracker: Follows) -> list[Image]:
    """Crops (336×336×3 BGR) of the face that is followed longest, one for each frame that shows it."""
    crops: dict[int, list[Image]] = {}
    for image, time in pictures:
        for track in tracker.update(image, time, list(detector.detect(image))):
            affine = alignment.similarity(track.points, REFERENCE)
            crops.setdefault(track.id, []).append(alignment.crop(image, affine, REFERENCE))
    return max(crops.values(), key=len, default=[])


def sample(image: Map, places: Map) -> Map:
    """The image's (H×W×C) values at places (H×W×2, pixels), interpolated; outside it, its edge."""
    columns, rows = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    found = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


@dataclass(frozen=True)
class Flow:
    """From a frame back to the one before: where each place was (H×W×2, pixels), and where that holds (H×W, 0 or 1)."""

    source: Map
    holds: Map

    def error(self, before: Map, after: Map) -> Map:
        """Squared difference (H×W) of a frame (H×W×3) and the one before it, moved along."""
        moved = sample(before, self.source)
        return np.asarray(np.square(after - moved).mean(2), np.float32)


def flow(before: Image, after: Image) -> Flow:
    """Between two crops (H×W×3 BGR). It holds where the flow back and forth meets (Sundaram et al., ECCV 2010)."""
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (before, after)]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = grey[0].shape
    backward, forward = (
        np.asarray(dis.calc(a, b, np.zeros((height, width, 2), np.float32)), np.float32)
        for a, b in ((grey[1], grey[0]), (grey[0], grey[1]))
    )
    place = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32)
    source = place + backward
    back = sample(forward, source)
    off = np.square(backward + back).sum(2)
    holds = off < 0.01 * (np.square(backward).sum(2) + np.square(back).sum(2)) + 0.5
    holds &= ((source >= 0) & (source <= (width - 1, height - 1))).all(2)
    return Flow(source, holds.astype(np.float32))


@dataclass(frozen=True)
class Clip:
    """The crops of one clip's face, ready for any restorer: RGB tensors (N×3×336×336) and the flows between them."""

    name: str
    images: Tensor
    flows: list[Flow]


def prepare(clip: Path, detector: Detector, tracker: Follows, count: int = FRAMES) -> Clip | None:
    """The face of a clip's first frames; None where none is followed over two of them."""
    crops = aligned(frames(clip, count), detector, tracker)
    if len(crops) < 2:
        return None
    flows = [flow(before, after) for before, after in pairwise(crops)]
    return Clip(clip.stem, torch.from_numpy(contract.to_tensor(crops)), flows)


def warping_errors(images: Tensor, flows: list[Flow], regions: Tensor) -> Tensor:
    """Root mean square warping error of each step (N−1), in 8-bit levels, under the regions (N×1×H×W, [0,1])."""
    pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
    found = []
    for step, between in enumerate(flows):
        weight = between.holds * regions[step + 1, 0].numpy()
        error = between.error(pictures[step], pictures[step + 1])
        found.append(255 * float(np.sqrt((error * weight).sum() / weight.sum())) if weight.any() else float("nan"))
    return torch.tensor(found)


def measure(restore: Restorer, size: int, clip: Clip, progress: Progress = silent) -> dict[str, dict[str, Tensor]]:
    """Warping errors of input and output as shown (N−1 each), on the whole crop and inside the mask, at 336 px."""
    restored, masks = [], []
    for rows in chunks(len(clip.images), progress, f"clip {clip.name}"):
        shown, mask = shown_by(restore, size, clip.images[rows])
        restored.append(shown)
        masks.append((mask > 0.5).float())
    inside = torch.cat(masks)
    regions = {"whole": torch.ones_like(inside), "inside": inside}
    return {
        name: {
            "input": warping_errors(clip.images, clip.flows, region),
            "restored": warping_errors(torch.cat(restored), clip.flows, region),
        }
        for name, region in regions.items()
    }

"""What it costs that the classifier reads the trunk's own features and not a face network's (paper 002, §3.2).

The paper's classifier sees VGGFace's features; the frame has no time for such a network (`frrnet.GlobalView` is what
stands for it). Here the same three labels are learnt from a face network's features, MobileFaceNet's, and both are
asked about the same held-out faces.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from frrcam.restore import contract
from train.common import metrics
from train.data.faces import Faces, Jitter, batch
from train.degrade.pipeline import PAPER, degrade
from train.evaluate import measure
from train.evaluate.measure import Restorer
from train.evaluate.timing import Progress, silent
from train.networks.face_features import Seen

BATCH = 32
EPOCHS = 60
HIDDEN = 64

Features = Callable[[Tensor], Seen]


@dataclass(frozen=True)
class Comparison:
    """F1 by distortion, and macro, of a head on a face network's features and of the restorer itself; milliseconds."""

    images: int
    held_out: int
    face_network: dict[str, float]
    restorer: dict[str, float]
    face_network_ms: float
    restorer_ms: float


def described(seen: Seen) -> Tensor:
    """Mean and deviation of each channel of each map, and the embedding, as one row of numbers (N×D)."""
    parts = [numbers for found in seen.maps for numbers in (found.mean((2, 3)), found.std((2, 3)))]
    return torch.cat(parts if seen.embedding is None else [*parts, seen.embedding], 1)


def lessons(features: Features, faces: Faces, images: int, progress: Progress = silent) -> tuple[Tensor, Tensor]:
    """Descriptions (N×D) and labels (N×3) of `images` training faces degraded by Eq. 2 at the evaluation's size."""
    training = faces.indices(training=True)
    random = np.random.default_rng(0)
    rows = []
    for start in progress(range(0, images, BATCH), "describing degraded faces"):
        chosen = random.choice(training, min(BATCH, images - start))
        target, _ = batch(faces, chosen, measure.REFERENCE, Jitter(), random)
        degraded, labels = degrade(target, PAPER, torch.Generator().manual_seed(start))
        with torch.no_grad():
            rows.append((described(features(degraded)), labels))
    descriptions, labels = (torch.cat(column) for column in zip(*rows, strict=True))
    return descriptions, labels


def fit_head(descriptions: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Descriptions (N×D) to probabilities (N×3): one hidden layer, on evened-out descriptions."""
    torch.manual_seed(0)
    mean, deviation = descriptions.mean(0), descriptions.std(0) + 1e-6
    head = nn.Sequential(nn.Linear(descriptions.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, 3))
    optimiser = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=1e-2)
    even = (descriptions - mean) / deviation
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(even)), BATCH):
            loss = functional.binary_cross_entropy_with_logits(head(even[rows]), labels[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    head.eval().requires_grad_(False)
    return lambda found: head((found - mean) / deviation).sigmoid()


def scores(labels: Tensor, probabilities: Tensor) -> dict[str, float]:
    """F1 of each distortion and their mean."""
    found = metrics.f1(labels, probabilities)
    return {"macro": float(found.mean()), **dict(zip(contract.DISTORTIONS, found.tolist(), strict=True))}


def compare(
    features: Features,
    restore: Restorer,
    size: int,
    faces: Faces,
    images: int,
    milliseconds: tuple[float, float],
    progress: Progress = silent,
) -> Comparison:
    """Both on the held-out faces. milliseconds: of the face network and of the restorer, for one face."""
    head = fit_head(*lessons(features, faces, images, progress))
    held = measure.held_out(faces)
    small = held.at(size)
    rows = [slice(start, start + BATCH) for start in range(0, len(held), BATCH)]
    with torch.no_grad():
        on_features = torch.cat([head(described(features(held.degraded[part]))) for part in rows])
    own = torch.cat([restore(small.degraded[part])[2] for part in rows])
    return Comparison(images, len(held), scores(held.labels, on_features), scores(held.labels, own), *milliseconds)

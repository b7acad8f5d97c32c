"""Mask labels for faces that have none: a small teacher learns the face region from faces-seg and labels faces-train.

The teacher is an FRR-Net whose mask head alone is trained. faces-seg shows real people and is for non-commercial
research: its labels reach FRR-Net's mask head, nothing else, and the model card says so.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from frrcam.faces import alignment
from train.common import metrics, mixed_precision, progress, statistics
from train.common.files import save_array
from train.data.faces import LABELS, STILL, Faces, Jitter, batch, canvas_affine, canvas_size, decode
from train.data.shards import read_shards
from train.degrade.pipeline import Degradation, degrade
from train.fit import checkpoint, losses
from train.networks.frrnet import FRRNet

REGION = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
"""CelebAMask-HQ's face: skin, nose, glasses, eyes, brows, ears, mouth and lips; not hair, hat or neck."""
SIZE = 128


class Landmarks:
    """Five points of the largest face in a picture, by YuNet (its order is the template's)."""

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise FileNotFoundError(f"{model}: no such file: set --data to the folder that holds models/")
        self.detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.5)

    def find(self, image: NDArray[np.uint8]) -> alignment.Points | None:
        """5×2 pixels, or None where no face is found."""
        self.detector.setInputSize((image.shape[1], image.shape[0]))
        _, faces = self.detector.detect(image)
        if faces is None or not len(faces):
            return None
        largest = max(np.asarray(faces, np.float32), key=lambda face: float(face[2] * face[3]))
        return np.ascontiguousarray(largest[4:14].reshape(5, 2), np.float32)


def read_segmented(data: Path, yunet: Path, size: int = SIZE) -> Faces:
    """Aligned canvases of faces-seg with their face region (0 or 255); faces that YuNet does not find are left out."""
    landmarks, side = Landmarks(yunet), canvas_size(size)
    keys, canvases, masks = [], [], []
    for key, files in read_shards(data, "faces-seg-*.tar"):
        image = decode(files["webp"])
        points = landmarks.find(image)
        classes = palette_indices(files["seg.png"])
        if points is None:
            continue
        affine = canvas_affine(points, size)
        region = np.isin(classes, REGION).astype(np.uint8) * np.uint8(255)
        if region.shape != image.shape[:2]:
            region = np.asarray(cv2.resize(region, image.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
        keys.append(key)
        canvases.append(alignment.crop(image, affine, side)[..., ::-1])
        masks.append(
            cv2.warpAffine(region, affine, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        )
    return Faces(np.stack(canvases), size, tuple(keys), np.stack(masks).astype(np.uint8))


def palette_indices(content: bytes) -> NDArray[np.uint8]:
    """Class numbers (H×W) of a palette PNG, which OpenCV would turn into colours."""
    return np.asarray(Image.open(BytesIO(content)), np.uint8)


@dataclass(frozen=True)
class Settings:
    """How the teacher is trained."""

    images: int = 40_000
    """Pictures that the teacher is shown."""
    batch: int = 16
    """Pictures in a step."""
    rate: float = 2e-3
    """Highest learning rate."""
    seed: int = 1
    """Of weights, data order, jitter and degradation."""

    def __post_init__(self) -> None:
        for name in ("images", "batch", "rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name} must be above 0, not {getattr(self, name)}")


def fit_teacher(
    faces: Faces,
    settings: Settings,
    report: progress.Report = print,
    *,
    advance: progress.Advance = progress.silent,
) -> FRRNet:
    """Train the teacher on the segmented faces that are not held out, under one cosine."""
    torch.manual_seed(settings.seed)
    teacher = checkpoint.build({"width": 8, "depth": 2, "stem_stride": 2, "blocks": (1, 1, 2)})
    optimiser = torch.optim.AdamW(teacher.parameters(), settings.rate)
    steps = max(1, settings.images // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps, pct_start=0.1)
    training = faces.indices(training=True)
    random, generator = np.random.default_rng(settings.seed), torch.Generator().manual_seed(settings.seed)
    jitter, mild = Jitter(0.06, 0.02, 6, 0.5), Degradation(probability=0.2)
    for step in range(steps):
        images, masks = batch(faces, random.choice(training, settings.batch), faces.size, jitter, random)
        if masks is None:
            raise ValueError("the segmented faces carry no masks")
        degraded, _ = degrade(images, mild, generator)
        with mixed_precision.convolutions("cpu"):
            logits = teacher.logits(degraded.contiguous(memory_format=torch.channels_last))[1]
        loss = losses.dice(masks, logits.sigmoid()) + functional.binary_cross_entropy_with_logits(logits, masks)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        advance((step + 1) / steps, f"mask teacher: step {step + 1} of {steps}")
        if step % max(1, steps // 20) == 0:
            report(f"mask teacher: step {step} of {steps}, loss {float(loss.detach()):.4f}")
    teacher.eval().requires_grad_(False)
    return teacher


@dataclass(frozen=True)
class Scores:
    """Dice of the teacher's masks on `faces` held-out faces: mean, its 95 % bootstrap interval, and the lowest."""

    faces: int
    dice: float
    low: float
    high: float
    lowest: float


def dice_scores(network: FRRNet, faces: Faces) -> Scores:
    """Dice on the held-out segmented faces, undegraded and aligned by their points as they are."""
    rows = []
    for index in faces.indices(training=False):
        image, mask = batch(faces, np.array([index]), faces.size, STILL, np.random.default_rng(0))
        if mask is None:
            raise ValueError("the segmented faces carry no masks")
        rows.append(metrics.dice(mask, network(image)[1]))
    values = torch.cat(rows)
    found = statistics.known(statistics.mean(values))
    return Scores(len(values), found.value, found.low, found.high, float(values.min()))


def save_teacher(path: Path, teacher: FRRNet, settings: Settings) -> None:
    """The teacher as a file that `checkpoint.load_network` reads; labels beside it are another's, and go."""
    (path.parent / LABELS).unlink(missing_ok=True)
    content = {"shape": checkpoint.shape_of(teacher), "average": teacher.state_dict(), "images": settings.images}
    checkpoint.write(path, content)


class Labeller:
    """The teacher's masks (N×1×S×S) of aligned pictures (N×3×S×S) of any side: for faces that carry no labels."""

    def __init__(self, teacher: FRRNet) -> None:
        self.teacher = teacher

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        small = functional.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
        mask: Tensor = self.teacher(small)[1]
        return functional.interpolate(mask, images.shape[-2:], mode="bilinear", antialias=True, align_corners=False)


def label(teacher: FRRNet, faces: Faces, path: Path) -> None:
    """Write the face region of every canvas (M×C×C uint8, C that of the teacher's canvases) to `path`."""
    side = canvas_size(SIZE)
    labels = np.zeros((len(faces), side, side), np.uint8)
    for start in progress.stepped(range(0, len(faces), 16), "labelling faces"):
        canvases = faces.canvases[start : start + 16]
        small = np.stack([cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA) for canvas in canvases])
        images = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
        with mixed_precision.convolutions("cpu"):
            masks = teacher(images)[1]
        labels[start : start + 16] = (masks[:, 0] * 255).round().byte().numpy()
    save_array(path, labels)

"""Turn public sources of face photographs into shards of the kind that `fit` reads: one aligned face a sample.

A source is a folder of pictures, or a bare git repository at one commit. Each picture passes four checks, and the
summary counts what each one rejects: one face, large enough, sharp, and not one that is kept for measuring.
Nothing of a source is committed: the shards stay where the command writes them.
"""

import fnmatch
import hashlib
import io
import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from frrcam.atomic import replacing
from frrcam.faces import alignment
from train.data.faces import canvas, decode, held_out
from train.data.shards import TRAINING, read_shards

Image = NDArray[np.uint8]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """Where the pictures of one public set are: a repository at a commit, and patterns of paths (`fnmatch`) in it."""

    repository: str
    commit: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    licence: str = "none stated"


SOURCES = {
    "mebeauty": Source(
        "fbplab/MEBeauty-database",
        "7b849562ee92d99d34d56afa2ebe85e5075f9b20",
        ("original_images/*",),
        licence="non-commercial research",
    ),
    "real-fake": Source(
        "ItsME-TM/Real-Fake-Face-Detection",
        "bdf9dc68e0090fcef420450b3d89be9a672223d6",
        ("dataset/training_real/real_*.jpg",),
    ),
    "scut": Source(
        "qijialiv-cell/SCUT-FBP5500-Beauty-Score",
        "aab5287e5b4055575fc2417e442d0c0dd953a83e",
        ("SCUT-FBP5500_v2/Images/*.jpg",),
        licence="non-commercial research",
    ),
    # dataset/real 00000 to 00599 are kept for judging, and must never be trained on
    "ai-lab": Source(
        "zoya2244/AI-Lab-Final-Project-FALL25",
        "6ba4ed681898babed9edc650e99a74b9c7605700",
        ("dataset/ai/*.jpg", "dataset/real/00[6-9]??.jpg", "dataset/real/01???.jpg"),
    ),
    "webmorph": Source(
        "debruine/webmorphR.stim",
        "fa8b78fda2d659bb74ce62fcd99c4407551d2a77",
        ("inst/neutral_front/*", "inst/smiling_front/*", "inst/3dsk/*", "inst/canada/*"),
        licence="CC BY 4.0",
    ),
}
"""The sets that shared/data/faces.md names."""

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LOOKED_AT = 640
"""Longest side in pixels at which faces are looked for: the detector knows no larger ones."""
LEAST_SCORE = 0.7
"""Of the detector, for the one face."""
SECOND = 0.35
"""Another face must be smaller than this share of the first, else it is unclear who is meant."""
FRAME = 1.3
"""Side of what is kept, over the side of the aligned crop: room for the training's jitter."""
STORED = 400
"""Longest side in pixels of a stored picture."""
SOFT = 0.066
"""Share of the fine contrast below which a picture counts as soft: enlarged, out of focus, or smoothed."""
SAME_PERSON = 0.55
"""Cosine of embeddings above which a face may be one that is kept for measuring."""
TWIN = 0.97
"""Cosine above which two pictures of a source are the same picture."""


@dataclass(frozen=True)
class Found:
    """The face of a picture: its five points (5×2 px) and the side in the picture's pixels of its aligned crop."""

    points: Array
    side: float


class Finder:
    """The one face of a picture, by YuNet."""

    def __init__(self, model: Path) -> None:
        """FileNotFoundError if there is no such model."""
        if not model.is_file():
            raise FileNotFoundError(f"{model}: no such file: set --data to the folder that holds models/")
        self.detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.5)

    def __call__(self, image: Image) -> Found | None:
        """None if the picture (BGR) has no face, or more than one that could be meant."""
        ratio = min(1.0, LOOKED_AT / max(image.shape[:2]))
        size = max(round(image.shape[1] * ratio), 1), max(round(image.shape[0] * ratio), 1)
        self.detector.setInputSize(size)
        _, rows = self.detector.detect(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        if rows is None:
            return None
        faces = sorted(np.asarray(rows, np.float32), key=lambda row: -float(row[3]))
        if faces[0][14] < LEAST_SCORE or (len(faces) > 1 and faces[1][3] > SECOND * faces[0][3]):
            return None
        points = np.ascontiguousarray(faces[0][4:14].reshape(5, 2) / np.float32(ratio))
        return Found(points, 1000 / alignment.scale(alignment.similarity(points, 1000)))


def from_repository(git: Path, source: Source) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the source's pictures in a bare repository; no content where the copy lacks a file.

    Raises ValueError if the repository does not have the commit.
    """
    command = ["git", "--git-dir", str(git)]
    listed = subprocess.run([*command, "ls-tree", "-r", "-z", source.commit], capture_output=True, check=False)
    if listed.returncode:
        reason = listed.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"{git}: cannot read {source.commit[:12]} of {source.repository}: {' '.join(reason)}")
    entries = [entry.partition(b"\t") for entry in listed.stdout.split(b"\0") if entry]
    chosen = [
        (path, about.split()[2])
        for about, _, name in entries
        if wanted(path := name.decode(errors="surrogateescape"), source)
    ]
    with subprocess.Popen([*command, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for path, blob in chosen:
            reader.stdin.write(blob + b"\n")
            reader.stdin.flush()
            _, kind, *size = reader.stdout.readline().split()
            content = reader.stdout.read(int(size[0]) + 1)[:-1] if kind == b"blob" else b""
            yield path, content


def wanted(path: str, source: Source) -> bool:
    """Whether a path is one of the source's pictures."""
    return (
        path.lower().endswith(PICTURES)
        and any(fnmatch.fnmatch(path, pattern) for pattern in source.include)
        and not any(fnmatch.fnmatch(path, pattern) for pattern in source.exclude)
    )


def from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every picture in a folder and below, by name; FileNotFoundError if there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise FileNotFoundError(f"{folder}: no picture in it ({', '.join(PICTURES)})")
    for path in paths:
        yield str(path.relative_to(folder)), path.read_bytes()


def sharpness(face: Image) -> float:
    """Share of a face's contrast (BGR, its aligned crop) that is finer than half its resolution."""
    grey = np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), np.float32)
    side = grey.shape[0]
    inner = grey[side // 5 : -side // 5, side // 5 : -side // 5]
    half = cv2.resize(inner, (inner.shape[1] // 2, inner.shape[0] // 2), interpolation=cv2.INTER_AREA)
    fine = inner - cv2.resize(half, inner.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return float(fine.std() / max(float(inner.std()), 1.0))


class Known:
    """Embeddings of the faces that are kept for measuring, and of those that have been taken."""

    def __init__(self, embed: Callable[[Image], Array], kept: list[Image]) -> None:
        self.embed = embed
        self._kept = np.stack([embed(face) for face in kept]) if kept else np.zeros((0, 1), np.float32)
        self._taken: list[Array] = []

    def verdict(self, face: Image) -> str | None:
        """Why a face (aligned crop, BGR) is refused; None if it is new, and then it counts as taken."""
        own = self.embed(face)
        if len(self._kept) and float((self._kept @ own).max()) > SAME_PERSON:
            return "kept for measuring"
        if self._taken and float((np.stack(self._taken) @ own).max()) > TWIN:
            return "a twin of another"
        self._taken.append(own)
        return None


def embedding(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Image], Array]:
    """A face network as a function from an aligned crop (BGR uint8) to a unit vector (128).

    `network` takes tensors (N×3×S×S, RGB, [0,1]) to unit vectors (N×128), as `train.evaluate.measure.Identity.embed`.
    """

    def embed(face: Image) -> Array:
        tensor = torch.from_numpy(np.ascontiguousarray(face[..., ::-1])).permute(2, 0, 1)[None].float() / 255
        return np.asarray(network(tensor)[0].numpy(), np.float32)

    return embed


def kept_faces(data: Path, finder: Finder) -> list[Image]:
    """Aligned crops of every face that is measured on: held-out ones, the people, and the wild ones.

    Raises FileNotFoundError if the shards are not in `data`.
    """
    faces = [canvas(key, files, 112)[..., ::-1] for key, files in read_shards(data, TRAINING) if held_out(key)]
    for _, files in read_shards(data, "people-*.tar") if list(data.glob("people-*.tar")) else ():
        image, about = decode(files["webp"]), json.loads(files["json"])
        for face in about["faces"]:
            points = np.array(face["points"], np.float32)
            if face["box"][3] - face["box"][1] >= 48:
                faces.append(aligned(image, points, 112))
    for path in sorted((data / "wild").glob("*.jpg")):
        image = decode(path.read_bytes())
        if (found := finder(image)) is not None:
            faces.append(aligned(image, found.points, 112))
    return [np.ascontiguousarray(face) for face in faces]


def aligned(image: Image, points: Array, size: int) -> Image:
    """The aligned crop (size×size×3 BGR); averaged down first where the face is larger, so that it does not alias."""
    affine = alignment.similarity(points, size)
    ratio = alignment.scale(affine)
    if ratio < 0.67:
        factor = ratio / 0.67
        small = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
        scales = np.array(small, np.float32) / np.array(image.shape[1::-1], np.float32)
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        affine = alignment.similarity(np.asarray(points * scales, np.float32), size)
    return alignment.crop(image, affine, size)


@dataclass(frozen=True)
class Sample:
    """What goes into a shard: the picture (BGR) around one face, and its JSON."""

    key: str
    image: Image
    about: dict[str, object]


def framed(image: Image, found: Found) -> tuple[Image, Array]:
    """The square around a face, at most `STORED` px, and its five points there; edges repeat beyond the picture."""
    side = max(round(found.side * FRAME), 1)
    inverse = cv2.invertAffineTransform(alignment.similarity(found.points, 1000))
    centre = inverse @ (499.5, 499.5, 1)
    left, top = (round(float(c) - side / 2) for c in centre)
    above, below = max(-top, 0), max(top + side - image.shape[0], 0)
    before, after = max(-left, 0), max(left + side - image.shape[1], 0)
    padded = cv2.copyMakeBorder(image, above, below, before, after, cv2.BORDER_REPLICATE)
    row, column = top + above, left + before
    square = padded[row : row + side, column : column + side]
    points = found.points - np.array((left, top), np.float32)
    if side > STORED:
        square = cv2.resize(square, (STORED, STORED), interpolation=cv2.INTER_AREA)
        points = (points + 0.5) * np.float32(STORED / side) - 0.5
    return np.asarray(square, np.uint8), points


class Collector:
    """Checks pictures one by one, and counts what each check refuses."""

    def __init__(self, finder: Finder, known: Known, least: int) -> None:
        self.finder, self.known, self.least = finder, known, least
        self.counts: Counter[str] = Counter()

    def take(self, name: str, path: str, content: bytes, licence: str) -> Sample | None:
        """A picture's sample; None, and the reason counted, if a check refuses it."""
        seen = self._look(name, path, content, licence)
        self.counts[seen if isinstance(seen, str) else "taken"] += 1
        return None if isinstance(seen, str) else seen

    def _look(self, name: str, path: str, content: bytes, licence: str) -> Sample | str:
        try:
            image = decode(content)
        except ValueError:
            return "not a picture"
        found = self.finder(image)
        if found is None:
            return "not one face"
        if found.side < self.least:
            return f"smaller than {self.least} px"
        if sharpness(aligned(image, found.points, min(round(found.side), 256))) < SOFT:
            return "soft"
        if (reason := self.known.verdict(aligned(image, found.points, 112))) is not None:
            return reason
        square, points = framed(image, found)
        about = {
            "source": name,
            "path": path,
            "licence": licence,
            "native_px": round(found.side, 1),
            "kps": [round(float(value), 1) for value in points.ravel()],
            "size": square.shape[0],
        }
        return Sample(hashlib.sha256(content).hexdigest()[:12], square, about)


def write(samples: Iterator[Sample], path: Path) -> None:
    """Write a shard: KEY.webp and KEY.json of each sample; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, tarfile.open(part, "w") as tar:
        seen = set()
        for sample in samples:
            if sample.key in seen:
                continue
            seen.add(sample.key)
            picture = cv2.imencode(".webp", sample.image, (cv2.IMWRITE_WEBP_QUALITY, 95))[1].tobytes()
            for name, content in (("webp", picture), ("json", json.dumps(sample.about).encode())):
                member = tarfile.TarInfo(f"{sample.key}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

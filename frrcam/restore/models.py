"""Which networks there are: the manifest in weights/, what was fetched by the user, and files given by path.

Asking for a model never loads it: `resolve` gives an entry, `verify` compares its bytes with the manifest,
session.py loads it and holds it against the contract.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from frrcam.errors import ModelCorrupt, ModelError, ModelNotFound
from frrcam.restore.packs import PACKS, fetched_dir

Kind = Literal["restorer", "detector"]
Precision = Literal["fp32", "fp16", "int8"]
Figure = Annotated[float | None, BeforeValidator(lambda value: None if value == "not measured" else value)]

MANIFEST = "manifest.toml"


class ModelEntry(BaseModel):
    """One network on disk. What a detector does not have, or was not measured, is None."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    name: str
    path: Path = Field(exclude=True)
    kind: Kind
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="of the file; None for one given by path")
    bytes: int | None = Field(None, gt=0)
    licence: str = "unknown"
    trained_on: str | None = None
    width: int | None = Field(None, gt=0, description="channels per unit of stem stride (paper 002 §3.2)")
    depth: int | None = Field(None, gt=0, description="layers in a dense block")
    stem_stride: int | None = Field(None, gt=0)
    size: int | None = Field(None, gt=0, description="side of its input in pixels")
    precision: Precision | None = None
    parameters: int | None = Field(None, gt=0)
    gmac: float | None = Field(None, gt=0, description="10^9 multiply-accumulates for one face")
    images_seen: int | None = Field(None, ge=0, description="faces it was trained on, repeats counted")
    psnr: Figure = Field(None, description="dB on held-out faces, distorted ones only")
    ssim: Figure = None
    lpips: Figure = None
    identity: Figure = Field(None, description="cosine of face embeddings, restored against true")
    milliseconds: Figure = Field(None, gt=0, description="median for one face on two CPU cores")
    command: str | None = Field(None, description="what measures these figures again")


class Manifest(BaseModel):
    """weights/manifest.toml, read and checked."""

    model_config = ConfigDict(frozen=True)

    default: dict[Kind, str]
    models: dict[str, ModelEntry]

    def of_kind(self, kind: Kind) -> list[ModelEntry]:
        return [entry for entry in self.models.values() if entry.kind == kind]


def weights_dir() -> Path:
    """Where the weights are: inside the installed package, or the checkout's weights/. It may not exist."""
    packaged = Path(__file__).parents[1] / "_weights"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "weights"


def load_manifest(path: Path | None = None) -> Manifest:
    """Reads the manifest (default: `weights_dir()`'s). Raises ModelNotFound or ModelError naming the wrong key."""
    path = path or weights_dir() / MANIFEST
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ModelNotFound(
            f"no model manifest at {path}: reinstall frrcam, or give a model with --model FILE.onnx"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the model manifest {path} cannot be read: {error}") from None
    return parse_manifest(text, path)


def parse_manifest(text: str, path: Path) -> Manifest:
    """The manifest in a text that stands at `path`, beside its models. Raises ModelError naming the wrong key."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"the model manifest {path} cannot be read: {error}") from None
    models = content.get("models")
    for name, fields in models.items() if isinstance(models, dict) else ():
        if not isinstance(fields, dict):
            raise ModelError(f"the model manifest {path}: models.{name} is {fields!r}, not a table")
        file = str(fields.get("file", ""))
        if not file or Path(file).name != file:
            raise ModelError(f"the model manifest {path}: models.{name}.file is {file!r}, not a plain file name")
        fields |= {"name": name, "path": path.parent / file}
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"the model manifest {path}: {key}: {first['msg']}") from None
    for kind, name in manifest.default.items():
        if name not in manifest.models or manifest.models[name].kind != kind:
            raise ModelError(f"the model manifest {path}: default.{kind} names {name!r}, which is no {kind} of it")
    return manifest


def fetched(folder: Path | None = None) -> list[ModelEntry]:
    """What `frrcam models fetch` has brought: one detector for each pack."""
    folder = folder or fetched_dir()
    return [
        ModelEntry(
            name=pack.name,
            path=folder / pack.name / pack.detector,
            kind="detector",
            sha256=pack.detector_sha256,
            bytes=pack.detector_bytes,
            licence=pack.licence,
            trained_on="not published",
            precision="fp32",
        )
        for pack in PACKS.values()
        if os.path.isfile(folder / pack.name / pack.detector)  # Path.is_file raises where it may not look
    ]


def resolve(model: str, kind: Kind, manifest: Manifest | None = None, folder: Path | None = None) -> ModelEntry:
    """The entry that "auto", a NAME (in the manifest or fetched) or a FILE.onnx stands for.

    A file needs no manifest. Raises ModelNotFound with the names there are, or if the entry's file is not there.
    """
    if model.lower().endswith(".onnx"):
        path = Path(os.path.expanduser(model))  # os.path: Path raises for a ~name that there is not, and too long a one
        if not os.path.isfile(path):
            raise ModelNotFound(f"no model file {model}: check the path, or see the names of `frrcam models`")
        return ModelEntry(name=path.stem, path=path, kind=kind)
    manifest = manifest or load_manifest()
    known = {entry.name: entry for entry in [*fetched(folder), *manifest.of_kind(kind)] if entry.kind == kind}
    name = manifest.default.get(kind, "auto") if model == "auto" else model
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        hint = f"; `frrcam models fetch {name}` gets it" if name in PACKS and kind == "detector" else ""
        raise ModelNotFound(f"no {kind} called {name!r} (there are: {names}){hint or ', and no FILE.onnx either'}")
    entry = known[name]
    if not entry.path.is_file():
        raise ModelNotFound(f"the {kind} {name} is in the manifest, but {entry.path} is not there: reinstall frrcam")
    return entry


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(entry: ModelEntry) -> str:
    """Compares a model's bytes with its manifest entry and returns their SHA-256.

    Raises ModelCorrupt for an empty, truncated or changed file, ModelNotFound if there is none.
    """
    try:
        size = entry.path.stat().st_size
        found = digest(entry.path)
    except OSError as error:
        raise ModelNotFound(f"the model {entry.path} cannot be read: {error.strerror}") from None
    if size == 0:
        raise ModelCorrupt(f"the model {entry.path} is empty (0 bytes): {_remedy(entry)}")
    if entry.bytes is not None and size < entry.bytes:
        raise ModelCorrupt(f"the model {entry.path} is cut off ({size} of {entry.bytes} bytes): {_remedy(entry)}")
    if entry.sha256 is not None and found != entry.sha256:
        raise ModelCorrupt(
            f"the model {entry.path} is not the one in the manifest"
            f" (SHA-256 {found[:12]}…, expected {entry.sha256[:12]}…): {_remedy(entry)}"
        )
    return found


def _remedy(entry: ModelEntry) -> str:
    if entry.name in PACKS and entry.kind == "detector":
        return f"run `frrcam models fetch {entry.name}` again"
    return "reinstall frrcam" if entry.sha256 else "export or copy it again"


def as_json(entries: Iterable[ModelEntry]) -> list[dict[str, object]]:
    """What `frrcam models --json` prints: every field of every entry, `file` its absolute path."""
    return [entry.model_dump() | {"file": str(entry.path.absolute())} for entry in entries]

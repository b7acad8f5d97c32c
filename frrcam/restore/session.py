"""One FRR-Net in ONNX Runtime: loaded, held against the contract, warm, and moved on when its provider breaks."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from frrcam.errors import ModelCorrupt, ModelError, ModelMismatch, ModelNotFound, ProviderError, one_line
from frrcam.restore.contract import DISTORTIONS, INPUT, OUTPUTS, Image, Tensor, to_tensor
from frrcam.restore.models import ModelEntry, verify
from frrcam.restore.types import Restored

_log = logging.getLogger(__name__)

Notices = Callable[[str], None]
"""Takes one line that the user should see once: a provider was left, and why."""


def silent(text: str) -> None:
    """Drops notices: the log has them all the same."""


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that is used here."""

    def get_inputs(self) -> Sequence[Any]: ...
    def get_outputs(self) -> Sequence[Any]: ...
    def run(self, output_names: Sequence[str], feed: dict[str, Tensor]) -> list[Tensor]: ...


class Provider(Protocol):
    """One way to run a network. Shipped ones: providers.py; tests hand in their own."""

    @property
    def name(self) -> str:
        """As in `--provider`: "cpu", "openvino", "cuda" …"""

    @property
    def version(self) -> str | None:
        """Of what runs it; None if that is not installed."""

    @property
    def batches(self) -> bool:
        """True if several faces in one run take less time than one by one."""

    def open(self, path: Path, threads: int) -> Session:
        """Loads a network. Any exception means "not here"; ProviderError's text is shown as it stands."""


@dataclass(frozen=True, slots=True)
class Step:
    """A network and what runs it: a GPU likes another file of it (fp16) than a CPU (int8)."""

    model: ModelEntry
    provider: Provider


class OnnxRestorer:
    """`types.Restorer` over a ladder of steps, best first; the last one should be the CPU.

    The constructor loads and warms the first step that works. When a later run raises, the next step takes over
    within the same call, and one notice says so; the last one stays, and its failures are ModelErrors.
    Not thread-safe: one thread at a time.

    ladder: networks of one size S and the providers to run them on.
    threads: CPU threads for one run.
    beside: runs every second face meanwhile, where the provider takes them one by one: two runs side by side keep two
    cores busy, one run on two threads does not (2 faces at 160 px: 6.3 ms against 8.9 one after the other).
    required: the first step must load (the user named its provider): ProviderError instead of the next one.
    Raises ModelNotFound, ModelCorrupt or ModelMismatch for a file's faults, ModelError if no provider takes it.
    """

    def __init__(
        self,
        ladder: Sequence[Step],
        threads: int = 2,
        *,
        beside: Executor | None = None,
        required: bool = False,
        notices: Notices = silent,
    ) -> None:
        if not ladder:
            raise ValueError("a ladder needs at least one step")
        self._ladder, self._threads, self._beside, self._notices = list(ladder), threads, beside, notices
        self._session: Session | None = None
        try:
            self._load()
        except (ModelNotFound, ModelCorrupt, ModelMismatch):
            raise
        except Exception as error:
            if required:
                raise ProviderError(f"{one_line(error)}; or use --provider auto") from error
            self._advance(error)

    @property
    def name(self) -> str:
        return self._ladder[0].model.name

    @property
    def provider(self) -> str:
        return self._ladder[0].provider.name

    @property
    def size(self) -> int:
        return self._size

    def restore(self, crops: list[Image]) -> Restored:
        """Restores N aligned BGR crops of S×S×3. Raises ValueError for other shapes, ModelError when all has failed."""
        for crop in crops:
            if crop.shape != (self.size, self.size, 3):
                raise ValueError(f"{self.name} takes crops of {self.size}×{self.size}×3, not {crop.shape}")
        if not crops:
            nothing = np.empty((0, 3, self.size, self.size), np.float32)
            return Restored(nothing, nothing[:, :1], np.empty((0, 3), np.float32))
        while True:
            if self._session is None:
                raise ModelError(f"the model {self.name} is closed")
            try:
                return self._run(self._session, crops)
            except Exception as error:
                self._advance(error)

    def close(self) -> None:
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _load(self) -> None:
        """Opens the ladder's first step, checks the contract and warms it up."""
        step = self._ladder[0]
        session = open_session(step, self._threads)
        self._size = check_contract(session, self.name)
        self._batches = step.provider.batches and not isinstance(session.get_inputs()[0].shape[0], int)
        warm = self._run(session, [np.full((self._size, self._size, 3), 128, np.uint8)])
        if not all(np.isfinite(output).all() for output in (warm.restored, warm.mask, warm.distortion)):
            raise ProviderError("its results are not finite numbers")
        self._session = session

    def _run(self, session: Session, crops: list[Image]) -> Restored:
        if self._batches or len(crops) == 1:
            return _run(session, crops)
        if self._beside is None:
            return _stack([_run(session, [crop]) for crop in crops])
        theirs = self._beside.submit(lambda: [_run(session, [crop]) for crop in crops[1::2]])
        try:
            mine = [_run(session, [crop]) for crop in crops[::2]]
        finally:
            wait([theirs])  # none is under way when a broken session is left
        pairs = zip_longest(mine, theirs.result())
        return _stack([face for pair in pairs for face in pair if face is not None])

    def _advance(self, error: Exception) -> None:
        """Loads the next step that works and says why; with none left, keeps the last and raises ModelError."""
        while len(self._ladder) > 1:
            broken = self._ladder.pop(0)
            text = f"provider {broken.provider.name} left for {self.provider} ({self.name}): {one_line(error)}"
            _log.info(text)
            self._notices(text)
            try:
                self._load()
                return
            except Exception as next_error:
                error = next_error
        if isinstance(error, ModelError):
            raise error
        raise ModelError(f"the model {self.name} failed on {self.provider}: {one_line(error)}") from error


def _run(session: Session, crops: list[Image]) -> Restored:
    return Restored(*session.run(OUTPUTS, {INPUT: to_tensor(crops)}))


def _stack(faces: Sequence[Restored]) -> Restored:
    """Results of one run each, as of one run."""
    return Restored(
        np.concatenate([face.restored for face in faces]),
        np.concatenate([face.mask for face in faces]),
        np.concatenate([face.distortion for face in faces]),
    )


def open_session(step: Step, threads: int) -> Session:
    """Loads a step's file on its provider, with the file's own faults as ModelNotFound and ModelCorrupt."""
    path = step.model.path
    verify(step.model)
    try:
        return step.provider.open(path, threads)
    except Exception as error:
        if type(error).__name__ in ("InvalidProtobuf", "InvalidGraph"):
            raise ModelCorrupt(f"the model {path} is cut off or no ONNX file: export or copy it again") from error
        raise


def check_contract(session: Session, name: str) -> int:
    """Holds a session's inputs and outputs against contract.py and returns S. Raises ModelMismatch with both sides."""
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    if list(inputs) != [INPUT]:
        raise ModelMismatch(f"the model {name} is no FRR-Net: its inputs are {_names(inputs)}, expected {INPUT}")
    if missing := [output for output in OUTPUTS if output not in outputs]:
        raise ModelMismatch(
            f"the model {name} is no FRR-Net: it has no output {_names(missing)} (only {_names(outputs)})"
        )
    shape = inputs[INPUT].shape
    size = shape[3] if len(shape) == 4 and isinstance(shape[3], int) else 0
    if size < 1 or list(shape[1:]) != [3, size, size]:
        raise ModelMismatch(f"the model {name}: {INPUT} is {_shape(shape)}, expected N×3×S×S with S fixed")
    if isinstance(shape[0], int) and shape[0] != 1:  # QNN needs N fixed, to 1
        raise ModelMismatch(f"the model {name}: {INPUT} is {_shape(shape)}, expected a dynamic N")
    expected = {INPUT: [3, size, size], OUTPUTS[0]: [3, size, size], OUTPUTS[1]: [1, size, size]}
    expected[OUTPUTS[2]] = [len(DISTORTIONS)]
    for value_name, dimensions in expected.items():
        value = inputs.get(value_name) or outputs[value_name]
        known = [isinstance(dimension, int) for dimension in value.shape[1:]]
        fits = len(value.shape) == len(dimensions) + 1 and all(
            found == wanted for found, wanted, fixed in zip(value.shape[1:], dimensions, known, strict=True) if fixed
        )
        if not fits:
            raise ModelMismatch(
                f"the model {name}: {value_name} is {_shape(value.shape)}, expected {_shape(['N', *dimensions])}"
            )
        if value.type != "tensor(float)":
            raise ModelMismatch(f"the model {name}: {value_name} is {value.type}, expected float32")
    return int(size)


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _shape(shape: Sequence[object]) -> str:
    return "×".join("N" if dimension is None else str(dimension) for dimension in shape) or "a scalar"

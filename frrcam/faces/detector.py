"""Face detection: an SCRFD-layout network through insightface, in a session of our own."""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from frrcam.errors import ModelCorrupt, ModelMismatch, ModelNotFound
from frrcam.faces.boxes import Box, overlap
from frrcam.faces.second_look import NOTHING, SECOND_LOOK, SecondLook, combined, cut_out
from frrcam.faces.types import Detection
from frrcam.frame import Image
from frrcam.onnx import session_options

STRIDE = 32
"""The coarsest stride of the layout: inputs are whole multiples of it."""

_WIDTHS = (1, 1, 1, 4, 4, 4, 10, 10, 10)
"""Last dimension of the nine outputs: scores, boxes and points at strides 8, 16 and 32."""


class InsightFaceDetector:
    """Finds faces with insightface's SCRFD class (Guo et al., "Sample and Computation Redistribution for
    Efficient Face Detection", ICLR 2022): strides 8, 16 and 32, two anchors, five points.

    model_file  an .onnx of that layout: one input 1×3×H×W, nine outputs
    size        longer side of the network's input in pixels; the shorter one follows the picture's shape,
                rounded up to a multiple of 32 (320×192 for 1280×720), unless the file fixes it
    threshold   lowest score that counts as a face, (0,1]
    threads     of the session; it never spins while it waits
    providers   ONNX Runtime's names, best first
    second_look how doubtful detections are looked at again; None: not at all. A file of a fixed input size never does

    Raises ModelNotFound, ModelCorrupt or ModelMismatch with the file's name. Nothing is downloaded.
    """

    def __init__(
        self,
        model_file: Path,
        *,
        size: int = 320,
        threshold: float = 0.5,
        threads: int = 1,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        second_look: SecondLook | None = SECOND_LOOK,
    ) -> None:
        session = _open(model_file, threads, providers)
        _check(session, model_file)
        # a session without its file is shared by all sizes: insightface makes no copies of it
        self._network = _scrfd()(session=session)
        self._size, self._threshold = max(round(size / STRIDE), 1) * STRIDE, threshold
        self._again = None if self._network.static_input_size else second_look

    def detect(self, image: Image) -> list[Detection]:
        """The faces of one picture (H×W×3 uint8 BGR) with scores of at least the threshold, largest first."""
        canvas, ratio = self._letterbox(image)
        lowest = min(self._threshold, self._again.floor) if self._again else self._threshold
        boxes, points = self._network.detect(canvas, input_size=(canvas.shape[1], canvas.shape[0]), det_thresh=lowest)
        if not len(boxes):
            return []
        # the networks of this layout are trained to answer in plainly scaled coordinates, not in pixel centres
        corners = boxes[:, :4].reshape(-1, 2, 2) * ratio
        points = (points * ratio).astype(np.float32)
        usable = np.isfinite(corners).all(axis=(1, 2)) & np.isfinite(points).all(axis=(1, 2))
        areas = np.prod(corners[:, 1] - corners[:, 0], axis=1)
        found = [
            Detection(tuple(corners[i].ravel().tolist()), float(boxes[i, 4]), points[i])
            for i in np.argsort(-areas, kind="stable")
            if usable[i] and areas[i] > 0
        ]
        if self._again:
            found = self._reconsider(image, found, self._again)
        return [detection for detection in found if detection.score >= self._threshold]

    def _reconsider(self, image: Image, found: list[Detection], again: SecondLook) -> list[Detection]:
        """The detections, the scores of the doubtful ones revised by a second look, up to `most` of them."""
        doubtful = sorted((d.score for d in found if again.floor <= d.score < again.sure), reverse=True)[: again.most]
        lowest = doubtful[-1] if doubtful else 1.0
        return [
            replace(d, score=combined(d.score, self._look(image, d.box, again), again.weights))
            if lowest <= d.score < again.sure
            else d
            for d in found
        ]

    def _look(self, image: Image, box: Box, again: SecondLook) -> float:
        """The best score of what is seen at a box in a cut-out around it; 0 if nothing is."""
        canvas, (left, top, side) = cut_out(image, again.window(box), again.side)
        boxes, _ = self._network.detect(canvas, input_size=(again.side, again.side), det_thresh=NOTHING)
        scale = again.side / side
        place = (box[0] - left) * scale, (box[1] - top) * scale, (box[2] - left) * scale, (box[3] - top) * scale
        same = [score for *corners, score in boxes.tolist() if overlap(place, tuple(corners)) >= again.overlap]
        return max(same, default=0.0)

    def close(self) -> None:
        """Frees the session: no more pictures. Idempotent."""
        self._network = None

    def _letterbox(self, image: Image) -> tuple[Image, NDArray[np.float64]]:
        """The picture on the network's canvas, top left, and picture pixels per canvas pixel (x, y)."""
        height, width = image.shape[:2]
        fixed = self._network.static_input_size
        scale = min(fixed[0] / width, fixed[1] / height) if fixed else self._size / max(width, height)
        small = max(round(width * scale), 1), max(round(height * scale), 1)
        across, down = fixed or (-(-small[0] // STRIDE) * STRIDE, -(-small[1] // STRIDE) * STRIDE)
        # the mean over the area, where insightface would pick two pixels of four: less noise, no aliasing
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        canvas = np.zeros((down, across, 3), np.uint8)
        canvas[: small[1], : small[0]] = cv2.resize(image, small, interpolation=method)
        return canvas, np.array((width, height)) / small


class FakeDetector:
    """Gives scripted detections, one list per call, the last one for ever; fails while `broken`. For tests."""

    def __init__(self, *script: list[Detection]) -> None:
        self.script, self.calls, self.broken = script, 0, False

    def detect(self, image: Image) -> list[Detection]:
        self.calls += 1
        if self.broken:
            raise RuntimeError("fake: the detector broke")
        return list(self.script[min(self.calls, len(self.script)) - 1]) if self.script else []


@functools.cache
def _scrfd() -> Any:
    """insightface's SCRFD class without the rest of the package, whose import takes longer than all our networks.

    Importing `insightface.model_zoo.scrfd` brings scipy, scikit-image and requests along; the class needs none of them.
    """
    spec = importlib.util.find_spec("insightface")
    if spec is None or not spec.submodule_search_locations:
        raise ModelMismatch("insightface, which finds the faces, is not installed: pip install insightface")
    package = ModuleType("_frrcam_model_zoo", "insightface.model_zoo, of which only what is asked for is imported.")
    package.__path__ = [str(Path(folder, "model_zoo")) for folder in spec.submodule_search_locations]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.scrfd").SCRFD


def _open(model_file: Path, threads: int, providers: Sequence[str]) -> ort.InferenceSession:
    if not model_file.is_file():
        raise ModelNotFound(f"no detector at {model_file}: see `frrcam models` for those that are there")
    try:
        return ort.InferenceSession(str(model_file), session_options(threads), providers=list(providers))
    except Exception as error:  # onnxruntime's own types share no base but this
        reason = str(error).strip().splitlines()[0]
        raise ModelCorrupt(f"{model_file} cannot be loaded as a detector, fetch it again: {reason}") from error


def _check(session: ort.InferenceSession, model_file: Path) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = list(inputs[0].shape)
    widths = tuple(output.shape[-1] if output.shape else None for output in outputs)
    if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
        raise ModelMismatch(
            f"{model_file} is no face detector: its input {inputs[0].name} is {shape}, not 1×3×H×W float"
        )
    # a dynamic export may leave the last dimension unnamed; a number must be the right one
    if len(outputs) != 9 or any(isinstance(a, int) and a != b for a, b in zip(widths, _WIDTHS, strict=True)):
        raise ModelMismatch(
            f"{model_file} is no SCRFD-layout detector: its outputs end in {list(widths)}, "
            f"not {list(_WIDTHS)} (scores, boxes, points at strides 8, 16, 32)"
        )

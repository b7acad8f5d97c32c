"""Tiny ONNX networks, right and wrong, and providers that fail on cue."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from frrcam.restore.contract import Tensor
from frrcam.restore.models import ModelEntry
from frrcam.restore.providers import CPU
from frrcam.restore.session import Session

SIZE = 8

MANIFEST = """
[default]
restorer = "net-int8"
detector = "faces"

[models.net-int8]
file = "net-int8.onnx"
kind = "restorer"
sha256 = "{sha256}"
bytes = {bytes}
licence = "GPL-2.0-or-later"
trained_on = "faces"
width = 16
depth = 2
stem_stride = 4
size = 8
precision = "int8"
parameters = 3100000
gmac = 4.2
images_seen = 100000
psnr = 24.6
ssim = 0.79
identity = 0.91
lpips = "not measured"
milliseconds = 13.5
command = "python -m train.evaluate"

[models.faces]
file = "faces.onnx"
kind = "detector"
licence = "GPL-2.0-or-later"
note = "what a later version may add"
"""


def network(
    path: Path,
    size: Any = SIZE,
    *,
    batch: Any = "N",
    channels: int = 3,
    rank: int = 4,
    dtype: int = TensorProto.FLOAT,
    image: str = "image",
    names: tuple[str, str, str] = ("restored", "mask", "distortion"),
    shift: float = 0.1,
    words: int = 3,
) -> ModelEntry:
    """Writes an FRR-Net of five nodes: restored = clip(image + shift), mask = mean, distortion = mean colour."""
    shape = [batch, channels, size, size][:rank] + [1] * (rank - 4)
    inputs = [helper.make_tensor_value_info(image, dtype, shape)]
    outputs = [
        helper.make_tensor_value_info(names[0], dtype, None),
        helper.make_tensor_value_info(names[1], dtype, None),
        helper.make_tensor_value_info(names[2], dtype, None),
    ]
    number = np.dtype(helper.tensor_dtype_to_np_dtype(dtype))
    constants = [
        helper.make_tensor("shift", dtype, [], np.array([shift], number).tobytes(), raw=True),
        helper.make_tensor("zero", dtype, [], np.array([0], number).tobytes(), raw=True),
        helper.make_tensor("one", dtype, [], np.array([1], number).tobytes(), raw=True),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("plane", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("words", TensorProto.INT64, [1], [words]),
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
    ]
    nodes = [
        helper.make_node("Add", [image, "shift"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "zero", "one"], [names[0]]),
        helper.make_node("ReduceMean", [image, "channel"], [names[1]], keepdims=1),
        helper.make_node("ReduceMean", [image, "plane"], ["colour"], keepdims=0),
        helper.make_node("Slice", ["colour", "start", "words", "channel"], [names[2]]),
    ]
    if rank != 4:
        nodes = [helper.make_node("Identity", [image], [name]) for name in names]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return ModelEntry(name=path.stem, path=path, kind="restorer", size=size if isinstance(size, int) else None)


class FlakySession:
    """A real session that raises from run number `breaks_at` on (0 is the warm-up); remembers its batches' sizes."""

    def __init__(self, session: Session, breaks_at: float, offset: float, spend: Callable[[], None]) -> None:
        self.session, self.breaks_at, self.offset, self.spend = session, breaks_at, offset, spend
        self.batches: list[int] = []

    def get_inputs(self) -> Sequence[Any]:
        return self.session.get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        return self.session.get_outputs()

    def run(self, output_names: Sequence[str], feed: dict[str, Tensor]) -> list[Tensor]:
        if len(self.batches) >= self.breaks_at:
            raise RuntimeError("device lost\nat line 1 of a page of text")
        self.batches.append(len(feed["image"]))
        self.spend()
        return [output + np.float32(self.offset) for output in self.session.run(output_names, feed)]


class FakeProvider:
    """Runs on the CPU under another name; refuses to open, breaks, adds an offset or takes fake time, as asked."""

    def __init__(
        self,
        name: str,
        *,
        opens: bool = True,
        breaks_at: float = float("inf"),
        batches: bool = False,
        offset: float = 0.0,
        spend: Callable[[], None] = lambda: None,
        version: str = "1",
    ) -> None:
        self.name, self.batches, self.opens, self.breaks_at, self.offset = name, batches, opens, breaks_at, offset
        self.spend, self.version = spend, version
        self.sessions: list[FlakySession] = []

    def open(self, path: Path, threads: int) -> Session:
        if not self.opens:
            raise RuntimeError(f"{self.name}: no device found")
        self.sessions.append(FlakySession(CPU.open(path, threads), self.breaks_at, self.offset, self.spend))
        return self.sessions[-1]

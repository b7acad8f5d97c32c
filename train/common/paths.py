"""Where things lie by default, and the options that say otherwise, for all commands."""

from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[2]
DATA, RUNS = ROOT.parent / "shared" / "data", ROOT.parent / "runs" / "frr"
CHECKPOINTS = ROOT / "train" / "checkpoints"
WEIGHTS, RECORD = ROOT / "weights", ROOT / "docs" / "measurements.json"
YUNET, MOBILEFACENET = "models/face_detection_yunet_2023mar.onnx", "models/mobilefacenet.onnx"

Data = Annotated[Path, typer.Option(help="Folder with faces-*.tar, clips/, wild/ and models/.", envvar="FRRCAM_DATA")]
Runs = Annotated[Path, typer.Option(help="Folder for decoded faces, checkpoints and logs; several GB.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads that PyTorch uses.")]


def primary(data: Path | str) -> Path:
    """The first of the folders that `::` joins: where clips/, wild/, models/ and the other shards are."""
    return Path(str(data).split("::")[0])

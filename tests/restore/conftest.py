from pathlib import Path

import pytest

from frrcam.restore.models import ModelEntry, digest
from tests.restore.tiny import MANIFEST, network


@pytest.fixture
def model(tmp_path: Path) -> ModelEntry:
    """A tiny FRR-Net in a file."""
    return network(tmp_path / "tiny.onnx")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The manifest of a folder with one restorer and one detector."""
    folder = tmp_path / "weights"
    folder.mkdir()
    entry = network(folder / "net-int8.onnx")
    network(folder / "faces.onnx")
    text = MANIFEST.format(sha256=digest(entry.path), bytes=entry.path.stat().st_size)
    (folder / "manifest.toml").write_text(text)
    return folder / "manifest.toml"

"""Nothing leaves the machine."""

import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_keeps_no_record_for_microsoft(tmp_path: Path) -> None:
    """Where its telemetry is on, it gives the machine a number and keeps what it is going to send, in the cache."""
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | homes
    code = "import frrcam.faces.detector, frrcam.restore"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert list(tmp_path.rglob("*")) == []

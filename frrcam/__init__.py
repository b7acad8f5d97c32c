"""frrcam: a virtual camera that restores and relights faces, live."""

import os

# Nothing is to leave the machine: ONNX Runtime (1.31) reports to Microsoft unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

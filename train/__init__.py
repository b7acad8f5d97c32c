"""Training FRR-Net and the detector: see train/README.md. Nothing of this is needed to run frrcam."""

import frrcam  # noqa: F401  (it switches ONNX Runtime's telemetry off, which must be before that is loaded)

"""Everything frrcam raises on purpose, as one tree.

FrrcamError                      one clear line for the user; `exit_code` is the process's
├── UsageError                   a value that cannot be meant (size, rate, strength, output name)
├── ConfigError                  config.toml or the environment holds something unknown or out of range
├── SourceError                  pictures cannot be had
│   ├── SourceNotFound           no such camera, file or folder
│   ├── SourceBusy               another program holds the camera (named where the system tells)
│   ├── SourceForbidden          no permission (the group that would give it is named)
│   ├── SourceUnusable           not a camera, not a clip, truncated, empty, odd or absurd size
│   └── SourceLost               it worked and then stopped: live paths catch this and re-open
├── SinkError                    pictures cannot be published
│   ├── SinkNotFound             no virtual camera (the modprobe line to run is given), no output folder
│   ├── SinkForbidden            no permission to write there
│   ├── SinkUnusable             not a virtual camera, a size it cannot take, the disk is full
│   └── SinkLost                 it worked and then went: live paths catch this and re-open
├── ModelError                   a network cannot be used
│   ├── ModelNotFound            no such name in weights/manifest.toml and no such file
│   ├── ModelCorrupt             truncated, not ONNX, or its SHA-256 is not the manifest's
│   ├── ModelMismatch            its inputs or outputs do not fit the contract (restore/contract.py)
│   └── DownloadError            a fetch that the user asked for did not complete
├── ProviderError                an execution provider was asked for by name and cannot run here
└── ControlError                 no daemon answers, or its answer makes no sense
"""

import re


class FrrcamError(Exception):
    """The root: catch this at the top, print `str(error)` on one line, exit with `error.exit_code`."""

    exit_code = 1


class UsageError(FrrcamError):
    """Raised for an argument that parses and still cannot be meant. The message names the value and the valid ones."""

    exit_code = 2


class ConfigError(FrrcamError):
    """Raised while settings are read. The message names the file or variable, the key and the bound."""

    exit_code = 2


class SourceError(FrrcamError):
    """Raised by sources. Check `frrcam devices`."""

    exit_code = 3


class SourceNotFound(SourceError):
    """Raised when a camera, file or folder of that name is not there."""


class SourceBusy(SourceError):
    """Raised when another program streams from the camera. Close it, or pick another camera."""


class SourceForbidden(SourceError):
    """Raised when the system refuses to open the camera or file. The message names the group or the mode."""


class SourceUnusable(SourceError):
    """Raised when it opens and is not what was asked for: no camera, no clip, no pictures, no such size."""


class SourceLost(SourceError):
    """Raised by `read()` when a source that worked stops working: unplugged, hung, taken."""


class SinkError(FrrcamError):
    """Raised by sinks. Check `frrcam doctor`."""

    exit_code = 4


class SinkNotFound(SinkError):
    """Raised when there is no virtual camera or no folder to write to."""


class SinkForbidden(SinkError):
    """Raised when the system refuses to write there."""


class SinkUnusable(SinkError):
    """Raised when the device is no virtual camera, cannot take the size, or the disk is full."""


class SinkLost(SinkError):
    """Raised by `send()` when a sink that worked stops working: module unloaded, device removed."""


class ModelError(FrrcamError):
    """Raised while a network is found, checked or loaded. Check `frrcam models`."""

    exit_code = 5


class ModelNotFound(ModelError):
    """Raised when neither the manifest nor the disk knows the model."""


class ModelCorrupt(ModelError):
    """Raised when the bytes are wrong: truncated, not ONNX, another SHA-256."""


class ModelMismatch(ModelError):
    """Raised when an ONNX file loads and is not an FRR-Net (or detector) by the contract."""


class DownloadError(ModelError):
    """Raised when a fetch stops short; what has arrived is kept and resumed next time."""


class ProviderError(FrrcamError):
    """Raised when a provider named by the user is not installed, finds no device or breaks."""

    exit_code = 6


class ControlError(FrrcamError):
    """Raised by commands that talk to a running daemon."""

    exit_code = 7


def one_line(error: BaseException) -> str:
    """The first line of an error's text, cut at 200 characters, without onnxruntime's codes: its own are pages."""
    lines = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip()).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]

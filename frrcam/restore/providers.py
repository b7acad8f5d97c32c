"""What can run a network: ONNX Runtime's own execution providers and its plugins, under the names of `--provider`.

Registering a plugin loads its library into the process for good, so that happens on first use and once.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import onnxruntime as ort
import platformdirs

from frrcam.errors import ProviderError, UsageError, one_line
from frrcam.onnx import session_options
from frrcam.restore.models import Precision
from frrcam.restore.session import Session

CPU_EP = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class BuiltinProvider:
    """An execution provider that is compiled into the installed onnxruntime wheel."""

    name: str
    ep: str
    """ONNX Runtime's name for it."""
    wheel: str
    """Where it comes from."""
    precisions: tuple[Precision, ...]
    batches: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    memory_pattern: bool = True
    """DirectML must do without: it cannot plan memory ahead."""

    @property
    def version(self) -> str | None:
        """What it is, for the cache of measurements; None if it is not installed."""
        return str(ort.__version__) if self.ep in ort.get_available_providers() else None

    def open(self, path: Path, threads: int) -> Session:
        if self.version is None:
            raise ProviderError(f"{self.name} is not in this onnxruntime: install the wheel {self.wheel} instead")
        options = session_options(threads)
        options.enable_mem_pattern = self.memory_pattern
        wanted: list[Any] = [(self.ep, dict(self.options))]
        if self.ep != CPU_EP:
            wanted.append(CPU_EP)
        # without fallback, since onnxruntime would print its own notice and carry on somewhere else
        session = ort.InferenceSession(path, options, providers=wanted, enable_fallback=0)
        if self.ep not in session.get_providers():
            raise ProviderError(f"{self.name} finds no device here, or its libraries are missing")
        return cast(Session, session)


@dataclass(frozen=True, slots=True)
class PluginProvider:
    """An execution provider in a package of its own, registered into plain onnxruntime."""

    name: str
    package: str
    """The module, with get_library_path() and get_ep_name()."""
    wheel: str
    precisions: tuple[Precision, ...]
    batches: bool
    device: str
    """Which of its devices: the end of OrtHardwareDeviceType's name (CPU, GPU, NPU)."""

    @property
    def version(self) -> str | None:
        if importlib.util.find_spec(self.package) is None:
            return None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(self.wheel)
        return "of unknown version"

    def devices(self) -> list[Any]:
        """Its devices of the wanted type on this machine; registers the plugin. Raises ProviderError if it cannot."""
        if self.version is None:
            raise ProviderError(f"{self.name} is not installed: pip install {self.wheel}")
        ep = _register(self.package)
        devices = [device for device in ort.get_ep_devices() if device.ep_name == ep]
        return [device for device in devices if str(device.device.type).endswith(self.device)]

    def open(self, path: Path, threads: int) -> Session:
        devices = self.devices()
        if not devices:
            raise ProviderError(f"{self.name} is installed and lists no {self.device} here ({processor()})")
        options = session_options(threads)
        options.add_provider_for_devices(devices[:1], _plugin_options(self.name, threads))
        return cast(Session, ort.InferenceSession(path, options))


@functools.cache
def _register(package: str) -> str:
    """Registers a plugin and returns its provider's name. Cached: a second registration in a process is an error."""
    try:
        module = importlib.import_module(package)
        name: str = module.get_ep_name()
        ort.register_execution_provider_library(name, module.get_library_path())
    except Exception as error:
        raise ProviderError(f"the plugin {package} cannot be loaded: {one_line(error)}") from error
    return name


def _plugin_options(name: str, threads: int) -> dict[str, str]:
    if name == "openvino":
        config = {"INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": "1"}
        cache = Path(platformdirs.user_cache_dir("frrcam")) / "openvino"
        with contextlib.suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            config["CACHE_DIR"] = str(cache)  # compiling takes 1.3 s, loading what was compiled 0.3 s
        return {"load_config": json.dumps({"CPU": config})}
    return {"htp_performance_mode": "burst"} if name == "qnn" else {}


InstalledProvider = BuiltinProvider | PluginProvider

CPU = BuiltinProvider("cpu", CPU_EP, "onnxruntime", ("int8", "fp32"), batches=False)

_GPU: tuple[Precision, ...] = ("fp16", "fp32")

PROVIDERS: dict[str, InstalledProvider] = {
    provider.name: provider
    for provider in (
        BuiltinProvider(
            "tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu", _GPU, options={"trt_fp16_enable": "1"}
        ),
        BuiltinProvider("cuda", "CUDAExecutionProvider", "onnxruntime-gpu", _GPU),
        BuiltinProvider("directml", "DmlExecutionProvider", "onnxruntime-directml", _GPU, memory_pattern=False),
        BuiltinProvider("coreml", "CoreMLExecutionProvider", "onnxruntime", _GPU),
        PluginProvider("qnn", "onnxruntime_qnn", "onnxruntime-qnn", ("int8",), True, "NPU"),
        PluginProvider(
            "openvino", "onnxruntime_ep_openvino", "onnxruntime-ep-openvino", ("int8", "fp32"), False, "CPU"
        ),
        CPU,
    )
}
"""By name, the likely fastest first."""

_SLOW_TO_START = "tensorrt"
"""Builds its engine for minutes: only for those who ask for it by name."""


def named(name: str) -> InstalledProvider:
    """The provider of that name. Raises UsageError listing the names."""
    if name not in PROVIDERS:
        raise UsageError(f"no provider {name!r}: choose from auto, {', '.join(reversed(PROVIDERS))}")
    return PROVIDERS[name]


def candidates() -> list[InstalledProvider]:
    """What is installed here and may be tried without being asked for, the likely fastest first, the CPU last."""
    return [p for p in PROVIDERS.values() if p.name != _SLOW_TO_START and p.version is not None]


def machine() -> str:
    """This processor and this onnxruntime, as one line: measurements are only good for the same."""
    return f"{processor()}; {sys.platform}; onnxruntime {ort.__version__}"


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def status() -> list[tuple[str, str]]:
    """Every provider and what it is here, for `frrcam doctor`: (name, one line). Registers installed plugins."""
    return [(provider.name, _status(provider)) for provider in PROVIDERS.values()]


def _status(provider: InstalledProvider) -> str:
    if provider.version is None:
        return f"not installed ({provider.wheel})"
    if isinstance(provider, BuiltinProvider):
        return f"in onnxruntime {provider.version}"
    try:
        found = provider.devices()
    except ProviderError as error:
        return str(error)
    if not found:
        return f"installed ({provider.version}), lists no {provider.device} here ({processor()})"
    return f"ready ({provider.version})"

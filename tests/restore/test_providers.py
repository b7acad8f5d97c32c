import importlib.util
from pathlib import Path

import pytest

from frrcam.errors import ModelCorrupt, ModelError, ModelNotFound, ProviderError, UsageError
from frrcam.restore import load_family
from frrcam.restore.models import ModelEntry, load_manifest
from frrcam.restore.providers import CPU, PROVIDERS, BuiltinProvider, PluginProvider, candidates, machine, named, status
from frrcam.restore.selection import Selection
from frrcam.restore.session import OnnxRestorer, Step


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    return Selection(tmp_path / "providers.json")


def test_every_name_of_the_option_is_known() -> None:
    assert set(PROVIDERS) == {"cpu", "openvino", "cuda", "tensorrt", "directml", "coreml", "qnn"}
    assert named("cpu") is CPU
    with pytest.raises(UsageError, match="no provider 'gpu': choose from auto, cpu, openvino"):
        named("gpu")


def test_the_cpu_is_always_the_last_candidate() -> None:
    names = [provider.name for provider in candidates()]
    assert names[-1] == "cpu"
    assert "tensorrt" not in names


def test_what_is_not_in_the_wheel_says_which_wheel(model: ModelEntry) -> None:
    provider = BuiltinProvider("cuda", "NoSuchExecutionProvider", "onnxruntime-gpu", ("fp16",))
    assert provider.version is None
    with pytest.raises(ProviderError, match="cuda is not in this onnxruntime: install the wheel onnxruntime-gpu"):
        provider.open(model.path, 1)


def test_a_plugin_that_is_not_installed_says_so(model: ModelEntry) -> None:
    provider = PluginProvider("qnn", "no_such_package", "onnxruntime-qnn", ("int8",), True, "NPU")
    assert provider.version is None
    with pytest.raises(ProviderError, match="qnn is not installed: pip install onnxruntime-qnn"):
        provider.open(model.path, 1)


needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_ep_openvino") is None, reason="needs onnxruntime-ep-openvino"
)


@needs_openvino
def test_openvino_runs_or_says_that_it_lists_no_device(model: ModelEntry) -> None:
    openvino = PROVIDERS["openvino"]
    assert isinstance(openvino, PluginProvider)
    if openvino.devices():
        with OnnxRestorer([Step(model, openvino)]) as restorer:
            assert restorer.provider == "openvino"
    else:
        with pytest.raises(ProviderError, match="openvino is installed and lists no CPU here"):
            openvino.open(model.path, 1)


@needs_openvino
def test_a_plugin_without_the_wanted_device_falls_back_to_the_cpu(model: ModelEntry) -> None:
    npu = PluginProvider(
        "openvino", "onnxruntime_ep_openvino", "onnxruntime-ep-openvino", ("int8",), False, "NO SUCH DEVICE"
    )
    notices: list[str] = []
    restorer = OnnxRestorer([Step(model, npu), Step(model, CPU)], notices=notices.append)
    assert restorer.provider == "cpu"
    (notice,) = notices
    assert notice.startswith("provider openvino left for cpu (tiny): openvino is installed and lists no NO SUCH DEVICE")


def test_machine_names_the_processor_and_the_runtime() -> None:
    assert "onnxruntime" in machine()
    assert "\n" not in machine()


def test_status_has_a_line_for_each() -> None:
    lines = dict(status())
    assert lines["cpu"].startswith("in onnxruntime")
    assert lines.keys() == PROVIDERS.keys()


def test_family_of_the_manifest(weights: Path, selection: Selection) -> None:
    restorers = load_family(manifest=load_manifest(weights), selection=selection)
    assert [restorer.name for restorer in restorers] == ["net-int8"]
    assert restorers[0].size == 8


def test_family_of_one_file(model: ModelEntry, selection: Selection) -> None:
    (restorer,) = load_family(str(model.path), "cpu", selection=selection)
    assert (restorer.name, restorer.provider) == ("tiny", "cpu")


def test_family_of_a_name(weights: Path, selection: Selection) -> None:
    (restorer,) = load_family("net-int8", "cpu", manifest=load_manifest(weights), selection=selection)
    assert restorer.name == "net-int8"


def test_family_refuses_what_is_wrong(weights: Path, model: ModelEntry, selection: Selection) -> None:
    manifest = load_manifest(weights)
    with pytest.raises(UsageError, match="no provider 'abacus'"):
        load_family(provider="abacus", manifest=manifest, selection=selection)
    with pytest.raises(ModelNotFound, match="no restorer called 'best'"):
        load_family("best", manifest=manifest, selection=selection)
    with pytest.raises(ProviderError, match=r"directml is not in this onnxruntime.*; or use --provider auto"):
        load_family(str(model.path), "directml", selection=selection)
    openvino = PROVIDERS["openvino"]
    if isinstance(openvino, PluginProvider) and openvino.version and not openvino.devices():
        with pytest.raises(ProviderError, match=r"lists no CPU here .*; or use --provider auto"):
            load_family(str(model.path), "openvino", selection=selection)
    path = manifest.models["net-int8"].path
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ModelCorrupt, match="not the one in the manifest"):
        load_family(provider="cpu", manifest=manifest, selection=selection)
    path.write_bytes(b"")
    with pytest.raises(ModelError):
        load_family(manifest=manifest, selection=selection)

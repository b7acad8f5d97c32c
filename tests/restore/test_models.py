import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from frrcam.commands.tables import model_table
from frrcam.errors import ModelCorrupt, ModelError, ModelNotFound
from frrcam.restore.models import ModelEntry, as_json, fetched, load_manifest, parse_manifest, resolve, verify
from frrcam.restore.packs import PACKS
from frrcam.restore.rungs import family, variant
from tests.restore.tiny import MANIFEST


def test_manifest_has_every_field(weights: Path) -> None:
    manifest = load_manifest(weights)
    entry = manifest.models["net-int8"]
    assert entry.path == weights.parent / "net-int8.onnx"
    assert (entry.name, entry.kind, entry.precision, entry.size) == ("net-int8", "restorer", "int8", 8)
    assert (entry.width, entry.depth, entry.stem_stride, entry.parameters) == (16, 2, 4, 3100000)
    assert (entry.gmac, entry.psnr, entry.ssim, entry.lpips, entry.milliseconds) == (4.2, 24.6, 0.79, None, 13.5)
    assert [entry.name for entry in manifest.of_kind("detector")] == ["faces"]


BROKEN = {
    "not TOML": ("[default", "cannot be read"),
    "kind": (MANIFEST.replace('"detector"\n', '"tracker"\n'), "models.faces.kind"),
    "default": (MANIFEST.replace('restorer = "net-int8"', 'restorer = "best"'), "default.restorer names 'best'"),
    "kind of default": (MANIFEST.replace('restorer = "net-int8"', 'restorer = "faces"'), "no restorer"),
    "escape": (MANIFEST.replace('"faces.onnx"', '"../faces.onnx"'), "models.faces.file is '../faces.onnx'"),
    "no file": (MANIFEST.replace('file = "faces.onnx"', ""), "models.faces.file is ''"),
    "hash": (MANIFEST, "models.net-int8.sha256"),
    "size": (MANIFEST.replace("size = 8", 'size = "big"'), "models.net-int8.size"),
    "models": ("models = 3\n[default]", "models: Input should be"),
    "model": ("[models]\nfaces = 3\n[default]", "models.faces is 3, not a table"),
    "no default": (MANIFEST.replace("[default]", "[other]"), "default: Field required"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_names_the_key(tmp_path: Path, case: str) -> None:
    text, message = BROKEN[case]
    path = tmp_path / "manifest.toml"
    if "{sha256}" in text:
        text = text.format(sha256="xyz" if case == "hash" else "0" * 64, bytes=1)
    path.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        load_manifest(path)
    assert "\n" not in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model manifest"):
        load_manifest(tmp_path / "manifest.toml")


@given(st.text())
def test_any_text_is_a_manifest_or_a_model_error(text: str) -> None:
    with pytest.raises(ModelError):
        parse_manifest(text, Path("manifest.toml"))


def test_resolve(weights: Path, tmp_path: Path) -> None:
    manifest = load_manifest(weights)
    assert resolve("auto", "restorer", manifest).name == "net-int8"
    assert resolve("auto", "detector", manifest, tmp_path).name == "faces"
    assert resolve("net-int8", "restorer", manifest) is manifest.models["net-int8"]
    file = resolve(str(weights.parent / "faces.onnx"), "restorer")
    assert (file.name, file.kind, file.sha256) == ("faces", "restorer", None)


def test_resolve_lists_the_names(weights: Path, tmp_path: Path) -> None:
    manifest = load_manifest(weights)
    with pytest.raises(ModelNotFound, match=r"no restorer called 'net' \(there are: net-int8\)"):
        resolve("net", "restorer", manifest, tmp_path)
    with pytest.raises(ModelNotFound, match=r"no restorer called 'faces'"):
        resolve("faces", "restorer", manifest, tmp_path)
    with pytest.raises(ModelNotFound, match=r"no model file nowhere/x\.onnx"):
        resolve("nowhere/x.onnx", "restorer", manifest)
    with pytest.raises(ModelNotFound, match="frrcam models fetch buffalo_s"):
        resolve("buffalo_s", "detector", manifest, tmp_path)


def test_resolve_says_when_a_listed_file_is_gone(weights: Path) -> None:
    manifest = load_manifest(weights)
    manifest.models["net-int8"].path.unlink()
    with pytest.raises(ModelNotFound, match=r"in the manifest, but .* is not there"):
        resolve("auto", "restorer", manifest)


def test_fetched_detectors_are_found_by_their_packs_name(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "buffalo_s" / "det_500m.onnx"
    file.parent.mkdir()
    file.write_bytes(b"not the real one")
    entry = resolve("buffalo_s", "detector", load_manifest(weights), tmp_path)
    assert (entry.path, entry.sha256) == (file, PACKS["buffalo_s"].detector_sha256)
    with pytest.raises(ModelCorrupt, match="frrcam models fetch buffalo_s"):
        verify(entry)


def test_a_folder_that_cannot_be_looked_into_holds_nothing_fetched(tmp_path: Path) -> None:
    assert fetched(tmp_path / ("a" * 300)) == []


def test_verify(weights: Path) -> None:
    entry = load_manifest(weights).models["net-int8"]
    assert verify(entry) == entry.sha256
    content = bytearray(entry.path.read_bytes())
    content[-1] ^= 1
    entry.path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=f"expected {str(entry.sha256)[:12]}….*: reinstall frrcam"):
        verify(entry)
    entry.path.write_bytes(content[:-5])
    with pytest.raises(ModelCorrupt, match="is cut off"):
        verify(entry)
    entry.path.write_bytes(b"")
    with pytest.raises(ModelCorrupt, match=r"is empty \(0 bytes\)"):
        verify(entry)
    entry.path.unlink()
    with pytest.raises(ModelNotFound, match="cannot be read"):
        verify(entry)


def test_table_and_json(weights: Path) -> None:
    entries = list(load_manifest(weights).models.values())
    console = Console(file=io.StringIO(), width=160)
    console.print(model_table(entries, 160))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "net-int8" in text
    assert "24.60" in text
    listed = json.loads(json.dumps(as_json(entries)))
    assert listed[0]["psnr"] == 24.6
    assert listed[1]["file"].endswith("faces.onnx")


@pytest.mark.parametrize("width", [40, 60, 77, 78])
def test_on_a_narrow_terminal_names_and_figures_stay_whole(width: int) -> None:
    entries = list(load_manifest().models.values())
    console = Console(file=io.StringIO(), width=width)
    console.print(model_table(entries, width))
    text = console.file.getvalue().split("GPL-2.0")[0]  # type: ignore[attr-defined]
    assert "…" not in text
    for entry in entries:
        assert f" {entry.name} " in text
        assert entry.psnr is None or f" {entry.psnr:.2f} " in text
    assert ("--json" in text) == (width < 78)


def manifest_of(weights: Path, *rungs: tuple[str, str, int, float | None, float | None]) -> object:
    """A manifest of restorers given as (name, precision, width, psnr, milliseconds)."""
    manifest = load_manifest(weights)
    models = {
        name: ModelEntry(
            name=name,
            path=Path(name),
            kind="restorer",
            width=width,
            size=8,
            precision=precision,  # type: ignore[arg-type]
            psnr=psnr,
            milliseconds=milliseconds,
        )
        for name, precision, width, psnr, milliseconds in rungs
    }
    return manifest.model_copy(update={"models": models})


def test_family_goes_from_best_to_lightest_without_the_dominated(weights: Path) -> None:
    manifest = manifest_of(
        weights,
        ("light", "int8", 8, 23.0, 5.0),
        ("best", "int8", 16, 25.0, 20.0),
        ("slow", "int8", 20, 24.9, 30.0),
        ("balanced", "int8", 12, 24.5, 11.0),
        ("equal", "int8", 13, 24.5, 12.0),
        ("unmeasured", "int8", 14, None, None),
        ("best-fp16", "fp16", 16, 25.1, 60.0),
    )
    assert [rung.name for rung in family(manifest)] == ["best", "balanced", "light"]  # type: ignore[arg-type]
    assert next(rung.name for rung in family(manifest, ("fp16", "fp32"))) == "best-fp16"  # type: ignore[arg-type]


def test_family_keeps_a_larger_size_that_costs_more(weights: Path) -> None:
    manifest = manifest_of(weights, ("small", "int8", 16, 24.5, 16.0), ("large", "int8", 17, 23.4, 46.0))
    models = manifest.models  # type: ignore[attr-defined]
    models["large"] = models["large"].model_copy(update={"size": 16})
    assert [rung.name for rung in family(manifest)] == ["large", "small"]  # type: ignore[arg-type]
    models["small"] = models["small"].model_copy(update={"psnr": 23.0, "milliseconds": 50.0})
    assert [rung.name for rung in family(manifest)] == ["large"]  # type: ignore[arg-type]


def test_variant_is_the_same_network_in_another_precision(weights: Path) -> None:
    manifest = manifest_of(
        weights, ("a", "int8", 8, 23.0, 5.0), ("a-fp16", "fp16", 8, 23.1, 9.0), ("b", "int8", 9, 23.0, 5.0)
    )
    models = manifest.models  # type: ignore[attr-defined]
    assert variant(manifest, models["a"], ("fp16",)) is models["a-fp16"]  # type: ignore[arg-type]
    assert variant(manifest, models["a-fp16"], ("int8",)) is models["a"]  # type: ignore[arg-type]
    assert variant(manifest, models["b"], ("fp16",)) is models["b"]  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.floats(10, 40), st.floats(1, 100)),
        min_size=1,
        max_size=12,
    )
)
def test_family_is_the_pareto_front(figures: list[tuple[float, float]]) -> None:
    from frrcam.restore.models import Manifest

    entries = [
        ModelEntry(
            name=str(i),
            path=Path(str(i)),
            kind="restorer",
            width=i + 1,
            size=8,
            precision="int8",
            psnr=psnr,
            milliseconds=ms,
        )
        for i, (psnr, ms) in enumerate(figures)
    ]
    rungs = family(Manifest(default={}, models={entry.name: entry for entry in entries}))
    kept = {(rung.psnr, rung.milliseconds) for rung in rungs}
    assert len(kept) == len(rungs)
    for psnr, ms in figures:
        beaten = any(p >= psnr and m <= ms and (p, m) != (psnr, ms) for p, m in figures)
        assert ((psnr, ms) in kept) == (not beaten)

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from train.publish import manifest


def test_record_keeps_other_entries_and_sorts_them(tmp_path: Path) -> None:
    path = tmp_path / "weights" / "manifest.toml"
    manifest.record(path, "zebra", {"file": "z.onnx", "bytes": 3, "psnr": 24.5}, "restorer")
    manifest.record(path, "ant", {"file": "a.onnx", "blocks": [1, 2, 2], "open": True}, "detector")
    manifest.record(path, "zebra", {"file": "z2.onnx"})
    content = tomllib.loads(path.read_text())
    assert content["default"] == {"detector": "ant", "restorer": "zebra"}
    assert content["models"] == {
        "ant": {"file": "a.onnx", "blocks": [1, 2, 2], "open": True},
        "zebra": {"file": "z2.onnx"},
    }
    assert list(content["models"]) == ["ant", "zebra"]
    assert [entry.name for entry in path.parent.iterdir()] == ["manifest.toml"]


def test_writing_twice_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    manifest.record(path, "a", {"file": "a.onnx", "milliseconds": 11.5})
    first = path.read_bytes()
    manifest.record(path, "a", {"file": "a.onnx", "milliseconds": 11.5})
    assert path.read_bytes() == first


@given(
    st.text(st.characters(codec="utf-8")),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**62), 2**62),
)
def test_every_value_comes_back(text: str, number: float, integer: int) -> None:
    entry: manifest.Entry = {"text": text, "number": number, "integer": integer}
    back = tomllib.loads(manifest.render({"default": {"restorer": text}, "models": {text: entry}}))
    assert back["models"][text] == entry
    assert back["default"]["restorer"] == text


def test_file_facts(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"abc")
    assert manifest.file_facts(path) == {
        "file": "x.onnx",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "bytes": 3,
    }

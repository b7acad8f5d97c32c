"""Atomic writes: readers see the old file or the new one."""

from pathlib import Path

import pytest

from frrcam.atomic import create_part, replacing


def test_replacing_writes_the_new_content_and_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with replacing(tmp_path / "a.json", durable=True) as part:
        part.write_text("new")
        assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "new"


def test_replacing_with_a_failing_body_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")

    def write() -> None:
        with replacing(tmp_path / "a.json") as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_replacing_in_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.json"):
        pass


def test_replacing_gives_the_file_its_mode(tmp_path: Path) -> None:
    with replacing(tmp_path / "secret", mode=0o600) as part:
        part.write_text("token")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_two_parts_of_one_file_have_two_names(tmp_path: Path) -> None:
    assert create_part(tmp_path / "a") != create_part(tmp_path / "a")

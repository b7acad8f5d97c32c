from pathlib import Path

import pytest

from frrcam.config import load_settings
from frrcam.control.remembered import at_start, remember, state_path
from frrcam.daemon.settings import LiveValue


def test_settings_of_the_page_last(tmp_path: Path) -> None:
    path = tmp_path / "state" / "page.json"
    remember(path, LiveValue(light=0.25, mirror=True, enabled=False))
    value = at_start(load_settings(), path)
    assert (value.light, value.mirror) == (0.25, True)
    assert value.enabled, "a start enhances"
    assert [file.name for file in path.parent.iterdir()] == ["page.json"]


def test_what_is_typed_outranks_what_is_remembered(tmp_path: Path) -> None:
    remember(tmp_path / "page.json", LiveValue(strength=0.5, light=0.25, noise=0.1, reach="face"))
    settings = load_settings({"light": {"preset": "bright", "noise": None}, "restore": {"strength": 0.75}})
    value = at_start(settings, tmp_path / "page.json")
    assert (value.strength, value.light, value.noise, value.reach) == (0.75, 1.0, 1.0, "face")


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"light": 7}', '{"light": "x"}', '{"hue": 1}', "\x00"])
def test_a_file_that_is_broken_counts_as_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "page.json").write_text(content)
    assert at_start(load_settings(), tmp_path / "page.json") == LiveValue()


def test_a_place_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file" / "page.json", LiveValue())


def test_it_is_kept_with_the_users_state() -> None:
    assert state_path().name == "page.json"

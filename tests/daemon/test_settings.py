import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frrcam.amounts import Amounts
from frrcam.config import load_settings
from frrcam.daemon.settings import LiveSettings, LiveValue
from frrcam.errors import UsageError


def test_a_run_begins_with_what_was_configured() -> None:
    settings = load_settings({"restore": {"strength": 0.25, "max_faces": 2}, "camera": {"mirror": True}})
    assert LiveValue.at_first(settings) == LiveValue(strength=0.25, max_faces=2, mirror=True)


@given(strength=st.floats(0, 1), mirror=st.booleans(), enabled=st.booleans(), faces=st.integers(1, 16))
def test_what_is_in_range_is_taken(strength: float, mirror: bool, enabled: bool, faces: int) -> None:
    settings = LiveSettings()
    changes = {"strength": strength, "mirror": mirror, "enabled": enabled, "max_faces": faces}
    assert settings.update(changes) == LiveValue.model_validate(changes)
    assert settings.value == LiveValue.model_validate(changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strength": 1.01}, r"strength = 1\.01: input should be less than or equal to 1"),
        ({"strength": -1}, "greater than or equal to 0"),
        ({"strength": float("nan")}, "strength = nan"),
        ({"strength": "0.5"}, "valid number"),
        ({"strength": None}, "strength = None"),
        ({"mirror": 1}, "valid boolean"),
        ({"max_faces": 17}, "less than or equal to 16"),
        ({"max_faces": 2.5}, "max_faces = 2.5"),
        ({"hue": 1}, "hue is not a setting; there are strength, preset, light, colour"),
        ({"preset": "loud"}, "preset = 'loud'"),
        ({"preset": ["natural"]}, "preset = "),
        ({"reach": "moon"}, "reach = 'moon'"),
        ({"strength": 2, "max_faces": 0}, "strength = 2.*; max_faces = 0"),
    ],
)
def test_what_is_not_is_named_and_changes_nothing(changes: dict[str, object], words: str) -> None:
    settings = LiveSettings(LiveValue(strength=0.25))
    with pytest.raises(UsageError, match=words):
        settings.update({"mirror": True} | changes)
    assert settings.value == LiveValue(strength=0.25)


def test_changes_from_many_threads_are_all_kept() -> None:
    settings = LiveSettings()
    start = threading.Barrier(3)

    def post(changes: dict[str, object]) -> None:
        start.wait()
        for _ in range(200):
            settings.update(changes)

    changes: list[dict[str, object]] = [{"strength": 0.5}, {"mirror": True}, {"max_faces": 9}]
    threads = [threading.Thread(target=post, args=(change,)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert settings.value == LiveValue(strength=0.5, mirror=True, max_faces=9)


def test_a_preset_brings_its_amounts() -> None:
    settings = LiveSettings(LiveValue(light=0.3, reach="face"))
    value = settings.update({"preset": "bright"})
    assert (value.light, value.colour, value.noise, value.sharpness) == (1.0, 1.0, 1.0, 1.0)
    assert value.reach == "face"
    assert settings.update({"preset": "repair", "sharpness": 0.5}).sharpness == 0.5
    assert settings.value.amounts == Amounts(0.0, 0.0, 1.0, 0.5, "face")


def test_each_change_is_remembered() -> None:
    kept: list[LiveValue] = []
    settings = LiveSettings(remember=kept.append)
    settings.update({"light": 0.25})
    with pytest.raises(UsageError):
        settings.update({"light": 2})
    assert [value.light for value in kept] == [0.25]

import os
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from frrcam.config import Settings, config_path, load_settings, parse_size
from frrcam.errors import ConfigError, UsageError
from frrcam.limits import CHOSEN_SIDES


@pytest.fixture
def config() -> Iterator[Path]:
    """Where config.toml goes in this test."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1280x720", (1280, 720)),
        (" 640 X 480 ", (640, 480)),
        ("64×64", (64, 64)),
        (f"{CHOSEN_SIDES[-1]}x{CHOSEN_SIDES[-1]}", (4096, 4096)),
    ],
)
def test_sizes(text: str, size: tuple[int, int]):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not WIDTHxHEIGHT"),
        ("720p", "is not WIDTHxHEIGHT"),
        ("1280", "is not WIDTHxHEIGHT"),
        ("-640x480", "is not WIDTHxHEIGHT"),
        ("640x480x3", "is not WIDTHxHEIGHT"),
        ("640.0x480", "is not WIDTHxHEIGHT"),
        ("9999999x2", "is not WIDTHxHEIGHT"),
        ("0x0", "out of range"),
        ("62x480", "out of range"),
        ("640x4098", "out of range"),
        ("641x480", "try 642x480"),
        ("640x481", "try 640x482"),
    ],
)
def test_sizes_that_cannot_be_meant(text: str, says: str):
    with pytest.raises(UsageError, match=says) as raised:
        parse_size(text)
    assert "\n" not in str(raised.value)
    assert text.strip("-") in str(raised.value), "it names the value"


@given(st.text())
def test_any_text_is_a_size_or_a_usage_error(text: str):
    try:
        width, height = parse_size(text)
    except UsageError:
        return
    assert width in CHOSEN_SIDES
    assert height in CHOSEN_SIDES
    assert width % 2 == height % 2 == 0


def test_defaults_need_nothing():
    settings = load_settings()
    assert settings == Settings()
    assert settings.camera.device is None
    assert settings.restore.strength == 1.0
    assert settings.output.label == "FRR Camera"


def test_flags_over_environment_over_file_over_defaults(config: Path, environment: MutableMapping[str, str]):
    config.write_text(
        '[camera]\ndevice = "Integrated Camera"\nfps = 15\nsize = "640x480"\n[restore]\nstrength = 0.2\nmax_faces = 2\n'
    )
    environment["FRRCAM_RESTORE__STRENGTH"] = "0.5"
    environment["FRRCAM_CAMERA__SIZE"] = "1280x720"
    settings = load_settings({"camera": {"fps": 60, "device": None}, "restore": {"strength": None}})
    assert settings.camera.fps == 60
    assert settings.camera.size == (1280, 720)
    assert settings.restore.strength == 0.5
    assert settings.camera.device == "Integrated Camera"
    assert settings.restore.max_faces == 2
    assert settings.faces.min_size == 40


def test_a_size_may_be_a_pair(config: Path):
    config.write_text("[camera]\nsize = [640, 480]\n")
    assert load_settings().camera.size == (640, 480)


@given(st.tuples(st.integers(-8, CHOSEN_SIDES.stop + 7), st.integers(-8, CHOSEN_SIDES.stop + 7)))
@example((0, 0))
@example((63, 1))
def test_a_pair_is_bounded_as_a_text_is(pair: tuple[int, int]):
    flags = {"camera": {"size": list(pair)}}
    try:
        parse_size(f"{pair[0]}x{pair[1]}")
    except UsageError:
        with pytest.raises(ConfigError, match=r"camera\.size"):
            load_settings(flags)
    else:
        assert load_settings(flags).camera.size == pair


LAYERS = st.lists(st.sets(st.sampled_from(["device", "source"])), min_size=3, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # one file, rewritten each time
@given(LAYERS)
def test_the_highest_layer_that_names_a_camera_or_a_source_decides(config: Path, layers: list[set[str]]):
    flags, environment, file = layers
    config.write_text("[camera]\nfps = 15\n" + "".join(f'{key} = "file"\n' for key in sorted(file)))
    names = {f"FRRCAM_CAMERA__{key.upper()}": "environment" for key in environment}
    os.environ.update(names)
    try:
        camera = load_settings({"camera": dict.fromkeys(flags, "flag")}).camera
    finally:
        for name in names:
            del os.environ[name]
    named = zip(("flag", "environment", "file"), layers, strict=True)
    layer, deciding = next(((layer, keys) for layer, keys in named if keys), ("", set()))
    assert {"device": camera.device, "source": camera.source} == {
        key: layer if key in deciding else None for key in ("device", "source")
    }
    assert camera.fps == 15, "and of everything else each layer has its say"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"restore": {"strength": 1.5}}, r"restore\.strength = 1\.5.*less than or equal to 1"),
        ({"restore": {"strength": float("nan")}}, r"restore\.strength"),
        ({"restore": {"max_faces": 0}}, r"restore\.max_faces = 0"),
        ({"restore": {"threads": 1000}}, r"restore\.threads = 1000"),
        ({"restore": {"provider": "gpu"}}, r"restore\.provider = 'gpu'.*openvino"),
        ({"camera": {"fps": 0}}, r"camera\.fps = 0"),
        ({"camera": {"fps": 1000}}, r"camera\.fps = 1000"),
        ({"camera": {"size": "641x480"}}, r"camera\.size.*642x480"),
        ({"faces": {"threshold": 0}}, r"faces\.threshold"),
        ({"output": {"label": "x" * 32}}, r"output\.label"),
        ({"control": {"port": 65536}}, r"control\.port"),
        ({"camera": {"shutter": 1}}, r"camera\.shutter.*no such setting; there are device, source"),
        ({"camera": {"source": ""}}, r"camera\.source = ''.*at least 1 character"),
        ({"weather": {"rain": 1}}, r"weather"),
    ],
)
def test_what_is_out_of_range_is_named_with_its_bound(flags: dict[str, dict[str, object]], says: str):
    with pytest.raises(ConfigError, match=says) as raised:
        load_settings(flags)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[camera\n", "is not valid TOML"),
        ("camera = 1\n", "camera = 1"),
        ("[nope]\na = 1\n", "nope"),
        ("[camera]\ndevice = true\n", r"camera\.device = True in .*config\.toml: .*string"),
        ("strength = 1\n", r"strength = 1 in .*config\.toml: there is no such setting; there are camera, output"),
    ],
)
def test_a_bad_file_is_named(config: Path, text: str, says: str):
    config.write_text(text)
    with pytest.raises(ConfigError, match=says) as raised:
        load_settings()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "value"), [("FRRCAM_RESTORE__STRENGTH", "loud"), ("FRRCAM_FACES__NOSE", "1")])
def test_a_bad_environment_is_named(environment: MutableMapping[str, str], name: str, value: str):
    environment[name] = value
    with pytest.raises(ConfigError, match=name.removeprefix("FRRCAM_").replace("__", r"\.").lower()):
        load_settings()


@pytest.mark.parametrize("name", ["FRRCAM_STRENGTH", "FRRCAM_RESTORE_STRENGTH", "frrcam_camere__size", "FRRCAM_"])
def test_a_variable_that_is_no_setting_is_named(environment: MutableMapping[str, str], name: str):
    environment[name] = "1"
    with pytest.raises(ConfigError, match=f"{name} is no setting; .*FRRCAM_RESTORE__STRENGTH.* camera, output"):
        load_settings()
    environment[name] = ""
    assert load_settings() == Settings()


@pytest.mark.parametrize("name", ["FRRCAM_DATA", "FRRCAM_VM_CACHE", "FRRCAM_SCREENSHOTS", "FRRCAMERA", "XFRRCAM_X"])
def test_variables_of_others_are_none_of_ours(environment: MutableMapping[str, str], name: str):
    environment[name] = "1"
    assert load_settings() == Settings()


def test_of_two_places_the_one_that_decides_is_named(config: Path, environment: MutableMapping[str, str]):
    config.write_text("[restore]\nstrength = 7\n")
    with pytest.raises(ConfigError, match=r"restore\.strength = 7 in .*config\.toml: .*less than or equal to 1"):
        load_settings()
    environment["FRRCAM_RESTORE__STRENGTH"] = ""
    with pytest.raises(ConfigError, match=r"restore\.strength = 7 in .*config\.toml"):
        load_settings()
    environment["FRRCAM_RESTORE__STRENGTH"] = "8"
    with pytest.raises(ConfigError, match=r"strength = '8' in the environment \(FRRCAM_RESTORE__STRENGTH\): "):
        load_settings()
    with pytest.raises(ConfigError, match=r"strength = 9: "):
        load_settings({"restore": {"strength": 9}})


def test_a_variable_that_is_empty_says_nothing(environment: MutableMapping[str, str]):
    environment["FRRCAM_RESTORE__STRENGTH"] = environment["FRRCAM_CAMERA__DEVICE"] = ""
    assert load_settings() == Settings()


def test_devices_may_be_numbers_as_they_are_typed(config: Path):
    config.write_text("[camera]\ndevice = 0\n[output]\noutput = 40\n")
    settings = load_settings()
    assert (settings.camera.device, settings.output.output) == ("0", "40")


def test_the_mark_and_line_ends_of_a_windows_editor_are_no_fault(config: Path):
    config.write_bytes(b"\xef\xbb\xbf[restore]\r\nstrength = 0.5\r\n")
    assert load_settings().restore.strength == 0.5


def test_a_folder_of_that_name_is_named(config: Path):
    config.mkdir()
    try:
        with pytest.raises(ConfigError, match=r"config\.toml is not a file"):
            load_settings()
    finally:
        config.rmdir()


def test_settings_do_not_change_once_read():
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.restore.strength = 0.1  # type: ignore[misc]


def sections() -> list[type[BaseModel]]:
    return [field.annotation for field in Settings.model_fields.values() if isinstance(field.annotation, type)]


def test_every_setting_is_described_and_closed_to_unknown_keys():
    assert len(sections()) == 6
    for section in sections():
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["frozen"]
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_a_section_that_is_no_section_is_named(environment: MutableMapping[str, str]):
    environment["FRRCAM_CAMERA"] = "0"
    with pytest.raises(ConfigError, match="camera"):
        load_settings()


def test_a_file_that_is_no_text_is_named(config: Path):
    config.write_bytes(b"\xff\xfe[camera]")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings()


def test_the_readme_shows_a_file_that_can_be_read_and_names_every_setting(config: Path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    example = re.search(r"config\.toml`:\n\n```\n(.*?)```", readme, re.DOTALL)
    assert example
    config.write_text(example[1])
    assert load_settings().restore.strength == 0.8
    words = re.findall(r"\w+", example[1])
    for name, field in Settings.model_fields.items():
        assert {name, *field.annotation.model_fields} <= set(words)  # type: ignore[union-attr]

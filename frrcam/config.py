"""One tree of settings: defaults < config.toml < environment (FRRCAM_…) < flags.

# ~/.config/frrcam/config.toml
[camera]
device = "Integrated Camera"
size = "1280x720"

[restore]
strength = 0.8

# the same from the environment
FRRCAM_CAMERA__SIZE=1280x720 FRRCAM_RESTORE__STRENGTH=0.8 frrcam start
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from frrcam.amounts import Amounts, Preset, Reach, Where, preset_with
from frrcam.errors import ConfigError, UsageError
from frrcam.limits import LEAST_FPS, MOST_FPS, check_chosen_size

NO_SETTINGS = ("FRRCAM_DATA", "FRRCAM_SCREENSHOTS", "FRRCAM_VM_")
"""How the variables of training and of the tests begin."""

Provider = Literal["auto", "cpu", "openvino", "cuda", "tensorrt", "directml", "coreml", "qnn"]


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x720" → (1280, 720). Raises UsageError unless both are even and within 64–4096 pixels."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*", text)
    if not match:
        raise UsageError(f'size "{text}" is not WIDTHxHEIGHT; try 1280x720')
    return check_chosen_size((int(match[1]), int(match[2])))


def _parsed(value: object) -> object:
    try:
        return parse_size(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from None


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    try:
        return check_chosen_size(size)
    except UsageError as error:
        raise ValueError(str(error)) from None


Size = Annotated[tuple[int, int], BeforeValidator(_parsed), AfterValidator(_checked)]


class Section(BaseModel):
    """A part of the tree: unknown keys are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraSettings(Section):
    """Where pictures come from."""

    device: str | None = Field(
        None,
        min_length=1,
        coerce_numbers_to_str=True,
        description="camera: number, /dev/video node, by-id link or part of its name",
    )
    source: str | None = Field(None, min_length=1, description='clip or picture file, or "demo", instead of a camera')
    size: Size | None = Field(
        None, description="pixels asked of the camera, WxH; default 1280x720 or the nearest it has"
    )
    fps: float | None = Field(None, ge=LEAST_FPS, le=MOST_FPS, description="pictures a second asked of the camera")
    mirror: bool = Field(False, description="flip left and right (meeting programs already mirror your own view)")


class OutputSettings(Section):
    """Where pictures go to."""

    output: str | None = Field(
        None,
        min_length=1,
        coerce_numbers_to_str=True,
        description='virtual camera node, "pipewire", FILE.mp4, or "preview"; default: FRR Camera',
    )
    label: str = Field("FRR Camera", min_length=1, max_length=31, description="the virtual camera looked for by name")


class RestoreSettings(Section):
    """How faces are enhanced."""

    strength: float = Field(1.0, ge=0, le=1, description="share of the network's change that is applied")
    model: str = Field("auto", description="restorer: auto, a name that `frrcam models` lists, or an ONNX file")
    provider: Provider = Field("auto", description="ONNX Runtime execution provider")
    threads: int = Field(2, ge=1, le=64, description="processor threads of one network run")
    max_faces: int = Field(
        4, ge=1, le=16, description="faces enhanced at the most, largest first; unset, `enhance` takes all"
    )


class LightSettings(Section):
    """The light, colour, noise and sharpness of the picture."""

    preset: Preset = Field("natural", description="natural, bright or repair; the amounts below replace its own")
    light: float | None = Field(
        None, ge=0, le=1, description="missing light that is given; 0.7 keeps a picture's mood, 1 does not"
    )
    colour: float | None = Field(None, ge=0, le=1, description="colour cast that is taken off")
    noise: float | None = Field(None, ge=0, le=1, description="noise reduction of what is lit")
    sharpness: float | None = Field(None, ge=0, le=1, description="detail that the network restores on faces")
    reach: Reach = Field("person", description="how far the light goes: face, person or picture")
    where: Where = Field("scene", description="face: outside the faces every pixel stays the camera's")

    @property
    def amounts(self) -> Amounts:
        """The preset's amounts, with those that are set in their place."""
        return preset_with(
            self.preset,
            light=self.light,
            colour=self.colour,
            noise=self.noise,
            sharpness=self.sharpness,
            reach=self.reach,
            where=self.where,
        )


class FaceSettings(Section):
    """How faces are found."""

    detector: str = Field("auto", description="detector: auto, a name that `frrcam models` lists, or an ONNX file")
    threshold: float = Field(0.5, gt=0, lt=1, description="detections below this score are ignored")
    min_size: int = Field(40, ge=16, le=1000, description="faces smaller than this many pixels are left alone")


class ControlSettings(Section):
    """The page with the live picture, for this machine only."""

    port: int = Field(0, ge=0, le=65535, description="port on 127.0.0.1; 0 takes a free one")


_WHICH = frozenset({"device", "source"})


class _Below(PydanticBaseSettingsSource):
    """A layer that says nothing of the camera where one above it does.

    `camera.device` and `camera.source` are two answers to one question: `--source demo` is not to fall out with the
    device of config.toml. Both from one layer are left for `open_source` to refuse.
    """

    def __init__(self, layer: PydanticBaseSettingsSource) -> None:
        super().__init__(layer.settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        above, own = self.current_state.get("camera"), self._layer()
        camera = own.get("camera")
        if isinstance(above, dict) and isinstance(camera, dict) and _WHICH & above.keys():
            own = own | {"camera": {key: value for key, value in camera.items() if key not in _WHICH}}
        return own


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="FRRCAM_", env_nested_delimiter="__", env_ignore_empty=True
    )

    camera: CameraSettings = CameraSettings()
    output: OutputSettings = OutputSettings()
    restore: RestoreSettings = RestoreSettings()
    light: LightSettings = LightSettings()
    faces: FaceSettings = FaceSettings()
    control: ControlSettings = ControlSettings()

    @property
    def names_network(self) -> bool:
        """True if a network or what runs it was named: that one must work, where "auto" may fall back."""
        return not self.restore.model == self.restore.provider == self.faces.detector == "auto"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Below(env_settings), _Below(InitSettingsSource(settings_cls, _read(config_path())))


def config_path() -> Path:
    """Where config.toml is looked for; it need not exist."""
    return Path(platformdirs.user_config_dir("frrcam")) / "config.toml"


def load_settings(flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """The settings in force; `flags` holds sections of given flags, None values meaning "not given".

    Raises ConfigError naming the file or variable, the key, the value and the bound.
    """
    given: dict[str, Any] = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in (flags or {}).items()
        if any(value is not None for value in values.values())
    }
    _check_environment()
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = [str(part) for part in first["loc"]]
        wrong = _no_setting(key) if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"setting {'.'.join(key)} = {first['input']!r}{_place(key, given)}: {wrong}") from None
    except SettingsError as error:
        raise ConfigError(
            f"environment: {error}; sections are set key by key, as FRRCAM_CAMERA__SIZE=1280x720"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_path()} is not valid TOML: {error}; correct or remove it") from None
    except OSError as error:
        raise ConfigError(f"{config_path()} cannot be read: {error.strerror}") from None


def _read(path: Path) -> dict[str, Any]:
    """config.toml, if it is there; the mark that Windows' editors begin a file with is no part of it."""
    if path.is_dir() or path.is_fifo():
        raise ConfigError(f"{path} is not a file; remove it")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _check_environment() -> None:
    """pydantic-settings passes over what begins as our variables do and names no section."""
    for name, value in os.environ.items():
        section = name.upper().removeprefix("FRRCAM_").partition("__")[0].lower()
        ours = name.upper().startswith("FRRCAM_") and not name.upper().startswith(NO_SETTINGS)
        if ours and value and section not in Settings.model_fields:
            raise ConfigError(
                f"environment: {name} is no setting; they are called FRRCAM_SECTION__KEY, as FRRCAM_RESTORE__STRENGTH; "
                f"there are the sections {', '.join(Settings.model_fields)}"
            )


def _no_setting(key: list[str]) -> str:
    """What there is instead of an unknown key."""
    fields = Settings.model_fields
    section = fields[key[0]].annotation if len(key) > 1 else None
    known = section.model_fields if isinstance(section, type) and issubclass(section, Section) else fields
    return f"there is no such setting; there are {', '.join(known)}"


def _place(key: list[str], flags: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the highest layer that sets the key does so; "" of a flag, which was typed just now."""
    if key[0] in flags and (len(key) == 1 or key[1] in flags[key[0]]):
        return ""
    variables = {f"FRRCAM_{'__'.join(key[:length])}".upper() for length in (1, 2)}
    variable = next((name for name, value in os.environ.items() if name.upper() in variables and value), None)
    return f" in the environment ({variable})" if variable else f" in {config_path()}"

"""What the daemon tells of itself: one value, for the page, `--json`, and monitors."""

from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Part(BaseModel):
    """A value that does not change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _can_be_sent(cls, value: Any) -> Any:
        """A file name need not be UTF-8, which all that is sent is."""
        return value.encode(errors="replace").decode() if isinstance(value, str) else value


class NoticeLine(Part):
    """One thing that was said, once."""

    time: float = Field(description="seconds since the epoch")
    text: str


class Status(Part):
    """The state of a daemon at one moment; rates, times and shares are over its last frames."""

    state: str = Field(description="starting, running, plain, no camera, no output, idle or stopping")
    camera: str = Field("", description="where pictures come from")
    output: str = Field("", description="where they go to")
    size: tuple[int, int] = Field((0, 0), description="width, height of the published picture, pixels")
    fps: float = Field(0.0, description="published pictures a second")
    period_ms: float = Field(0.0, description="the budget of one frame, milliseconds")
    frames: int = Field(0, description="pictures published since the start")
    dropped: int = Field(0, description="camera pictures that a newer one replaced")
    faces: int = Field(0, description="faces in the last picture")
    rung: str = Field("", description="the level of work in force")
    rung_reason: str = Field("", description="why this rung and no better one")
    model: str = Field("", description="the restorer that runs, if any")
    provider: str = Field("", description="the execution provider that it runs on")
    frame_ms: dict[str, float] = Field(default_factory=dict, description="work of one frame: p50, p95, milliseconds")
    stages_ms: dict[str, dict[str, float]] = Field(default_factory=dict, description="the same for each stage")
    fresh_share: float = Field(0.0, description="share of frames with a network result of that very frame")
    late_share: float = Field(0.0, description="share of frames that took longer than the budget")
    notices: list[NoticeLine] = Field(default_factory=list, description="what was said, oldest first")
    started: float = Field(0.0, description="seconds since the epoch")
    version: str = Field(default_factory=lambda: version())


def prometheus(status: Status) -> str:
    """The status as Prometheus text (exposition format 0.0.4)."""
    lines: list[str] = []

    def metric(name: str, kind: str, help_text: str, *samples: tuple[str, float]) -> None:
        lines.append(f"# HELP frrcam_{name} {help_text}")
        lines.append(f"# TYPE frrcam_{name} {kind}")
        lines.extend(f"frrcam_{name}{labels} {value}" for labels, value in samples)

    def quantiles(values: dict[str, float], stage: str = "") -> list[tuple[str, float]]:
        prefix = f'stage="{stage}",' if stage else ""
        return [(f'{{{prefix}quantile="0.{rank[1:]}"}}', value / 1000) for rank, value in values.items()]

    labels = {"version": status.version, "state": status.state, "rung": status.rung}
    labels |= {"model": status.model, "provider": status.provider}
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    metric("info", "gauge", "What runs, as labels.", (f"{{{pairs}}}", 1))
    metric("start_time_seconds", "gauge", "When the daemon started, since the epoch.", ("", status.started))
    metric("frames_total", "counter", "Pictures published.", ("", status.frames))
    metric("dropped_total", "counter", "Camera pictures that a newer one replaced.", ("", status.dropped))
    metric("fps", "gauge", "Published pictures a second.", ("", status.fps))
    metric("faces", "gauge", "Faces in the last picture.", ("", status.faces))
    metric("fresh_share", "gauge", "Share of frames with a fresh network result.", ("", status.fresh_share))
    metric("late_share", "gauge", "Share of frames over the budget.", ("", status.late_share))
    metric("frame_budget_seconds", "gauge", "The budget of one frame.", ("", status.period_ms / 1000))
    metric("frame_seconds", "gauge", "Work of one frame, recent.", *quantiles(status.frame_ms))
    stages = [sample for stage, values in status.stages_ms.items() for sample in quantiles(values, stage)]
    metric("stage_seconds", "gauge", "Work of one stage, recent.", *stages)
    return "\n".join(lines) + "\n"


def version() -> str:
    """Of the frrcam that runs."""
    try:
        return metadata.version("frrcam")
    except metadata.PackageNotFoundError:
        return "from a source tree"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""docs/measurements.json: every version that was measured, shipped or not, for the plane and the model card.

{"versions": [{"sha256", "name", facts of the manifest, "milliseconds", "ratio", "report"}, ...]}, one
for each file's content: measuring it again replaces it. `ratio` is its time over the paper's own network's in the same
run, which carries over from a busy machine to a quiet one; milliseconds do not.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from train.common.files import replace
from train.common.statistics import Figure
from train.evaluate.report import Group, Report
from train.evaluate.timing import Timing

Version = dict[str, Any]


def read(path: Path) -> list[Version]:
    """The recorded versions, none where there is no file. ValueError if it is broken."""
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["versions"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of measurements: {error}") from error


def record(path: Path, versions: list[Version]) -> None:
    """Put versions into the record, in the place of those with the same content; the rest stays."""
    fresh = {version["sha256"]: version for version in versions}
    kept = [version for version in read(path) if version["sha256"] not in fresh]
    ordered = sorted([*kept, *fresh.values()], key=lambda version: (version["name"], version["sha256"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"versions": ordered}, indent=1, ensure_ascii=False) + "\n"
    replace(path, lambda part: part.write_text(text, encoding="utf-8"))


def retime(path: Path, times: dict[str, Timing]) -> None:
    """Replace the times of those recorded versions (by sha256) that were timed again."""
    fresh = [
        version | {"milliseconds": round(time.milliseconds, 2), "ratio": round(time.ratio, 5)}
        for version in read(path)
        if (time := times.get(version["sha256"]))
    ]
    record(path, fresh)


def packed(report: Report) -> dict[str, Any]:
    """A report as plain values."""
    return asdict(report)


def figure(content: dict[str, Any] | None) -> Figure | None:
    return None if content is None else Figure(**content)


def unpacked(content: dict[str, Any]) -> Report:
    """The report that `packed` gave."""

    def figures(tree: dict[str, Any]) -> dict[str, Figure | None]:
        return {name: figure(value) for name, value in tree.items()}

    def groups(tree: dict[str, Any]) -> dict[str, Group]:
        return {
            name: Group(own["faces"], figure(own["input"]), figure(own["restored"]), figure(own.get("blurred")))
            for name, own in tree.items()
        }

    nested = {
        state: {region: figures(values) for region, values in regions.items()}
        for state, regions in content["quality"].items()
    }
    return Report(
        **{
            **content,
            "quality": nested,
            "dice": figures(content["dice"]),
            "f1": figures(content["f1"]),
            "kinds": groups(content["kinds"]),
            "tones": groups(content["tones"]),
            "tone_spread": figures(content["tone_spread"]),
            "flicker": {region: figures(values) for region, values in content["flicker"].items()},
        }
    )

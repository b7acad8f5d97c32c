"""The exam's figures as tables."""

from typing import Any

from rich.table import Table


def tables(title: str, found: dict[str, Any]) -> list[Table]:
    """Tables of the sets, of the calibration curve, of thresholds and of skin tones, from `Result.as_dict`."""
    return [_sets(title, found), _curve(found), _thresholds(found), _tones(found)]


def _sets(title: str, found: dict[str, Any]) -> Table:
    table = _table(f"{title} at {found['threshold']}", "set", "pictures", "faces", "found", "false", "per 300",
                   "points, frontal", "profile")  # fmt: skip
    for row in found["sets"]:
        table.add_row(
            row["set"], str(row["pictures"]), str(row["faces"]), _percent(row["recall"]), str(row["false"]),
            f"{row['false_per_300']:.1f}", _percent(row["points_frontal"]), _percent(row["points_profile"]),
        )  # fmt: skip
    if "ghost_tracks" in found:
        ghosts = found["ghost_tracks"]
        table.caption = f"{ghosts['tracks']} tracks shown on {ghosts['rooms']} moving rooms, {ghosts['frames']} frames"
    return table


def _curve(found: dict[str, Any]) -> Table:
    table = _table("what a score means (people and rooms)", "score", "detections", "right", "right from here up")
    for row in found["curve"]:
        table.add_row(
            f"{row['from']:.2f} to {row['to']:.2f}", str(row["detections"]), _percent(row["right"]),
            _percent(row["right_at_or_above"]),
        )  # fmt: skip
    return table


def _thresholds(found: dict[str, Any]) -> Table:
    table = _table("other thresholds", "score", "people", "clips", "false per 300 rooms")
    for score, row in found["recall_at"].items():
        false = f"{row['rooms_false_per_300']:.1f}"
        table.add_row(score, _percent(row["people"]), _percent(row["clips"]), false)
    return table


def _tones(found: dict[str, Any]) -> Table:
    table = _table("recall by skin tone (individual typology angle), people", "tone", "faces", "found")
    for name, (faces, recall) in found["recall_by_skin_tone"].items():
        table.add_row(name, str(faces), _percent(recall))
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title)
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None or share != share else f"{100 * share:.1f} %"

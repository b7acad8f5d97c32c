"""weights/MODEL_CARD.md: figures and origin of the shipped restorers; what is written by hand around them stays."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from train.common.files import replace
from train.common.statistics import Figure
from train.data import skin_tone
from train.evaluate.measure import DRAWS, REFERENCE, SLIGHT
from train.evaluate.report import BEYOND, Report
from train.evaluate.tables import ROWS, cell
from train.publish import manifest
from train.publish.measurements import Version, unpacked

NAME = "MODEL_CARD.md"
BEGIN = "<!-- written by python -m train export: from here -->"
END = "<!-- written by python -m train export: to here -->"
HEAD = "# Model card of the shipped networks\n\n"

LICENCE = (
    "GPL-2.0-or-later; trained in part on photographs of real people given for non-commercial research "
    "(MEBeauty, SCUT-FBP5500, CelebAMask-HQ)"
)
TRAINED_ON = (
    "6,002 synthetic face photographs (faces-train: StyleGAN and diffusion sets, SFHQ and SFHQ-T2I among them) and "
    "9,887 from five public sets (train/data/collect.py: MEBeauty, SCUT-FBP5500, webmorph and two collections), "
    "degraded by Eq. 2 of FRR-Net and by a camera's chain of second order, in part behind cut-outs; mask head from the "
    "labels of a teacher trained on CelebAMask-HQ (photographs of real people, non-commercial research: the mask only)"
)


def write(path: Path, entries: Mapping[str, manifest.Entry], versions: Sequence[Version], default: str | None) -> None:
    """Put the figures of the restorers in `entries` (by name) between the markers; a missing card is begun.

    versions: their measurements, by sha256. default: the restorer whose tables are given in full.
    Raises ValueError if the card has lost one of its markers.
    """
    before, after = around(path)
    measured = {version["sha256"]: version for version in versions}
    rows = {name: measured[str(entry["sha256"])] for name, entry in entries.items() if entry["sha256"] in measured}
    body = "\n\n".join(sections(rows, default))
    text = f"{before}{BEGIN}\n{body}\n{END}{after}"
    replace(path, lambda part: part.write_text(text, encoding="utf-8"))


def around(path: Path) -> tuple[str, str]:
    """What stands before and after the figures; ValueError if the card has lost one of its markers."""
    text = path.read_text(encoding="utf-8") if path.exists() else f"{HEAD}{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the figures: put these lines back: {BEGIN} {END}")
    return before, after


def sections(rows: Mapping[str, Version], default: str | None) -> list[str]:
    """Files, their figures, and all of the default's."""
    if not rows:
        return ["No file was measured yet: run python -m train export."]
    reports = {name: unpacked(row["report"]) for name, row in rows.items()}
    found = [files(rows), family(reports)]
    if default in reports:
        found += [full(reports[default]), faces_table(reports[default])]
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def files(rows: Mapping[str, Version]) -> str:
    """What each file is: shape, size, cost, and how exact."""

    def difference(row: Version) -> str:
        loss = row.get("int8_minus_fp32")
        return "" if loss is None else f"{loss['value']:+.2f} [{loss['low']:+.2f}, {loss['high']:+.2f}]"

    head = ("file", "crop", "width, depth, stem", "parameters", "GMAC", "MB", "images seen", "ms", "1 / paper's own")
    lines = [
        (
            f"`{row['file']}`",
            f"{row['size']} px",
            f"{row['width']}, {row['depth']}, {row['stem_stride']}",
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['gmac']:.2f}",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['images_seen']:,}",
            f"{row['milliseconds']:.1f}",
            f"{1 / row['ratio']:.1f}",
            difference(row),
            "" if row["differs_from_pytorch"] is None else f"{row['differs_from_pytorch']:.0e}",
        )
        for row in rows.values()
    ]
    return (
        "### Files\n\n"
        + table((*head, "int8 − fp32, dB", "ONNX − PyTorch, largest"), lines)
        + "\n\nTimes: one face on two CPU threads; beside it, the time of the paper's (12,2) at stem 1 in fp32 in the "
        "same run over it. The last column is before quantisation."
    )


def restored(report: Report, metric: str) -> Figure | None:
    return report.figure("restored", metric)


def family(reports: Mapping[str, Report]) -> str:
    """The restored faces' figures of all files."""
    head = ("", *(f"`{name}`" for name in reports))
    any_report = next(iter(reports.values()))
    shown: list[tuple[str, str, Callable[[Report], Figure | None]]] = [
        *((title, form, partial(restored, metric=metric)) for metric, title, form in ROWS),
        ("PSNR shown at 336 px", ".2f", lambda report: report.figure("shown", "psnr")),
        ("PSNR inside the mask", ".2f", lambda report: report.figure("restored", "psnr", "inside")),
        ("an undegraded face, dB", ".1f", lambda report: report.figure("clean", "psnr")),
        ("mask dice", ".3f", lambda report: report.dice.get("degraded")),
        ("macro F1", ".3f", lambda report: report.f1["macro"]),
    ]
    lines = [(title, *(cell(of(report), form) for report in reports.values())) for title, form, of in shown]
    return (
        f"### Figures, {any_report.faces} held-out faces, distorted ones only, [95 % bootstrap interval]\n\n"
        'Each at its own crop size; "shown at 336 px" is as frrcam puts it into the picture.\n\n' + table(head, lines)
    )


def full(report: Report) -> str:
    """The default's figures beside its input's."""
    columns = [(state, region) for region in ("whole", "inside") for state in ("input", "restored")]
    lines = [
        (title, *(cell(report.figure(state, metric, region), form) for state, region in columns))
        for metric, title, form in ROWS
    ]
    lines += [
        (f"flicker, 8-bit levels, {state}", flicker(report, "whole", state), "", flicker(report, "inside", state), "")
        for state in ("input", "restored", "excess")
        if report.flicker
    ]
    notes = "".join(f"\n- {name}: {why}" for name, why in report.notes.items())
    head = ("", "input", "restored", "input, inside the mask", "restored, inside the mask")
    return f"### `{report.model}` in full\n\n{table(head, lines)}\n\nNot measured:{notes}"


def flicker(report: Report, region: str, state: str) -> str:
    figure: Figure | None = report.flicker[region][state]
    return cell(figure, ".2f")


def faces_table(report: Report) -> str:
    """The default's PSNR by distortion and by skin tone."""
    lines: list[tuple[str, ...]] = [
        (name, str(own.faces), cell(own.input, ".2f"), cell(own.restored, ".2f"), "")
        for name, own in report.kinds.items()
    ]
    for name, own in report.tones.items():
        figures = (cell(figure, ".2f") for figure in (own.input, own.restored, own.blurred))
        lines.append((f"skin {name}", str(own.faces), *figures))
    spread = [cell(report.tone_spread.get(state), ".2f") for state in ("input", "restored", "blurred")]
    lines.append((f"spread of skin bins with {skin_tone.ENOUGH} faces or more", "", *spread))
    lines.append(("the same of restored less blurred", "", "", cell(report.tone_spread.get(BEYOND), ".2f"), ""))
    return (
        "### PSNR by distortion and by skin tone\n\n"
        "Skin tone is the typology angle (ITA) of the original's cheeks: the tone in that light. Tones are compared "
        f"under the same {DRAWS} degradations of every face. What a picture itself makes hard is in the last "
        f"column: its original, blurred by {SLIGHT * report.size / REFERENCE:.1f} px and by nothing else.\n\n"
        + table(("", "faces", "input", "restored", "original, blurred"), lines)
    )

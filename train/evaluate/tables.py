"""What `python -m train evaluate` and `times` print: tables of figures with their intervals."""

from collections.abc import Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from train.common.statistics import Figure
from train.data import skin_tone
from train.evaluate.classifier import Comparison
from train.evaluate.report import BEYOND, Report
from train.evaluate.timing import Timing

ROWS = (
    ("psnr", "PSNR, dB", ".2f"),
    ("ssim", "SSIM", ".3f"),
    ("lpips", "LPIPS", ".3f"),
    ("identity", "identity cosine", ".3f"),
    ("dlib", "dlib distance", ".3f"),
    ("iprecision", "iPrecision", ".3f"),
    ("irecall", "iRecall", ".3f"),
)


REGIONS = {"whole": "", "inside": ", in the mask"}


def cell(figure: Figure | None, form: str) -> str:
    return "not measured" if figure is None else format(figure, form)


def grid(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def quality(report: Report) -> Table:
    """Input and restored, on the whole crop and inside the mask; then what is shown at 336 px, and undegraded faces."""
    name = f"{report.model}, {report.faces} held-out faces at {report.size} px, [95 % interval]"
    table = grid(name, "", "input", "restored")
    for region, where in REGIONS.items():
        for metric, title, form in ROWS:
            values = (cell(report.figure(state, metric, region), form) for state in ("input", "restored"))
            table.add_row(title + where, *values)
        table.add_section()
    for region, where in REGIONS.items():
        for metric, title, form in ROWS[:2]:
            table.add_row(f"{title} at 336 px{where}", "", cell(report.figure("shown", metric, region), form))
        clean = cell(report.figure("clean", "psnr", region), ".1f")
        table.add_row(f"undegraded, dB{where}", "", clean)
    return table


def behaviour(report: Report) -> Table:
    """Mask, classifier, flicker and time."""
    table = grid("mask, classifier, steadiness", "", "value [95 % interval]")
    for name, figure in report.dice.items():
        table.add_row(f"mask dice, {name} faces", cell(figure, ".3f"))
    for name, figure in report.f1.items():
        table.add_row(f"F1, {name}", cell(figure, ".3f"))
    for region, states in report.flicker.items():
        for state, figure in states.items():
            table.add_row(f"flicker, {region}, {state}, levels", cell(figure, ".2f"))
    if report.milliseconds is not None:
        table.add_row("one face, two threads, ms", f"{report.milliseconds:.1f}")
    return table


def groups(report: Report) -> Table:
    """PSNR by distortion, and by skin tone under the same degradations for all (`evaluate.Measured.alike`)."""
    table = grid("PSNR, dB", "", "faces", "input", "restored", "original, blurred")
    for name, own in report.kinds.items():
        table.add_row(name, str(own.faces), cell(own.input, ".2f"), cell(own.restored, ".2f"), "")
    table.add_section()
    for name, own in report.tones.items():
        figures = [cell(figure, ".2f") for figure in (own.input, own.restored, own.blurred)]
        table.add_row(f"skin {name}", str(own.faces), *figures)
    spread = [cell(report.tone_spread.get(state), ".2f") for state in ("input", "restored", "blurred")]
    table.add_row(f"spread, bins of {skin_tone.ENOUGH} or more", "", *spread)
    table.add_row("spread of restored less blurred", "", "", cell(report.tone_spread.get(BEYOND), ".2f"), "")
    return table


def show(report: Report) -> RenderableType:
    """All of a report."""
    notes = [Text(f"{name} is not measured: {why}", style="dim") for name, why in report.notes.items()]
    return Lines(quality(report), behaviour(report), groups(report), *notes)


def classifiers(found: Comparison) -> Table:
    """F1 of a head on a face network's features and of the restorer's own classifier."""
    table = grid(f"F1 on {found.held_out} held-out faces", "", "on a face network's features", "its own")
    for name, score in found.face_network.items():
        table.add_row(name, f"{score:.3f}", f"{found.restorer[name]:.3f}")
    table.add_row("one face, two threads, ms", f"{found.face_network_ms:.1f} more", f"{found.restorer_ms:.1f} in all")
    return table


def times(names: Sequence[str], timings: Sequence[Timing]) -> Table:
    """Milliseconds and the share of the first one's time."""
    table = grid("one face, two threads, taken in turns", "", "ms", "of the paper's own", "1 /")
    for name, timing in zip(names, timings, strict=True):
        table.add_row(name, f"{timing.milliseconds:.1f}", f"{timing.ratio:.4f}", f"{1 / timing.ratio:.1f}")
    return table

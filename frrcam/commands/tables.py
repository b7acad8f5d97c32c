"""What the commands print as tables: devices, models, the bench's figures, the doctor's findings."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    from frrcam.app.bench import BenchReport
    from frrcam.install.doctor import Finding
    from frrcam.linux.devices import Camera, Mode, VirtualCamera
    from frrcam.restore.models import ModelEntry

WIDTH = 78
"""Columns that the table of all figures takes."""


def device_tables(cameras: "Sequence[Camera]", virtual_cameras: "Sequence[VirtualCamera]") -> tuple[Table, Table]:
    """For people: a row for each pixel format of each camera, and a row for each virtual camera."""
    return _cameras_table(cameras), _virtual_cameras_table(virtual_cameras)


def _cameras_table(cameras: "Sequence[Camera]") -> Table:
    rows = []
    for camera in cameras:
        alike: dict[tuple[Mode, ...], list[str]] = {}
        for item in camera.formats:
            alike.setdefault(item.modes, []).append(item.fourcc)
        formats = [f"{' '.join(names)}: {', '.join(map(_mode_text, modes))}" for modes, names in alike.items()]
        rows.append((f"{camera.name}\n{camera.link}".strip(), camera.node, "\n".join(formats), _users(camera)))
    return _table("Cameras", ("name", "node", "formats: sizes@fastest rate", "open in"), rows)


def _virtual_cameras_table(devices: "Sequence[VirtualCamera]") -> Table:
    words = {True: "yes", False: "no", None: "?"}
    rows = [
        (
            device.label,
            device.node,
            words[device.exclusive_caps],
            words[device.producing],
            device.format,
            _users(device),
        )
        for device in devices
    ]
    return _table("Virtual cameras", ("label", "node", "exclusive_caps", "producer", "carries", "open in"), rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", caption=None if rows else "none here", caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _users(device: "Camera | VirtualCamera") -> str:
    return device.problem or ", ".join(map(str, device.busy_by))


def _mode_text(mode: "Mode") -> str:
    return f"{mode.width}x{mode.height}" + (f"@{mode.rates[0]:g}" if mode.rates else "")


def model_table(entries: "Iterable[ModelEntry]", width: int) -> Group:
    """What `frrcam models` prints on `width` columns: figures in a table, licences and training data below.

    Where not all figures have room, a few stand there whole: all of them, and the names, would be cut to nothing.
    """
    entries = list(entries)
    caption = "PSNR and SSIM: held-out distorted faces; ms: one face on two CPU cores"
    columns: tuple[str, ...] = ("px", "type", "MB", "GMAC", "PSNR", "SSIM", "ident.", "ms")
    if width < WIDTH:
        columns, caption = ("PSNR", "ms"), "a wider terminal, or --json, shows the rest"
    grid = Table(title="Models", caption=caption)
    grid.add_column("name", overflow="fold")
    for column in columns:
        grid.add_column(column, justify="right", no_wrap=True)
    for kind in ("restorer", "detector"):
        for entry in (entry for entry in entries if entry.kind == kind):
            figures = {
                "px": _cell(entry.size, "d"),
                "type": entry.precision or "–",
                "MB": _cell(entry.bytes and entry.bytes / 1e6, ".1f"),
                "GMAC": _cell(entry.gmac, ".2f"),
                "PSNR": _cell(entry.psnr, ".2f"),
                "SSIM": _cell(entry.ssim, ".3f"),
                "ident.": _cell(entry.identity, ".3f"),
                "ms": _cell(entry.milliseconds, ".1f"),
            }
            grid.add_row(entry.name, *(figures[column] for column in columns))
        grid.add_section()
    terms: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        terms.setdefault((entry.licence, entry.trained_on or "not stated"), []).append(entry.name)
    return Group(
        grid,
        *(
            Padding(f"[bold]{', '.join(names)}[/]\n{escape(licence)}\nTrained on {escape(trained_on)}", (1, 0, 0, 0))
            for (licence, trained_on), names in terms.items()
        ),
    )


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def bench_tables(report: "BenchReport") -> list[Table]:
    """What `frrcam bench` prints."""
    stages = Table(title=f"{report.source} {report.size}, {report.period_ms:g} ms a frame", title_justify="left")
    for column in ("stage", "p50 ms", "p95 ms"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for stage, taken in report.stages_ms.items():
        stages.add_row(stage, f"{taken['p50']:.2f}", f"{taken['p95']:.2f}")
    stages.add_section()
    stages.add_row("whole frame", f"{report.frame_ms['p50']:.2f}", f"{report.frame_ms['p95']:.2f}")
    summary = Table(show_header=False, box=None)
    summary.add_column(style="bold")
    summary.add_column()
    rungs = ", ".join(f"{rung} {share:.0%}" for rung, share in report.rungs.items())
    first = report.first_frame_s
    for name, value in (
        ("frame work", f"p99 {report.frame_ms['p99']:.1f} ms, max {report.frame_ms['max']:.1f} ms"),
        (
            "latency",
            f"p50 {report.latency_ms['p50']:.1f} ms, p95 {report.latency_ms['p95']:.1f} ms, picture to publish",
        ),
        (
            "rate",
            f"{report.fps:.2f} fps, {report.frames} frames, {report.dropped} dropped, {report.late_share:.1%} late",
        ),
        ("faces", f"{report.faces:g} on average, {report.fresh_share:.1%} of frames with a fresh network result"),
        ("rungs", rungs),
        ("machine", f"{report.cpu_cores:.2f} cores busy, {report.peak_mb:.0f} MB at the peak"),
        (
            "start",
            f"{first:.2f} s to the first enhanced picture" if first else f"not one enhanced: {report.plain_reason}",
        ),
        ("network", report.network),
    ):
        summary.add_row(name, value)
    return [stages, summary]


def finding_table(findings: "Sequence[Finding]") -> Table:
    """For people; each remedy is under its finding."""
    marks = {"ok": "[green]ok[/]", "info": "[dim]info[/]", "warn": "[yellow]warn[/]", "bad": "[red]bad[/]"}
    table = Table(show_header=False, box=None)
    for _ in range(3):
        table.add_column(overflow="fold")  # of a command, no letter may go
    for finding in findings:
        remedy = f"\n[bold]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(marks[finding.status], escape(finding.title), escape(finding.detail) + remedy)
    return table

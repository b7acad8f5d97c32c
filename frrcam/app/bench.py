"""`frrcam bench`: what a frame costs on this machine, measured on the live pipeline itself."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil

from frrcam.closing import Closing
from frrcam.config import Settings
from frrcam.daemon.daemon import Daemon, EngineLoader
from frrcam.daemon.settings import LiveSettings, LiveValue
from frrcam.daemon.status import Status
from frrcam.errors import SinkUnusable, SourceUnusable
from frrcam.frame import Frame, Image, Payload
from frrcam.pipeline import metrics as measure
from frrcam.pipeline.budget import Budget
from frrcam.pipeline.engine import loaded
from frrcam.sinks.base import SinkInfo
from frrcam.sinks.files import check_target, written_whole
from frrcam.sources.base import Source


class MemorySink(Closing):
    """Converts as a virtual camera does, and copies the picture once, as a driver does: the work without the device."""

    def __init__(self, width: int, height: int) -> None:
        self.info = SinkInfo("memory", "bench")
        self._even = (width & ~1, height & ~1)
        self._driver = np.empty((self._even[1] * 3 // 2, self._even[0]), np.uint8)

    def convert(self, image: Image) -> Payload:
        width, height = self._even
        return np.asarray(cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420), np.uint8)

    def send(self, payload: Payload, original: Frame) -> None:
        np.copyto(self._driver, payload)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What was measured. Times in milliseconds unless the name says otherwise; shares in [0,1]."""

    fps: float
    frames: int
    frame_ms: dict[str, float]
    """p50, p95, p99 and max of one frame's work, decoding to publishing."""
    latency_ms: dict[str, float]
    """p50 and p95 from the picture being complete to its being published."""
    stages_ms: dict[str, dict[str, float]]
    fresh_share: float
    late_share: float
    dropped: int
    """Frames that came while the one before was still being worked on, and were skipped."""
    rungs: dict[str, float]
    faces: float
    """Mean number of faces followed."""
    cpu_cores: float
    peak_mb: float
    first_frame_s: float | None
    """From the start of the process to the first enhanced picture; None if there was none."""
    plain_reason: str
    """Why there was none; else ""."""
    provider: str
    model: str
    """What ran on the last picture, and on what; "" if no network did."""
    source: str
    size: str
    period_ms: float

    @property
    def network(self) -> str:
        """For people: the network of the last picture, and what ran it."""
        return f"{self.model} on {self.provider}" if self.model else "none on the last picture"

    def as_json(self) -> dict[str, object]:
        """Everything, for `--json`."""
        return asdict(self)


def run_bench(
    open_source: Callable[[], Source], load: EngineLoader, seconds: float, settings: Settings
) -> tuple[BenchReport, Daemon]:
    """Plays the source at its own rate through the daemon for `seconds`; the report, and the daemon with its records.

    Size, strength, mirror and the most faces are as `start` takes them from `settings`.

    Raises SourceUnusable if nothing could be measured, and what `load` raises: plain pictures are not worth measuring.
    """
    source = open_source()
    info = source.info
    size = settings.camera.size or (info.width, info.height)
    sink = MemorySink(*size)
    try:
        engine = load(1 / info.fps)
    except BaseException:
        source.close()
        raise
    daemon = Daemon(
        source,
        open_source,
        sink,
        lambda width, height, fps: MemorySink(width, height),
        loaded(engine, load),
        size=size,
        fps=info.fps,
        settings=LiveSettings(LiveValue.at_first(settings)),
        keep=None,
    )
    daemon.run(seconds=seconds, wait_for_engine=True)
    ended, busy = time.monotonic(), time.process_time() - (daemon.cpu_at_capture or 0.0)
    records = daemon.metrics.window()
    if not records:
        raise SourceUnusable(f"{info.name}: not one frame in {seconds:g} s; nothing was measured")
    wall = max(ended - records[0].published + records[0].total, 1e-3)
    p50, p95, p99, top = measure.percentiles([record.total for record in records], 50, 95, 99, 100)
    latency = measure.percentiles([record.latency for record in records], 50, 95)
    status = daemon.status()
    first = daemon.first_enhanced
    return BenchReport(
        fps=measure.rate(records),
        frames=len(records),
        frame_ms={"p50": p50, "p95": p95, "p99": p99, "max": top},
        latency_ms={"p50": latency[0], "p95": latency[1]},
        stages_ms=measure.stages_ms(records),
        fresh_share=measure.fresh_share(records),
        late_share=measure.late_share(records),
        dropped=daemon.metrics.dropped,
        rungs=measure.rung_shares(records),
        faces=round(float(np.mean([record.faces for record in records])), 2),
        cpu_cores=round(busy / wall, 2),
        peak_mb=_peak_mb(),
        first_frame_s=round(first - psutil.Process().create_time(), 2) if first else None,
        plain_reason="" if first else _why_plain(status, engine.budget),
        provider=status.provider,
        model=status.model,
        source=info.name,
        size=f"{size[0]}x{size[1]}",
        period_ms=round(1000 / info.fps, 2),
    ), daemon


def _why_plain(status: Status, budget: Budget) -> str:
    """What kept all pictures plain, for people."""
    if status.model:
        return "no face was found"
    taken = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in budget.warm_up_s.items())
    return f"{status.rung_reason}; in the warm-up one took {taken}"


def _peak_mb() -> float:
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 2**20, 1)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def check_plot(path: Path) -> None:
    """Raises SinkError unless a plot can be written there."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SinkUnusable(f"{path}: a plot is a .png, .svg or .pdf file")
    check_target(path)


def plot(report: BenchReport, daemon: Daemon, path: Path) -> None:
    """Draws the distribution of frame times against the budget, and where the time goes. Raises SinkError."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its fonts is no matter of the user's
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    total = 1000 * np.array([record.total for record in daemon.metrics.window()])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2), layout="constrained")
    left.hist(
        total, bins=np.linspace(0, max(1.5 * report.period_ms, float(np.percentile(total, 99.5))), 60), color="#3a7ca5"
    )
    left.axvline(report.period_ms, color="#c1292e", label=f"budget {report.period_ms:.1f} ms")
    left.axvline(report.frame_ms["p95"], color="#333333", linestyle="--", label=f"p95 {report.frame_ms['p95']:.1f} ms")
    left.set(
        xlabel="work for one frame, ms", ylabel="frames", title=f"{report.source} {report.size}: {report.fps:.1f} fps"
    )
    left.legend(frameon=False)
    names = list(report.stages_ms)
    right.barh(names, [report.stages_ms[name]["p95"] for name in names], color="#bcd4e6", label="p95")
    right.barh(names, [report.stages_ms[name]["p50"] for name in names], color="#3a7ca5", label="p50")
    right.invert_yaxis()
    right.set(xlabel="ms", title=report.network)
    right.legend(frameon=False)
    try:
        with written_whole(path) as part:
            figure.savefig(part, format=path.suffix[1:].lower(), dpi=110)
    finally:
        plt.close(figure)

"""The commands that write weights/ and the record of measurements: export, plane."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from onnxruntime.quantization import CalibrationMethod

from train.commands.tools import Count, Record, Weights, shipped_in, tools
from train.common.paths import DATA, RECORD, ROOT, RUNS, WEIGHTS, Data, Runs, Threads
from train.common.progress import stepped
from train.data.faces import load_faces
from train.evaluate import measure, timing
from train.publish import measurements, pareto, publish

app = typer.Typer()


@app.command("export")
def export_command(
    source: Annotated[Path, typer.Argument(help="A checkpoint.")],
    data: Data = DATA,
    runs: Runs = RUNS,
    weights: Weights = WEIGHTS,
    record: Record = RECORD,
    rungs: Annotated[str, typer.Option(help="SIZE-PRECISION,... ; int8, fp16 or fp32.")] = "336-int8,224-int8,336-fp16",
    default: Annotated[str, typer.Option(help="The file that the manifest names as default.")] = "frrnet-336-int8",
    calibrate: Annotated[str, typer.Option(help="How int8 ranges are read: MinMax, Percentile or Entropy.")] = "MinMax",
    clips: Annotated[bool, typer.Option(help="Flicker of the default on DATA/clips.")] = True,
    count: Count = None,
    threads: Threads = 1,
) -> None:
    """Write ONNX files by the contract, quantise and measure them; then manifest, record and model card."""
    torch.set_num_threads(threads)
    wanted = [publish.Rung.parse(rung) for rung in rungs.split(",")]
    publish.check(source, wanted, weights, record)
    if calibrate not in CalibrationMethod.__members__:
        raise ValueError(f"--calibrate {calibrate}: give MinMax, Percentile or Entropy")
    faces = load_faces(data, runs / "cache", measure.REFERENCE)
    measured_with = tools(data, runs, count, clips=clips)
    method = CalibrationMethod[calibrate]
    publish.publish(source, weights, wanted, faces, measured_with, default, record, method)


@app.command("plane")
def plane_command(
    out: Annotated[Path, typer.Argument(help="PNG to write.")] = ROOT / "docs" / "family.png",
    runs: Runs = RUNS,
    weights: Weights = WEIGHTS,
    record: Record = RECORD,
    rounds: Annotated[int, typer.Option(min=1, help="How often each shipped file has its turn.")] = 8,
) -> None:
    """Time what ships beside the paper's own network, and draw every version measured: milliseconds against PSNR."""
    publish.check_kept(weights, record)
    shipped = shipped_in(weights)
    files = [weights / str(entry["file"]) for entry in shipped.values()]
    paper, *times = timing.interleaved([timing.paper_file(runs), *files], rounds=rounds, progress=stepped)
    digests = [str(entry["sha256"]) for entry in shipped.values()]
    measurements.retime(record, dict(zip(digests, times, strict=True)))
    publish.renew(weights, record)
    found = pareto.places(measurements.read(record), set(digests), paper.milliseconds)
    pareto.draw(found, paper.milliseconds, out)
    for place in sorted(found, key=lambda place: place.milliseconds):
        said = "ships" if place.shipped else "does not ship"
        worse = ", dominated" if pareto.dominated(place, found) else ""
        print(f"{place.name}: {place.milliseconds:.1f} ms, {place.psnr[0]:.2f} dB, {said}{worse}")

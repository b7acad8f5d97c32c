"""The family of restorers: which networks are worth running here, best first, and how they are loaded."""

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from frrcam.restore import providers
from frrcam.restore.models import Manifest, ModelEntry, Precision, load_manifest, resolve
from frrcam.restore.selection import Selection
from frrcam.restore.session import Notices, OnnxRestorer, Step, silent


@dataclass(frozen=True, slots=True)
class Rung:
    """One network of the family, with what it costs and what it is worth (as the manifest has measured them)."""

    name: str
    model: ModelEntry
    size: int
    psnr: float
    milliseconds: float


def family(manifest: Manifest, precisions: Sequence[Precision] = ("int8", "fp32")) -> list[Rung]:
    """The restorers that a provider of these precisions should choose from, from the best to the lightest.

    Of each network only the file of the first precision listed counts. Dropped is what another network of the same
    or a larger size equals or beats in both PSNR and milliseconds; one without figures counts as the worst. A larger
    size is never dropped for its PSNR alone: it keeps detail that the smaller crop has lost before it is measured.
    """
    rungs = [
        Rung(entry.name, entry, entry.size, entry.psnr or 0.0, entry.milliseconds or math.inf)
        for entry in manifest.of_kind("restorer")
        if entry.size and entry is variant(manifest, entry, precisions)
    ]
    best: list[Rung] = []
    for rung in sorted(rungs, key=lambda rung: (-rung.size, -rung.psnr, rung.milliseconds)):
        if not any(other.psnr >= rung.psnr and other.milliseconds <= rung.milliseconds for other in best):
            best.append(rung)
    return sorted(best, key=lambda rung: -rung.milliseconds)


def variant(manifest: Manifest, entry: ModelEntry, precisions: Sequence[Precision]) -> ModelEntry:
    """The file of the same network in the first of these precisions that there is; `entry` itself where there is none.

    Files are of one network if width, depth, stem stride, size and images seen agree.
    """

    def network(model: ModelEntry) -> tuple[object, ...]:
        return model.width, model.depth, model.stem_stride, model.size, model.images_seen

    if entry.width is None:
        return entry
    siblings = [model for model in manifest.of_kind("restorer") if network(model) == network(entry)]
    for precision in precisions:
        for model in siblings:
            if model.precision == precision:
                return model
    return entry


def load_family(
    model: str = "auto",
    provider: str = "auto",
    threads: int = 2,
    *,
    manifest: Manifest | None = None,
    selection: Selection | None = None,
    beside: Executor | None = None,
    notices: Notices = silent,
    limit: int | None = None,
) -> list[OnnxRestorer]:
    """Loads the restorers for `--model` and `--provider`, best first, each with its ladder down to the CPU.

    model: "auto" for the family, a NAME or FILE.onnx for that one alone.
    provider: "auto" for the fastest measured, or a name: that one must work (ProviderError).
    beside: one for them all, as OnnxRestorer's.
    limit: how many at most, the best ones.
    Raises UsageError for a provider of no such name, and ModelError's children for what is wrong with a file.
    """
    wanted = None if provider == "auto" else providers.named(provider)
    if manifest is None and not model.lower().endswith(".onnx"):
        manifest = load_manifest()
    entry = resolve(model, "restorer", manifest)

    whole = manifest if model == "auto" else None  # a network that the user named is run as it stands

    def steps(network: ModelEntry, ladder: Sequence[providers.InstalledProvider]) -> list[Step]:
        return [Step(variant(whole, network, runner.precisions) if whole else network, runner) for runner in ladder]

    if wanted:
        ladder = [wanted] if wanted is providers.CPU else [wanted, providers.CPU]
    else:
        ladder = providers.candidates()
        order = (selection or Selection()).order(steps(entry, ladder), threads, notices)
        ladder = [providers.named(name) for name in order]
    networks = [entry]
    if whole:
        networks = [rung.model for rung in family(whole, ladder[0].precisions)][:limit] or networks
    return [
        OnnxRestorer(
            steps(network, ladder),
            threads,
            beside=beside,
            required=wanted is not None and len(ladder) > 1,
            notices=notices,
        )
        for network in networks
    ]

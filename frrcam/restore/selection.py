"""Which provider runs a network fastest on this machine: measured once and remembered, wrong results refused."""

import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from frrcam.atomic import replacing
from frrcam.errors import ModelError, one_line
from frrcam.restore.contract import Image
from frrcam.restore.models import digest
from frrcam.restore.providers import machine
from frrcam.restore.session import Notices, OnnxRestorer, Step, silent
from frrcam.restore.types import Restored

_log = logging.getLogger(__name__)

RUNS = 7
"""Timed runs per provider; two more before them are not timed."""
GAIN = 0.95
"""A provider must take less than this share of the CPU's time to be preferred to it."""
TOLERANCE = (0.02, 0.02, 0.1)
"""How far restored and mask (mean absolute difference) and distortion (largest) may be from the CPU's."""


def cache_path() -> Path:
    """Where the measurements are kept: the user's cache folder for frrcam."""
    return Path(platformdirs.user_cache_dir("frrcam")) / "providers.json"


def picture(size: int) -> Image:
    """What is restored for a measurement: size×size×3, smooth with some noise, always the same."""
    axis = np.linspace(0, 160, size)
    smooth = np.stack(np.broadcast_arrays(axis[:, None], axis, axis[::-1]), -1)
    return (smooth + np.random.default_rng(0).uniform(0, 90, smooth.shape)).astype(np.uint8)


class Selection:
    """Orders providers by measured time, with a cache per machine, model and thread count.

    path: the cache; a missing, broken or unwritable one only costs the measurement again.
    clock: seconds, monotonic. fingerprint: what measurements depend on besides the providers' versions.
    """

    def __init__(
        self,
        path: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
        fingerprint: Callable[[], str] = machine,
    ) -> None:
        self._path, self._clock, self._fingerprint = path or cache_path(), clock, fingerprint

    def order(self, steps: Sequence[Step], threads: int, notices: Notices = silent) -> list[str]:
        """Names of the providers to use, fastest first, the CPU (the last of `steps`) always among them.

        steps: the same network on every provider that is installed, the CPU last.
        Raises ModelError if another provider works and the CPU does not.
        """
        if len(steps) == 1:
            return [steps[0].provider.name]
        key = self._key(steps, threads)
        if (known := self._read().get(key)) is not None:
            names = {step.provider.name for step in steps}
            if isinstance(known, dict) and set(known) <= names and steps[-1].provider.name in known:
                return list(known)
        times = self._measure(steps, threads, notices)
        self._write(key, times)
        return list(times)

    def _measure(self, steps: Sequence[Step], threads: int, notices: Notices) -> dict[str, float | None]:
        """Milliseconds by provider, fastest first; what fails or disagrees is left out, with a notice."""
        *others, cpu = steps
        measured: dict[str, tuple[float, Restored]] = {}
        for step in others:
            try:
                measured[step.provider.name] = self._time(step, threads)
            except Exception as error:
                cause = error.__cause__ if type(error) is ModelError else None
                _refuse(step.provider.name, one_line(cause or error), notices)
        if not measured:
            return {cpu.provider.name: None}  # the usual case on a laptop without a plugin: nothing to compare with
        milliseconds, truth = self._time(cpu, threads)
        effective = {cpu.provider.name: GAIN * milliseconds}
        times: dict[str, float | None] = {cpu.provider.name: milliseconds}
        for name, (milliseconds, result) in measured.items():
            if agrees(result, truth):
                effective[name] = times[name] = milliseconds
            else:
                _refuse(name, "its results differ from the CPU's", notices)
        return {name: times[name] for name in sorted(effective, key=effective.__getitem__)}

    def _time(self, step: Step, threads: int) -> tuple[float, Restored]:
        """Median milliseconds for one face, and what came out. Raises what loading and running raise."""
        with OnnxRestorer([step], threads) as restorer:
            crops = [picture(restorer.size)]
            result = restorer.restore(crops)
            restorer.restore(crops)
            times = []
            for _ in range(RUNS):
                start = self._clock()
                restorer.restore(crops)
                times.append(self._clock() - start)
        return round(1000 * statistics.median(times), 3), result

    def _key(self, steps: Sequence[Step], threads: int) -> str:
        parts = [self._fingerprint(), f"{threads} threads"]
        for step in steps:
            parts.append(
                f"{step.provider.name} {step.provider.version} {(step.model.sha256 or digest(step.model.path))[:16]}"
            )
        return "; ".join(parts)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, key: str, times: dict[str, float | None]) -> None:
        """Adds one measurement, atomically, so that two daemons never leave half a file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as part:
                part.write_text(json.dumps(self._read() | {key: times}, indent=1), "utf-8")
        except OSError as error:
            _log.info("provider measurements are not kept: %s", error)


def _refuse(name: str, reason: str, notices: Notices) -> None:
    text = f"provider {name} is not used: {reason}"
    _log.info(text)
    notices(text)


def agrees(result: Restored, truth: Restored) -> bool:
    """True if a provider's result is the CPU's but for rounding."""
    if result.restored.shape != truth.restored.shape:
        return False
    restored = float(np.abs(result.restored - truth.restored).mean())
    mask = float(np.abs(result.mask - truth.mask).mean())
    distortion = float(np.abs(result.distortion - truth.distortion).max())
    return restored <= TOLERANCE[0] and mask <= TOLERANCE[1] and distortion <= TOLERANCE[2]

"""One clip, spoiled in one way, published, and compared with the truth."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.scene import measures
from benchmarks.scene.clips import Clip
from benchmarks.scene.light import Light, linear, luminance
from benchmarks.scene.publish import Published
from benchmarks.scene.regions import Mask, Regions, regions
from benchmarks.scene.spoil import KINDS, Spoiler
from frrcam.frame import Frame, Image

Publish = Callable[[Frame], Published]
"""Called with every frame, in order."""


@dataclass(frozen=True, slots=True)
class Score:
    """What was measured of one clip and kind; `figures` by the names of `benchmarks.scene.report.FIGURES`.

    A figure that cannot be had (no face, no truth) is not in it.
    """

    clip: str
    kind: str
    frames: int
    scored: int
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Input, published and clean picture of one moment, for the sheets; `clean` is None where there is no truth."""

    label: str
    given: Image
    published: Image
    clean: Image | None


def score(
    clip: Clip, kind: str, publish: Publish, *, seed: int = 0, every: int = 4, settle: int = 0
) -> tuple[Score, Sample]:
    """Publishes all pictures of a clip that has its faces, spoiled, and scores every `every`-th.

    `settle`: how many frames the first picture is shown before it, as to a camera that has been running for a while.
    """
    spoiler = Spoiler(kind, clip.name, clip.faces[0], seed)
    truth, tally = KINDS[kind].is_reference, Tally(still=KINDS[kind].still)
    count, sample = len(clip.images), None
    for number in range(settle + count):
        index = max(number - settle, 0)
        shown = 0 if KINDS[kind].still else index
        clean, faces = clip.images[shown], clip.faces[shown]
        given = spoiler.spoil(clean, faces, number, clip.people[shown] if clip.people else None)
        time = number / clip.fps if number < settle else settle / clip.fps + clip.times[index]
        published = publish(Frame(given, number, time, clip.name))
        if number < settle:
            continue
        tally.time(published)
        if KINDS[kind].still or index % every == 0:
            where = regions(faces, clean.shape[:2])
            tally.add(given, published.image, clean if truth else None, where)
            if sample is None or index <= count // 2:
                sample = Sample(clip.name, given, published.image, clean if truth else None)
    assert sample is not None, "a clip has at least one picture"
    return Score(clip.name, kind, count, tally.scored, tally.figures()), sample


class Tally:
    """Collects the figures of one clip and kind."""

    def __init__(self, *, still: bool = False) -> None:
        """`still`: all pictures are of one scene; their flicker is measured too."""
        self.scored = 0
        self._still = still
        self._values: dict[str, list[float]] = defaultdict(list)
        self._flicker = (measures.Flicker(), measures.Flicker())
        self._regions: Regions | None = None

    def time(self, published: Published) -> None:
        """Notes what one picture took."""
        self._values["wall"].append(published.wall_ms)
        self._values["cpu"].append(published.cpu_ms)

    def add(self, given: Image, published: Image, clean: Image | None, where: Regions) -> None:
        """Measures one moment."""
        self.scored += 1
        self._regions = where
        if self._still:
            for flicker, image in zip(self._flicker, (given, published), strict=True):
                flicker.add(image)
            if self.scored > 1:  # the picture is the same all the time: what follows is measured once
                return
        before, after = (luminance(linear(image)) for image in (given, published))
        self._note("change", measures.mean_within(_difference(given, published), where.face))
        self._note("around", _ratio(before, after, where.around))
        self._light(before, after, where)
        if clean is None:
            return
        truth = luminance(linear(clean))
        for name, image in (("in", given), ("out", published)):
            error = measures.squared_error(image, clean)
            for region in ("face", "head", "background"):
                self._note(f"{region}_{name}", measures.mean_within(error, getattr(where, region)))
            self._note(f"whole_{name}", float(error.mean()))
        returned = [measures.face_gain(truth, after, box) for box in where.boxes]
        self._note("returned", _mean([gain for gain, _ in returned]))
        self._note("returned_spread", _mean([measures.spread(cells) for _, cells in returned if cells.size]))
        places = {"face": where.face, "rest": ~where.box}
        for place, found in measures.noise((clean, given, published), (before, after), places).items():
            self._note(f"noise_{place}_in", found.before)
            self._note(f"noise_{place}_out", found.after)
            self._note(f"noise_{place}_gain", found.gain)

    def figures(self) -> dict[str, float]:
        """What was measured, without what cannot be had."""
        found = {name: float(np.mean(values)) for name, values in self._values.items() if name not in ("wall", "cpu")}
        for region in ("face", "head", "background", "whole"):
            for name in ("in", "out"):
                if (key := f"{region}_{name}") in found:
                    found[key] = measures.psnr(found[key])
        found |= self._steadiness()
        for place in ("face", "rest"):
            if (key := f"noise_{place}") + "_in" in found:
                found[key] = found[f"{key}_out"] / max(found[f"{key}_in"], 1e-3)
                found[f"{key}_by_gain"] = measures.by_gain(found[key], found[f"{key}_gain"])
        if self._still:
            found |= self._flickers()
        for name in ("wall", "cpu"):
            for share in (50, 95):
                found[f"{name}_p{share}"] = measures.percentile(self._values[name], share)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def _note(self, name: str, value: float) -> None:
        if np.isfinite(value):
            self._values[name].append(value)

    def _light(self, before: Light, after: Light, where: Regions) -> None:
        """Gain and level of the faces' light."""
        gains = [measures.face_gain(before, after, box) for box in where.boxes]
        self._note("gain", _mean([gain for gain, _ in gains]))
        self._note("gain_spread", _mean([measures.spread(cells) for _, cells in gains if cells.size]))
        self._note("level_in", measures.mean_within(before, where.face))
        self._note("level_out", measures.mean_within(after, where.face))

    def _steadiness(self) -> dict[str, float]:
        """Deviations over time, as shares of the input's own mean level."""
        level = float(np.mean(self._values.get("level_in", [np.nan])))
        names = {"gain_sd": ("gain", 1.0), "level_in_sd": ("level_in", level), "level_out_sd": ("level_out", level)}
        return {
            name: float(np.std(self._values[key]) / max(unit, 1e-6))
            for name, (key, unit) in names.items()
            if len(self._values.get(key, [])) > 1
        }

    def _flickers(self) -> dict[str, float]:
        assert self._regions is not None, "no picture was added"
        usable = self._flicker[0].bright(measures.USABLE[0])
        found: dict[str, float] = {}
        places = {"face": self._regions.box, "around": self._regions.around, "background": self._regions.background}
        for region, place in places.items():
            before, after = (flicker.share(place, usable) for flicker in self._flicker)
            found |= {f"flicker_{region}_in": before, f"flicker_{region}": after / before if before else float("nan")}
        return found


def _difference(one: Image, other: Image) -> measures.Plane:
    """Of each pixel, the mean over the channels, levels."""
    return np.asarray(np.abs(one.astype(np.float32) - other).mean(2), np.float32)


def _ratio(before: Light, after: Light, region: Mask) -> float:
    return measures.mean_within(after, region) / max(measures.mean_within(before, region), measures.DARKEST)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")

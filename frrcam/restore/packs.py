"""InsightFace's model packs that `frrcam models fetch` knows: where they are, whose they are, which bytes they must be.

frrcam ships none of them and works without; the user may fetch one after reading its licence. Only the detector is
kept.
"""

from dataclasses import dataclass
from pathlib import Path

import platformdirs

LICENCE = "InsightFace model licence: non-commercial research only"
NOTICE = """\
InsightFace's pretrained models are available for NON-COMMERCIAL RESEARCH PURPOSES ONLY; InsightFace's code is MIT,
its models are not. For any other use ask InsightFace for a licence first. frrcam neither ships nor needs them: its own
detector is free of these terms. Source and terms: https://github.com/deepinsight/insightface#license"""


@dataclass(frozen=True, slots=True)
class Pack:
    """One archive of a release. The hashes are of the files that the release v0.7 of 2021/22 serves."""

    name: str
    url: str
    sha256: str
    bytes: int
    detector: str
    """The one file that is kept."""
    detector_sha256: str
    detector_bytes: int
    licence: str = LICENCE


def _insightface(name: str, sha256: str, size: int) -> Pack:
    return Pack(
        name=name,
        url=f"https://github.com/deepinsight/insightface/releases/download/v0.7/{name}.zip",
        sha256=sha256,
        bytes=size,
        detector="det_500m.onnx",
        detector_sha256="5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
        detector_bytes=2524817,
    )


PACKS = {
    pack.name: pack
    for pack in (
        _insightface("buffalo_s", "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e", 127607557),
        _insightface("buffalo_sc", "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72", 14969382),
    )
}


def fetched_dir() -> Path:
    """Where fetched packs go: the user's data folder for frrcam."""
    return Path(platformdirs.user_data_dir("frrcam")) / "models"

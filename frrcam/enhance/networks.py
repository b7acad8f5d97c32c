"""The networks that `enhance` runs: the detector, and the best restorer of the family."""

from dataclasses import dataclass

from frrcam.config import Settings
from frrcam.enhance.confirm import ConfirmingDetector
from frrcam.enhance.tiles import TiledDetector
from frrcam.faces.types import Detector
from frrcam.pipeline.engine import load_detector
from frrcam.restore.rungs import load_family
from frrcam.restore.session import Notices, silent
from frrcam.restore.types import Restorer


@dataclass(frozen=True, slots=True)
class Networks:
    """Loaded, warm, and used from one thread."""

    detector: Detector
    restorer: Restorer


def load_networks(settings: Settings, notices: Notices = silent) -> Networks:
    """The detector and the best restorer that the settings name. Raises ModelError or ProviderError."""
    restore = settings.restore
    best = load_family(restore.model, restore.provider, restore.threads, notices=notices, limit=1)[0]
    return Networks(ConfirmingDetector(TiledDetector(load_detector(settings))), best)

"""FRR-Net at work: models found and checked, providers chosen, sessions run.

    from frrcam.restore import load_family

    restorers = load_family("auto", "auto", threads=2, notices=print)   # best first
    result = restorers[0].restore([crop])

Contract: contract.py. Files: models.py, packs.py, download.py. Running: session.py, providers.py, selection.py,
rungs.py.
"""

from frrcam.restore.models import ModelEntry, load_manifest, resolve, verify
from frrcam.restore.rungs import Rung, family, load_family
from frrcam.restore.session import OnnxRestorer
from frrcam.restore.types import FakeRestorer, Restored, Restorer

__all__ = [
    "FakeRestorer",
    "ModelEntry",
    "OnnxRestorer",
    "Restored",
    "Restorer",
    "Rung",
    "family",
    "load_family",
    "load_manifest",
    "resolve",
    "verify",
]

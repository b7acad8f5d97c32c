"""`frrcam enhance`: pictures, clips and folders of them, at the best rung and at leisure."""

from frrcam.enhance.networks import Networks, load_networks
from frrcam.enhance.progress import Bar, Monitor, Silent
from frrcam.enhance.run import EnhanceOptions, FileResult, Report, enhance

__all__ = [
    "Bar",
    "EnhanceOptions",
    "FileResult",
    "Monitor",
    "Networks",
    "Report",
    "Silent",
    "enhance",
    "load_networks",
]

"""The sizes and rates of pictures that frrcam takes: sides in pixels, rates in pictures a second."""

from pathlib import Path

from frrcam.errors import SourceUnusable, UsageError

READ_SIDES = range(32, 8193)
"""Sides of a picture that is read; 8192 is v4l2loopback's own limit."""
CHOSEN_SIDES = range(64, 4097)
"""Sides that a user may choose, with `--size` and in config.toml; both must be even."""
SENT_SIDES = range(2, 8193)
"""Even sides of a picture that is sent to a virtual camera."""
DEMO_WIDTHS, DEMO_HEIGHTS = range(160, 3841), range(120, 2161)
"""Sizes that the demonstration can be drawn in."""
LEAST_FPS, MOST_FPS = 1, 240


def is_rate(fps: float) -> bool:
    """True for a rate from 1 to 240."""
    return LEAST_FPS <= fps <= MOST_FPS


def check_rate(fps: float) -> None:
    """Raises UsageError for a rate outside 1 … 240."""
    if not is_rate(fps):
        raise UsageError(f"{fps:g} pictures a second cannot be meant; choose {LEAST_FPS} to {MOST_FPS}")


def check_read_size(width: int, height: int, path: Path) -> None:
    """Raises SourceUnusable, naming the file, for a side outside 32 … 8192 pixels."""
    if width not in READ_SIDES or height not in READ_SIDES:
        raise SourceUnusable(f"{path}: {width}x{height} pixels; each side must be {READ_SIDES[0]} to {READ_SIDES[-1]}")


def check_chosen_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) itself. Raises UsageError unless both are even and within 64–4096 pixels."""
    width, height = size
    if width not in CHOSEN_SIDES or height not in CHOSEN_SIDES:
        raise UsageError(
            f"size {width}x{height} is out of range: each side {CHOSEN_SIDES[0]} to {CHOSEN_SIDES[-1]} pixels; "
            "try 1280x720"
        )
    if width % 2 or height % 2:
        raise UsageError(
            f"size {width}x{height} is odd, and virtual cameras need even sides; "
            f"try {width + width % 2}x{height + height % 2}"
        )
    return size

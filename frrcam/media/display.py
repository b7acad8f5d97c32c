"""How a clip's stored pictures are shown: turned and mirrored by a display matrix, in colours of a YUV matrix."""

from typing import NamedTuple

import av
import numpy as np
from av.buffer import Buffer

from frrcam.frame import Image

BT709, BT601 = 1, 6
"""FFmpeg's numbers (AVCOL_SPC_…) of the two YUV matrices that untagged clips have."""
BT601_625_PRIMARIES, BT601_525_PRIMARIES = 5, 6
"""FFmpeg's numbers (AVCOL_PRI_…) of the primaries of PAL and NTSC."""
SD_LINES = 576
"""Players take an untagged clip of more lines for BT.709, and any other for BT.601."""
_CONVERTIBLE = {1: 1, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9, 10: 9}
"""YUV matrices that swscale converts, and by which of its own."""


class Orientation(NamedTuple):
    """One of the eight ways to put a rectangle's pixels upright: first the transpose, then the mirrors."""

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    def apply(self, image: Image) -> Image:
        """The picture (H×W×3) as it is shown: contiguous, and the argument itself if it is upright."""
        if self == UPRIGHT:
            return image
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.left_right:
            image = image[:, ::-1]
        return np.ascontiguousarray(image[::-1] if self.up_down else image)


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """What the frame's display matrix asks for; an angle between quarter turns is rounded to the nearest.

    The matrix is the nine numbers a b u c d v x y w of ISO 14496-12, §8.3.2: a stored point (x, y) is shown at
    (a·x + c·y, b·x + d·y). Scaling is not applied: FFmpeg gives it as the pixel aspect.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, Buffer):
        return UPRIGHT
    a, b, _, c, d, *_ = np.frombuffer(memoryview(data), np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def matrix_of(colorspace: int, lines: int) -> int:
    """The YUV matrix of a clip by its tag, or by its number of lines where the tag says nothing swscale knows."""
    return _CONVERTIBLE.get(colorspace, BT709 if lines > SD_LINES else BT601)


def primaries_of(lines: int) -> int:
    """The primaries that players assume of an untagged clip with this number of lines."""
    return {576: BT601_625_PRIMARIES, 480: BT601_525_PRIMARIES, 486: BT601_525_PRIMARIES}.get(lines, BT709)

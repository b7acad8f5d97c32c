"""Put restored faces back into the picture, steadily over time."""

from frrcam.compose.blend import blend, effect
from frrcam.compose.temporal import FaceMemory

__all__ = ["FaceMemory", "blend", "effect"]

"""Composites that the detector is trained on: faces, backgrounds, and how they are joined."""

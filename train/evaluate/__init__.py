"""Restorers measured on held-out faces and clips, as figures, tables and pictures."""

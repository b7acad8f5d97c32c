"""Clips as files: opened, and how players show their pixels; for sources and sinks alike."""

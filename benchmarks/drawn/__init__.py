"""Drawn scenes that know the truth, for benchmarks and tests alike."""

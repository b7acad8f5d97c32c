"""A detector judged on pictures that it has not seen, and its scores calibrated."""

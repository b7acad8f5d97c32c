"""What only Linux has: video devices, PipeWire, systemd, suspend."""

"""What goes to weights/: files, manifest, record of measurements, model card."""

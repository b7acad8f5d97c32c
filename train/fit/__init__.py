"""Training: settings, losses, batches, the loop, checkpoints; the parts that are trained first."""

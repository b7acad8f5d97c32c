"""The live run: threads from camera to virtual camera, their status and their settings."""

"""Setting Linux up for the virtual camera: the files under /etc, the kernel module, and taking both away."""

from frrcam.install.setup.command import Machine, SetupOptions, setup

__all__ = ["Machine", "SetupOptions", "setup"]

"""The console script, and `python -m frrcam`."""

import sys


def main() -> None:
    """Runs the command that was typed. The commands are loaded in here, so that Ctrl-C meanwhile is no traceback."""
    try:
        from frrcam.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()

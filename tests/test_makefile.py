"""What a fresh machine meets before there is a Python to run anything with."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")

HALF_MADE = """#!/bin/sh
[ "$1" = -c ] && exec {python} "$@"
echo tried >> {folder}/tries
mkdir -p {folder}/venv/bin && touch {folder}/venv/bin/python
exit 1
"""
"""As Python does it on a Debian without python3-venv: the interpreter is there, and pip is not."""
OLD = """#!/bin/sh
shift
exec {python} -c "import sys; sys.version_info = (3, 10); $1"
"""


def make(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    python = folder / "python"
    python.write_text(script.format(python=sys.executable, folder=folder))
    python.chmod(0o755)
    target = f"{folder}/venv/bin/python"
    command = ["make", "-C", str(Path(__file__).parents[1]), f"PYTHON={python}", f"VENV={folder}/venv", target]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_a_venv_that_was_left_half_made_is_made_again(tmp_path: Path) -> None:
    assert make(tmp_path, HALF_MADE).returncode != 0
    assert make(tmp_path, HALF_MADE).returncode != 0
    assert (tmp_path / "tries").read_text() == "tried\n" * 2


def test_too_old_a_python_is_named_before_anything_is_made(tmp_path: Path) -> None:
    made = make(tmp_path, OLD)
    assert made.returncode != 0
    assert "frrcam needs Python 3.11 or later" in made.stderr
    assert not (tmp_path / "venv").exists()

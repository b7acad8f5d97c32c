"""The commands as typed: help that teaches, one line for what is wrong."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from frrcam.cli import app

COMMANDS = ["start", "bench", "enhance", "devices", "doctor", "models", "status"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    assert "--json" in result.output
    assert len(result.output) > 200


def test_help_tells_the_first_command_to_type() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "frrcam start" in result.output
    assert "FRR Camera" in result.output


@pytest.mark.parametrize(
    ("arguments", "word", "code"),
    [
        (["start", "--size", "641x480"], "odd", 2),
        (["start", "--size", "huge"], "1280x720", 2),
        (["start", "--size", "99999x2"], "out of range", 2),
        (["start", "--provider", "abacus"], "openvino", 2),
        (["start", "--source", "nowhere.mp4", "--output", "preview"], "nowhere.mp4", 3),
        (["start", "--model", "no-such-net"], "no-such-net", 5),
        (["bench", "--plot", "nowhere/a.png"], "nowhere", 4),
        (["bench", "--plot", "a.txt"], "a.txt", 4),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(arguments: list[str], word: str, code: int) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("frrcam: error: ")
    assert word in result.stderr


def test_the_runtime_never_imports_torch_or_train() -> None:
    names = "frrcam.start, frrcam.bench, frrcam.enhance, frrcam.doctor, frrcam.devices, frrcam.cli"
    code = f"import sys, {names}; sys.exit(bool({{'torch', 'train'}} & {{name.split('.')[0] for name in sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LEAVE = """
import atexit, sys, threading
from frrcam.cli import main
from frrcam.runtime.aside import MayHang
atexit.register(print, "taken down in order")
if sys.argv.pop() == "hangs":
    MayHang("driver", threading.Event().wait).start()
main()
"""


@pytest.mark.parametrize("ending", ["hangs", "ends"])
def test_a_thread_that_hangs_in_a_driver_keeps_nobody_from_leaving(ending: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LEAVE, "--help", ending], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0
    assert "frrcam start" in ran.stdout
    assert ("taken down in order" in ran.stdout) == (ending == "ends"), (
        "the interpreter's end would abort on the thread"
    )

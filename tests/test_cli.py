"""The commands as typed: help that teaches, one line for what is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from frrcam.cli import app
from frrcam.control.discovery import control_path
from frrcam.control.server import ControlServer
from frrcam.daemon.settings import LiveSettings
from frrcam.daemon.status import Status
from frrcam.sinks.preview import PreviewSink
from frrcam.sources.video import VideoSource

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


@pytest.mark.parametrize("command", [["start"], ["bench"], ["enhance"], ["models", "fetch"]])
def test_every_example_of_a_help_text_stands_on_a_line_of_its_own(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "100", "NO_COLOR": "1"})
    examples = [line for line in result.output.splitlines() if line.startswith(f"  frrcam {' '.join(command)}")]
    assert len(examples) >= (1 if command == ["models", "fetch"] else 3)
    assert all(line.count("frrcam ") == 1 for line in examples), examples


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"frrcam \S.*\n", result.stdout)


def test_status_tells_where_the_page_is() -> None:
    """Nothing else does of a service, whose journal is not to hold the secret."""
    path = control_path()
    with ControlServer(PreviewSink(), lambda: Status(state="idle"), LiveSettings(), announce_at=path) as server:
        answer = CliRunner().invoke(app, ["status"])
    assert answer.exit_code == 0
    assert server.url in answer.stdout


def typed(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command line in a shell, with `frrcam` as the whole program."""
    command = f'frrcam() {{ "{sys.executable}" -P -m frrcam "$@"; }}; {line}'
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, **env}
    return subprocess.run(
        ["sh", "-c", command], check=False, capture_output=True, text=True, timeout=120, env=environment
    )


def test_a_value_that_is_refused_is_named() -> None:
    ran = typed("frrcam start --fps 1e400")
    assert ran.returncode == 2
    assert re.fullmatch(r"frrcam: error: .*--fps.*(1e400|inf).*\. See: .*frrcam start --help\n", ran.stderr), ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["models", "models --json", "devices --json", "--help"])
def test_standard_output_on_a_full_disk_is_one_line(command: str) -> None:
    ran = typed(f"frrcam {command} > /dev/full")
    assert ran.returncode == 1
    assert ran.stderr == "frrcam: error: standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_current_folder_that_was_deleted_is_named() -> None:
    ran = typed('gone=$(mktemp -d) && cd "$gone" && rmdir "$gone" && frrcam start --source demo -o out.mp4')
    assert ran.returncode == 1
    assert ran.stderr.endswith("frrcam: error: the current folder: No such file or directory\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("command", ["enhance in.png out.png", "start -s demo -o preview --frames 1", "bench"])
@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ("raise ImportError('libav.so: failed to map segment')", r"a library cannot be .*: libav\.so: .*ulimit -v\)"),
        ("raise ImportError('libGL.so.1: cannot open')", r"a library cannot be loaded: libGL\.so\.1: cannot open"),
        ("raise MemoryError", r"there is not enough memory; .*ulimit -v\)"),
    ],
)
def test_a_library_that_is_not_there_or_finds_no_memory_is_one_line(
    tmp_path: Path, command: str, lacking: str, expected: str
) -> None:
    (tmp_path / "av.py").write_text(lacking)
    ran = typed(f"frrcam {command}", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[1]}")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.fullmatch(rf"frrcam: error: {expected}\n", ran.stderr), ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_an_interrupt_while_a_library_is_loaded_is_no_fault_of_it(tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('initialization failed') from KeyboardInterrupt()")
    ran = typed("frrcam enhance in.png out.png", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[1]}")
    assert (ran.returncode, ran.stderr) == (130, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_standard_output_may_be_closed_cut_short_or_without_arrows() -> None:
    closed = typed("frrcam models --json >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert typed("frrcam models --json | true").stderr == ""
    ascii_only = typed("frrcam doctor", PYTHONIOENCODING="ascii")
    assert ascii_only.returncode in (0, 1)
    assert ascii_only.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("redirection", ["<&-", "</dev/null"])
def test_a_licence_that_cannot_be_accepted_is_one_line_after_it(redirection: str) -> None:
    ran = typed(f"frrcam models fetch buffalo_sc {redirection}")
    assert ran.returncode == 5
    assert "NON-COMMERCIAL" in ran.stderr
    *_, last = ran.stderr.splitlines()
    assert last == "frrcam: error: buffalo_sc was not fetched: no answer to the licence question; --yes accepts it"


def test_doctor_ends_with_what_it_found() -> None:
    ran = typed("frrcam doctor --json")
    assert ran.returncode == any(finding["status"] == "bad" for finding in json.loads(ran.stdout))


def test_what_is_typed_reaches_the_pictures_and_status_comes_as_lines_of_json(tmp_path: Path) -> None:
    picture = np.full((96, 128, 3), 30, np.uint8)
    picture[:, :64] = 220
    cv2.imwrite(str(tmp_path / "in.png"), picture)
    ran = typed(f"cd '{tmp_path}' && frrcam start -s in.png --mirror -p cpu -o out.mp4 --frames 60 --json")
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines
    assert {line["output"] for line in lines} == {"out.mp4 (out.mp4)"}
    image = VideoSource(tmp_path / "out.mp4").read().image  # type: ignore[union-attr]
    assert image[48, 20].max() < 60
    assert image[48, 108].min() > 190


@pytest.mark.parametrize("command", ["start -s demo -o preview", "bench", "enhance in.png out.png"])
def test_a_provider_that_is_named_and_cannot_run_is_an_error(command: str, tmp_path: Path) -> None:
    from frrcam.restore.providers import PROVIDERS

    lacking = next(provider.name for provider in PROVIDERS.values() if provider.version is None)
    cv2.imwrite(str(tmp_path / "in.png"), np.full((96, 128, 3), 30, np.uint8))
    ran = typed(f"cd '{tmp_path}' && frrcam {command} -p {lacking}")
    assert (ran.returncode, ran.stdout) == (6, "")
    assert ran.stderr.count("\n") == 1
    assert lacking in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_licence_accepted_beforehand_is_not_asked_for(tmp_path: Path) -> None:
    ran = typed(f"frrcam models fetch buffalo_sc --yes --from '{tmp_path}/gone.zip' </dev/null")
    assert ran.returncode == 5
    assert "Accept?" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith(f"frrcam: error: no file {tmp_path}/gone.zip")


TELL = """
import json, os, sys, threading
from frrcam.commands.console import say
{spoil}
def work():
    say("no reader is left")
    say("nor this")
    finished.append(True)
finished = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps(finished))
"""
"""A thread of the daemon's that has something to say."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pipe's descriptors")
@pytest.mark.parametrize(
    "spoil",
    [
        "read, write = os.pipe(); os.close(read); os.dup2(write, 2)",
        "sys.stderr = None",
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    ],
    ids=["reader gone", "closed", "disk full"],
)
def test_a_line_without_a_reader_ends_no_thread_and_costs_no_output(spoil: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TELL.format(spoil=spoil)], check=False, capture_output=True, text=True, timeout=60
    )
    assert json.loads(ran.stdout) == [True], ran


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("redirection", ["2>&-", "2>&1 >/dev/null | true", "2>/dev/full"])
def test_the_pictures_go_on_with_and_without_a_reader(tmp_path: Path, redirection: str) -> None:
    clip = tmp_path / "out.mp4"
    typed(f"frrcam start -s demo --size 320x240 -o '{clip}' --frames 3 {redirection}")
    assert clip.stat().st_size > 0, "the file is complete, as after every run to its end"


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
    names = (
        "frrcam.app.start, frrcam.app.bench, frrcam.enhance, frrcam.install.doctor, frrcam.linux.devices, frrcam.cli"
    )
    code = f"import sys, {names}; sys.exit(bool({{'torch', 'train'}} & {{name.split('.')[0] for name in sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


INTERRUPTED = """
import signal, sys
from frrcam.__main__ import main
sys.addaudithook(lambda event, about: event == "import" and about[0] == "typer" and signal.raise_signal(signal.SIGINT))
main()
"""
"""Ctrl-C while the commands are loaded."""


def test_an_interrupt_before_the_command_is_no_traceback() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], check=False, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder that cannot be made")
def test_a_home_that_cannot_be_written_to_is_not_remarked_upon(tmp_path: Path) -> None:
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), "/dev/null/x")
    plot = tmp_path / "times.png"
    ran = typed(f"frrcam bench -s demo --size 160x120 --seconds 1 -p cpu --plot '{plot}' >/dev/null", **homes)
    assert (ran.returncode, ran.stderr) == (0, f"frrcam: frame times drawn in {plot}\n")


LEAVE = """
import atexit, sys, threading
from frrcam.cli import main
from frrcam.concurrency.deadline import MayHang
atexit.register(print, "taken down in order")
if sys.argv.pop() == "hangs":
    MayHang("driver", threading.Event().wait).start()
main()
"""


@pytest.mark.parametrize("ending", ["hangs", "ends"])
def test_a_thread_that_hangs_in_a_driver_does_not_keep_the_process(ending: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LEAVE, "--help", ending], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0
    assert "frrcam start" in ran.stdout
    assert ("taken down in order" in ran.stdout) == (ending == "ends"), (
        "the interpreter's end would abort on the thread"
    )

"""Plain English: words that make a sentence hard to read stay out of the code, the documents and the page."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEVER = {
    "anew": "again, or re-: restart, reload, reopen",
    "whoever": "a program that, a user who, the caller",
    "mend": "fix, correct",
    "mends": "fixes, corrects",
    "mended": "fixed",
    "mending": "fixing",
    "by its word": "say what is trusted",
    "so many": "the name of the number",
    "nobody": "no program, no user, no reader",
    "somebody": "a program, a user, a reader",
    "told": "shown, notified, given, known",
    **{
        f"{verb} {middle}be": "must, will, can"
        for verb in ("is", "are", "was", "were")
        for middle in ("to ", "not to ")
    },
}
"""Words, and what to write instead."""
SUFFIXES = {".py", ".md", ".html", ".js", ".css"}
LANGUAGE = Path("tests/test_language.py")
WORDS = re.compile(
    r"(?<![a-z])(?:" + "|".join(word.replace(" ", r"[\s_]+") for word in NEVER) + r")(?![a-z])", re.IGNORECASE
)
"""A word of an identifier counts too: `while_nobody_watches`."""


def files() -> list[Path]:
    """What git tracks, but for this list."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if Path(name).suffix in SUFFIXES]
    return [path for path in paths if path != LANGUAGE and (ROOT / path).is_file()]


def violations(text: str, *, prose: bool) -> list[str]:
    """Each line with a word of the list, as "number: word". In prose, what is in quotes or code marks may have it."""
    if prose:
        text = re.sub(r"“[^”]*”|\"[^\"\n]*\"|`[^`\n]*`", lambda quoted: " " * len(quoted[0]), text)
    return [f"{text.count(chr(10), 0, found.start()) + 1}: {found[0]}" for found in WORDS.finditer(text)]


def test_no_word_of_the_list_is_used() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    found = {
        str(path): wrong
        for path in files()
        if (wrong := violations((ROOT / path).read_text("utf-8"), prose=path.suffix == ".md"))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It is\nto be opened.", ["1: is\nto be"]),
        ("def test_nobody_watches()", ["1: nobody"]),
        ("fine\nIt begins Anew.", ["2: Anew"]),
        ("a monument, untold, mender", []),
    ],
)
def test_words_are_found_in_prose_and_identifiers(text: str, words: list[str]) -> None:
    assert violations(text, prose=False) == words


def test_quotes_in_prose_are_excepted() -> None:
    assert violations('the user "nobody", and `nobody`', prose=True) == []

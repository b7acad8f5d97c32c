"""The tree drawn at the head of errors.py is the tree of classes, and every one of them can be acted on."""

import inspect
import re

import pytest

from frrcam import errors
from frrcam.errors import FrrcamError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
]


def drawn() -> dict[str, tuple[str, str]]:
    """name → (parent, what is said of it), as drawn."""
    assert errors.__doc__
    path: list[str] = []
    tree = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)\s{2,}(\S.*)$", line)
        if match:
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            tree[match[2]] = (path[-2] if depth else "Exception", match[3])
    return tree


def test_the_drawing_is_the_tree():
    assert {name: parent for name, (parent, _) in drawn().items()} == {
        one.__name__: one.__mro__[1].__name__ for one in CLASSES
    }


def test_the_drawing_is_in_the_order_of_the_code():
    assert list(drawn()) == [one.__name__ for one in CLASSES]


@pytest.mark.parametrize("one", CLASSES)
def test_each_says_when_it_is_raised(one: type[FrrcamError]):
    assert one.__doc__
    assert one.__dict__.get("__doc__"), "its own words, not its parent's"
    assert drawn()[one.__name__][1]


@pytest.mark.parametrize("one", CLASSES)
def test_each_is_caught_at_the_top_and_ends_with_a_code(one: type[FrrcamError]):
    assert issubclass(one, FrrcamError)
    assert 1 <= one.exit_code <= 125
    assert str(one("device 3 is busy: close zoom")) == "device 3 is busy: close zoom"


def test_families_share_a_code_that_is_theirs_alone():
    top = [one for one in CLASSES if one.__mro__[1] is FrrcamError]
    codes = {one.__name__: one.exit_code for one in top}
    assert codes.pop("UsageError") == codes.pop("ConfigError") == 2, "both are a value to be put right"
    assert len(set(codes.values())) == len(codes)
    for one in CLASSES:
        parent = one.__mro__[1]
        if parent in top:
            assert one.exit_code == parent.exit_code

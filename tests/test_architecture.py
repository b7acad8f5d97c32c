"""Rooms: no import runs upwards, none in a circle, and no folder grows flat."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_MODULES = 14
FRRCAM = (
    *("errors", "say", "frame", "limits", "closing", "atomic", "onnx", "amounts", "config"),  # the ground
    *("linux", "concurrency", "media", "sources", "faces", "restore", "compose", "sinks"),
    *("pipeline", "daemon", "control", "enhance", "app", "install", "commands", "cli", "__main__"),
)
"""The rooms of frrcam/, lowest first: a module may import from its own room and from those before it."""
TRAIN = (
    *("common", "data", "degrade", "networks", "fit", "export", "evaluate", "publish", "ablate"),
    *("detector", "commands", "__main__"),
)
"""The rooms of train/, lowest first."""
SHARED = (
    *("frrcam.atomic", "frrcam.restore.contract", "frrcam.faces", "frrcam.compose.detail"),
    *("frrcam.frame", "frrcam.errors", "frrcam.compose.exposure"),
)
"""What train/ may import of frrcam: what both must do alike."""
Imports = dict[str, set[str]]
"""The modules that each module imports, by dotted name."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported anywhere in a file, in functions too: `package.module.name` for a from-import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(package: str) -> Imports:
    """The imports of a package's modules: the package's own as modules, others as they are written."""
    trees = {module_name(path): ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / package).rglob("*.py"))}
    return {module: {nearest_module(name, trees) for name in imported_names(tree)} for module, tree in trees.items()}


def nearest_module(name: str, modules: dict[str, ast.Module]) -> str:
    """The module of which `name` is an attribute, or itself."""
    parts = name.split(".")
    known = (".".join(parts[:count]) for count in range(len(parts), 1, -1))
    return next((module for module in known if module in modules), name)


def room(module: str) -> str:
    return module.split(".")[1]


def upward_imports(found: Imports, rooms: tuple[str, ...]) -> list[str]:
    """The imports from a room into one after it, as "module -> module"."""
    package = next(iter(found)).split(".")[0]
    return [
        f"{module} -> {other}"
        for module, others in found.items()
        if "." in module
        for other in sorted(others)
        if other.startswith(f"{package}.") and rooms.index(room(other)) > rooms.index(room(module))
    ]


def circle(found: Imports) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    try:
        TopologicalSorter({module: others - {module} for module, others in found.items()}).prepare()
    except CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


PACKAGES = pytest.mark.parametrize(("package", "rooms"), [("frrcam", FRRCAM), ("train", TRAIN)])


@PACKAGES
def test_every_module_is_in_a_declared_room(package: str, rooms: tuple[str, ...]) -> None:
    assert {room(module) for module in imports(package) if "." in module} == set(rooms)


@PACKAGES
def test_no_import_runs_upwards(package: str, rooms: tuple[str, ...]) -> None:
    assert upward_imports(imports(package), rooms) == []


@PACKAGES
def test_no_imports_run_in_a_circle(package: str, rooms: tuple[str, ...]) -> None:
    assert circle(imports(package)) == []


@PACKAGES
def test_no_folder_is_flat(package: str, rooms: tuple[str, ...]) -> None:
    folders = [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]
    sizes = {
        str(folder.relative_to(ROOT)): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_frrcam_imports_neither_torch_nor_train() -> None:
    outside = {f"{module} -> {name}" for module, names in imports("frrcam").items() for name in names}
    assert [line for line in outside if line.split(" -> ")[1].split(".")[0] in ("torch", "train", "tests")] == []


def test_train_imports_of_frrcam_only_what_both_do_alike() -> None:
    named = {name for names in imports("train").values() for name in names if name.startswith("frrcam.")}
    assert [name for name in sorted(named) if not name.startswith(SHARED)] == []


def test_an_upward_import_is_found() -> None:
    found = {"frrcam.frame": {"frrcam.daemon.daemon"}, "frrcam.daemon.daemon": {"frrcam.frame", "numpy"}}
    assert upward_imports(found, FRRCAM) == ["frrcam.frame -> frrcam.daemon.daemon"]


def test_a_circle_is_found() -> None:
    assert set(circle({"a.x": {"a.y"}, "a.y": {"a.z"}, "a.z": {"a.x"}})) == {"a.x", "a.y", "a.z"}


def test_an_import_inside_a_function_is_found() -> None:
    assert list(imported_names(ast.parse("def f():\n    from frrcam.app import start\n"))) == ["frrcam.app.start"]

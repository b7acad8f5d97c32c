"""A command's options from a dataclass: each plain field becomes one, and the docstring below the field its help."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import typer

PLAIN = (bool, int, float, str)

Given = dict[str, Any]
"""The options that were given, by field."""


def documented(settings: type) -> dict[str, str]:
    """The docstring below each field of a class, by the field's name."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0]
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def options(*settings: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each plain field of some dataclasses; its parameter `given` gets those typed."""
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(None, help=documented(group).get(field.name), show_default=str(field.default)),
            annotation=field.type | None,
        )
        for group in settings
        for field in fields(group)
        if field.type in PLAIN
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "given"]

        def run(**arguments: Any) -> None:
            given = {p.name: arguments.pop(p.name) for p in parameters}
            command(**arguments, given={name: value for name, value in given.items() if value is not None})

        run.__doc__, run.__name__ = command.__doc__, command.__name__
        run.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*own, *parameters)}
        return run

    return decorate


def chosen(group: type, given: Given) -> Given:
    """Those of the given options that are fields of this dataclass."""
    return {field.name: given[field.name] for field in fields(group) if field.name in given}


def run(app: typer.Typer) -> None:
    """Run what the command line asks for; what is wrong with its input is said in one line."""
    try:
        app()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {(str(error).strip() or type(error).__name__).splitlines()[-1]}")

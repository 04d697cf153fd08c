"""Runs in the sandbox: looks at the source of a Python grader before it grades."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType

_SOURCE_NAME = "<source>"
"""As the sandbox calls what it runs: so the lines in its messages are those of the grader's source."""


def find_modules(source: str, packages: Sequence[str]) -> list[str]:
    """The modules of these packages that the source imports, anywhere in it, and that are installed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []  # loading it will say what is wrong
    names = dict.fromkeys(name for node in ast.walk(tree) for name in _imported(node))
    return [name for name in names if name.partition(".")[0] in packages and _is_installed(name)]


def load(source: str) -> str | None:
    """Why the source cannot grade; None if it can. Its own exceptions are passed on."""
    try:
        code = compile(source, _SOURCE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{line}{type(error).__name__}: {error.args[0]}"
    module = sys.modules["source"] = ModuleType("source")
    try:
        exec(code, module.__dict__)  # noqa: S102 - running it is what it is here for
    except ModuleNotFoundError as error:
        return f"{error}; the sandbox sees the packages of Verifine's own environment, so install it there"
    grade = module.__dict__.get("grade")
    if not callable(grade):
        return "no function `grade` is defined; add `def grade(sample: dict, item: dict) -> float: ...`"
    return _misfit(grade)


def _misfit(grade: Callable[..., object]) -> str | None:
    """Why it cannot be called with a sample and an item."""
    signature = inspect.signature(grade)
    wanted = "write `grade(sample: dict, item: dict) -> float`"
    try:
        bound = signature.bind({}, {})
    except TypeError:
        return f"`grade{signature}` cannot be called with a sample and an item; {wanted}"
    annotations = [signature.parameters[name].annotation for name in bound.arguments]
    if any(annotation in (str, "str") for annotation in annotations):
        fields = "sample['output_text'] and the fields of item"
        return f"`grade{signature}` wants texts, but both arguments are dicts; {wanted} and read {fields}"
    return None


def _imported(node: ast.AST) -> Iterator[str]:
    """The names that may be modules."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
        yield node.module
        for alias in node.names:
            yield f"{node.module}.{alias.name}"


def _is_installed(name: str) -> bool:
    if any(part.startswith("_") or part == "*" for part in name.split(".")):
        return False
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False

"""Runs in the sandbox: calls a function, or a method of the class `Solution`, of a program that a model wrote."""

from __future__ import annotations

import sys
import typing
from collections.abc import Sequence
from types import ModuleType


def call(program: str, name: str, arguments: Sequence[object]) -> object:
    """What the function returns. The names of `typing` are there without an import, as on the sites of such tasks."""
    module = sys.modules["program"] = ModuleType("program")
    names = module.__dict__
    names.update({each: vars(typing)[each] for each in typing.__all__})
    # Under the name that the sandbox gives to sources, so that its messages name the program's lines.
    exec(compile(program, "<source>", "exec", dont_inherit=True), names)  # noqa: S102
    if name in names:
        return names[name](*arguments)
    if "Solution" in names:
        return getattr(names["Solution"](), name)(*arguments)
    raise NameError(f"the program has no function `{name}`, and no class `Solution` with it")

"""The value at a path of a row. A list or object on the way may be written as JSON text, as tables have it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from verifine.config.graders.field_path import Steps, parse_field_path
from verifine.data.strict_json import JsonError, parse_json
from verifine.types import Json

_OPENING = ("[", "{")
_BYTE_ORDER_MARK = "\ufeff"
_PYTHON_REPR = re.compile(r"\s*[\[{]+\s*'")
_REPR_HINT = "; it looks like Python's own notation, so write it with json.dumps"


class DeadEndError(LookupError):
    """A path that leads to no value."""

    def __init__(self, depth: int, value: Json) -> None:
        super().__init__(f"step {depth + 1} of the path leads nowhere")
        self.depth = depth
        """How many steps lead somewhere."""
        self.value = value
        """Where they lead to."""
        self.why_text = _why_not_json(value)
        """Why a text that begins like JSON was not opened; empty for everything else."""


def find_field(fields: Mapping[str, Json], path: str) -> Json:
    """The field called `path`, or else the value at this path, as `follow` finds it.

    Raises:
        DeadEndError: there is neither.
    """
    return fields[path] if path in fields else follow(dict(fields), parse_field_path(path))


def follow(value: Json, steps: Steps) -> Json:
    """The value at the end of the steps. A field called `a.b`, as in flattened tables, comes before `b` inside of `a`.

    Raises:
        DeadEndError: there is none.
    """
    depth = 0
    while depth < len(steps):
        value, step = open_json(value), steps[depth]
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            value, depth = value[step], depth + 1
        elif isinstance(value, dict) and (taken := _steps_into(value, steps[depth:])):
            value, depth = value[_name(steps[depth : depth + taken])], depth + taken
        else:
            raise DeadEndError(depth, value)
    return value


def _steps_into(fields: Collection[str], steps: Steps) -> int:
    """How many of the steps name one field, as many as possible; 0: there is no such field."""
    return next((taken for taken in range(len(steps), 0, -1) if _name(steps[:taken]) in fields), 0)


def first_field(fields: Collection[str], steps: Steps) -> str | None:
    """The field that a path begins in; None: there is none."""
    return _name(steps[:taken]) if (taken := _steps_into(fields, steps)) else None


def _name(steps: Steps) -> str:
    """The steps as one name, written like a path."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def open_json(value: Json) -> Json:
    """The list or object that a text holds as JSON; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(_OPENING):
        return value
    try:
        return parse_json(value)
    except JsonError:
        return value


def _why_not_json(value: Json) -> str:
    if not isinstance(value, str) or not value.lstrip(f"{_BYTE_ORDER_MARK} \t\r\n").startswith(_OPENING):
        return ""
    if value.lstrip().startswith(_BYTE_ORDER_MARK):
        return "it begins with a byte order mark (U+FEFF); remove it"
    try:
        parse_json(value)
    except JsonError as error:
        return f"{error}{_REPR_HINT if _PYTHON_REPR.match(value) else ''}"
    return ""

"""The value at a path of a row. A list or object on the way may be written as JSON text, as tables have it."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.config.graders.field_path import Steps, parse_field_path
from verifine.data.strict_json import JsonError, parse_json
from verifine.types import Json


class DeadEndError(LookupError):
    """A path that leads to no value."""

    def __init__(self, depth: int, value: Json) -> None:
        super().__init__(f"step {depth + 1} of the path leads nowhere")
        self.depth = depth
        """How many steps lead somewhere."""
        self.value = value
        """Where they lead to."""


def find_field(fields: Mapping[str, Json], path: str) -> Json:
    """The field called `path`, or else the value at this path.

    Raises:
        DeadEndError: there is neither.
    """
    return fields[path] if path in fields else follow(dict(fields), parse_field_path(path))


def follow(value: Json, steps: Steps) -> Json:
    """The value at the end of the steps. Where there is no field `a`, `a.b` may be one, as in flattened tables.

    Raises:
        DeadEndError: there is none.
    """
    depth = 0
    while depth < len(steps):
        value, step = open_json(value), steps[depth]
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            value, depth = value[step], depth + 1
        elif isinstance(value, dict) and (taken := _steps_into(value, steps[depth:])):
            name = ".".join(str(each) for each in steps[depth : depth + taken])
            value, depth = value[name], depth + taken
        else:
            raise DeadEndError(depth, value)
    return value


def _steps_into(fields: Mapping[str, Json], steps: Steps) -> int:
    """How many of the steps name one field, written with dots between them; 0: there is no such field."""
    for taken in range(1, len(steps) + 1):
        if not isinstance(steps[taken - 1], str):
            return 0
        if ".".join(str(step) for step in steps[:taken]) in fields:
            return taken
    return 0


def open_json(value: Json) -> Json:
    """The list or object that a text holds as JSON; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return parse_json(value)
    except JsonError:
        return value

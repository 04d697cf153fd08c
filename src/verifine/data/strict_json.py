"""JSON as the standard has it: no NaN, no repeated keys, no half characters, no bottomless nesting."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import NoReturn, cast

from verifine.types import Json

MAX_DEPTH = 100
"""Lists and objects inside each other. Far above real data, far below what overflows Python's stack."""

_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """Text that is not strict JSON. `line` and `column` (from 1) are None where the fault is not in one place."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def parse_json(text: str) -> Json:
    """The value that `text` holds; JsonError if it is not strict JSON."""
    # Before parsing, so that the depth never depends on how much stack the interpreter has left. Only a text with
    # that many brackets is looked through, and only one with such an escape can hold half a character.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, line=error.lineno, column=error.colno) from error
    if _SURROGATE_ESCAPE.search(text):
        _check_characters(value)
    return cast("Json", value)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise JsonError(f'the key "{twice}" stands twice in one object; keep one of them')
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON number; write null or leave the field out")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonError(f"the number {digits[:40]} is too large")
    return value


def _int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python's own limit on the digits of an integer
        raise JsonError(f"the number {digits[:40]}... has {len(digits)} digits; write it as text") from error


def _check_depth(text: str) -> None:
    depth = 0
    for match in _TEXT_OR_BRACKET.finditer(text):
        opening = match[0] in ("[", "{")
        depth += opening - (match[0] in ("]", "}"))
        if depth > MAX_DEPTH:
            raise JsonError(f"nested more than {MAX_DEPTH} levels deep")


def _check_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise JsonError(f"{half} is half of a character (a lone surrogate); write the whole character") from error

"""Reading JSONL: one JSON object a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from verifine.data.kinds import kind_of
from verifine.data.lines import Line, read_lines
from verifine.data.rows import BadRow, Row, RowError, RowSource
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import DataError
from verifine.types import Json

_COMMA_BEFORE_BRACKET = re.compile(r"\s*,\s*[}\]]")


def open_jsonl(path: Path) -> RowSource:
    return RowSource(name=str(path), unit="line", rows=_rows(path), columns=None)


def _rows(path: Path) -> Iterator[Row | BadRow]:
    is_first = True
    for line in read_lines(path):
        if line.fault is None and not line.text.strip():
            continue
        try:
            yield Row(number=line.number, fields=_object(line))
        except RowError as error:
            if is_first:
                _check_layout(path, line)
            yield BadRow(number=line.number, reason=str(error))
        is_first = False


def _check_layout(path: Path, line: Line) -> None:
    """DataError where the first line shows that the whole file is JSON of another layout, so every line would fail."""
    text = line.text.strip()
    if text.startswith("["):
        raise DataError(
            f"{path} line {line.number}: the file is a JSON list; write each of its objects on a line of its own, "
            "without the list around them (jq -c '.[]' does that)"
        )
    if text == "{":
        raise DataError(
            f"{path} line {line.number}: the object goes on over several lines; write each object on a line of its "
            "own (jq -c . does that)"
        )


def _object(line: Line) -> dict[str, Json]:
    if line.fault is not None:
        raise RowError(line.fault)
    text = line.text.rstrip("\r\n")
    try:
        value = parse_json(text)
    except JsonError as error:
        if error.column is None:
            raise RowError(str(error)) from error
        fault = f"column {error.column}: {error}"
        raise RowError(f"not JSON ({fault}); {_advise(text, error)}") from error
    if not isinstance(value, dict):
        raise RowError(f'{kind_of(value)}, not an object; every line must be one, such as {{"messages": [...]}}')
    return value


def _advise(text: str, error: JsonError) -> str:
    assert error.column is not None
    before, rest = text[: error.column - 1], text[error.column - 1 :]
    if str(error) == "Extra data" and "\r" in text:
        return r"lines end with \n, not with a carriage return alone; save the file with other line ends"
    if str(error) == "Extra data" and rest.startswith("{"):
        return "two objects stand on one line; give each a line of its own"
    if rest.strip() == ",":
        return "no comma stands between lines; remove it"
    # The error is at the bracket, or, since Python 3.13, at the comma.
    if _COMMA_BEFORE_BRACKET.match(text, len(before.rstrip().removesuffix(","))):
        return "remove the comma before the bracket"
    if rest.startswith("'"):
        return "JSON puts texts between double quotes"
    return "every line must be one whole JSON object"

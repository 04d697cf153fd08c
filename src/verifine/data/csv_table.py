"""Reading CSV: a header, then one row per record; every value is text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from verifine.data.lines import Line, read_lines
from verifine.data.rows import MAX_ROW_BYTES, BadRow, Row, RowSource, byte_size
from verifine.errors import DataError

_FAULTS = (
    ("expected after", 'text stands behind a closing quotation mark; write a mark inside a value twice ("")'),
    ("unexpected end of data", "a quotation mark is opened here or below and never closed"),
    (
        "new-line character",
        r"a carriage return stands inside the row; end rows with \n, or put the value between quotes",
    ),
)
"""Errors of Python's csv module, and what they mean."""


class _RowSizeError(Exception):
    """A record that is too long, probably because of a quotation mark that is never closed."""


class _Lines:
    """Feeds lines to the csv module, and remembers what is wrong with lines of the current record."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._fed = 0
        self._first: int | None = None
        self.fault: BadRow | None = None

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._first = self._first or line.number
            self._fed += len(line.text)
            if self._fed > MAX_ROW_BYTES:
                raise _RowSizeError
            if line.fault is not None:
                self.fault = self.fault or BadRow(number=line.number, reason=line.fault)
            yield line.text

    @property
    def number(self) -> int:
        """The line that the record began on."""
        return self._first or 1

    def next_record(self) -> None:
        self._fed, self._first, self.fault = 0, None, None


def open_csv(path: Path) -> RowSource:
    """The header is read at once.

    Raises:
        DataError: the file has no usable header.
    """
    rows = _records(path)
    header = next((record for record in rows if record[1] != []), None)
    if header is None:
        raise DataError(f"{path} is empty; its first line must name the columns")
    number, names = header
    if isinstance(names, str):
        raise DataError(f"{path} line {number}: {names}")
    _check_header(f"{path} line {number}", names)
    return RowSource(name=str(path), unit="line", rows=_rows(rows, names), columns=tuple(names))


def _check_header(place: str, names: list[str]) -> None:
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(f"{place}: column {position} has no name; the first line must name every column")
        if name in names[: position - 1]:
            raise DataError(f'{place}: two columns are called "{name}"; rename one of them')
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise DataError(f"{place}: there is no comma in the header; separate the columns by commas")


def _rows(records: Iterator[tuple[int, list[str] | str]], names: list[str]) -> Iterator[Row | BadRow]:
    for number, values in records:
        if isinstance(values, str):
            yield BadRow(number=number, reason=values)
        elif len(values) == len(names):
            yield Row(number=number, fields=dict(zip(names, values, strict=True)))
        elif values:
            reason = f"the number of values is {len(values)}, but the header names {len(names)} columns"
            yield BadRow(number=number, reason=f"{reason}; put values with commas between double quotes")


def _records(path: Path) -> Iterator[tuple[int, list[str] | str]]:
    """The line each record begins on, and its values (none for a blank line) or what is wrong with it."""
    lines = _Lines(read_lines(path))
    limit = csv.field_size_limit(MAX_ROW_BYTES)
    try:
        reader = csv.reader(iter(lines), strict=True)
        while True:
            lines.next_record()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield lines.number, _told(error)
            except _RowSizeError:
                fault = f"the row goes on for more than {byte_size(MAX_ROW_BYTES)} (1 MiB)"
                yield lines.number, f"{fault}; is a quotation mark not closed?"
                return
            else:
                bad = lines.fault
                yield (lines.number, values) if bad is None else (bad.number, bad.reason)
    finally:
        csv.field_size_limit(limit)


def _told(error: csv.Error) -> str:
    return next((told for sign, told in _FAULTS if sign in str(error)), f"not CSV ({error})")

"""The output of every reader: numbered rows, and rows that could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from verifine.types import Json

MAX_ROW_BYTES = 1 << 20
"""The largest row in any format (1 MiB): far more than a prompt with test cases, far less than a machine's memory."""


class RowError(ValueError):
    """A row that cannot be used; the caller adds file and line."""


class MissingQuestionError(RowError):
    """A row without `messages` and `prompt`; often all rows of a dataset are, until its columns are mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a file, or one row of a table."""

    number: int
    """The line it begins on, or which row of the table it is, from 1."""
    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that could not be read; later rows may be fine."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """An open file or dataset; its rows are read once, one at a time."""

    name: str
    """For error messages."""
    unit: Literal["line", "row"]
    """What `Row.number` counts."""
    rows: Iterator[Row | BadRow]
    columns: tuple[str, ...] | None
    """The columns of all rows; None: each row has its own fields."""

    @property
    def is_table(self) -> bool:
        """In a table, `messages` and `tools` may be JSON text, and null may mean that a struct has no such field."""
        return self.columns is not None


def byte_size(count: int) -> str:
    """A number of bytes for people to read, such as `20,971,520 bytes`."""
    return f"{count:,} bytes"

"""What every reader gives, whatever the format: numbered rows, and those that could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from verifine.types import Json

MAX_ROW_BYTES = 1 << 20
"""The most one row may hold, in any format (1 MiB): far above a prompt and its test cases, far below a machine."""


class RowError(ValueError):
    """A row that cannot be used; whoever catches it adds file and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a file, or one row of a table."""

    number: int
    """The line it begins on, or which row of the table it is, from 1."""
    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that could not be read; those after it may be good."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """A file or dataset that has been opened; its rows are read once, one at a time."""

    name: str
    """As error messages call it."""
    unit: Literal["line", "row"]
    """What `Row.number` counts."""
    rows: Iterator[Row | BadRow]
    columns: tuple[str, ...] | None
    """What every row has; None: each row has fields of its own."""

    @property
    def is_table(self) -> bool:
        """In a table, `messages` and `tools` may be JSON text, and a field that is null may be a struct's filler."""
        return self.columns is not None


def byte_size(count: int) -> str:
    """A number of bytes as people read it, such as `20,971,520 bytes`."""
    return f"{count:,} bytes"

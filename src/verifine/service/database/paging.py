"""Pages of a table in the order of `seq`: a cursor is the last row that was seen, wherever rows are added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, RowMapping, Select, Table, select

from verifine.errors import VerifineError

ItemT = TypeVar("ItemT")


class UnknownCursorError(VerifineError):
    """A cursor that is no row of what is being listed."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f'"after" is {cursor[:80]!r}, which is not in this list; give an id of its last page')


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which part of a list is wanted."""

    limit: int
    after: str | None = None
    """The id of the last row that was seen; None: from the beginning."""
    is_ascending: bool = False
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT]):
    """A part of a list."""

    items: tuple[ItemT, ...]
    has_more: bool


def fetch_page(
    connection: Connection,
    table: Table,
    query: PageQuery,
    *,
    scope: Select[Any],
    wanted: Select[Any],
    make: Callable[[RowMapping], ItemT],
) -> Page[ItemT]:
    """The rows of `wanted` behind the cursor.

    Args:
        connection: A transaction.
        table: With `id` and `seq`.
        query: The part.
        scope: What may be a cursor; more than `wanted`, as a row may have left the list since it was seen.
        wanted: What is listed.
        make: From a row to an item.

    Raises:
        UnknownCursorError: the cursor is not in `scope`.
    """
    seq = table.c.seq
    if query.after is not None:
        found = connection.execute(scope.where(table.c.id == query.after)).mappings().first()
        if found is None:
            raise UnknownCursorError(query.after)
        wanted = wanted.where(seq > found["seq"] if query.is_ascending else seq < found["seq"])
    ordered = wanted.order_by(seq if query.is_ascending else seq.desc()).limit(query.limit + 1)
    rows = connection.execute(ordered).mappings().all()
    return Page(items=tuple(make(row) for row in rows[: query.limit]), has_more=len(rows) > query.limit)


def rows_of(table: Table, **equal: object) -> Select[Any]:
    """The rows with these values."""
    return select(table).where(*(table.c[name] == value for name, value in equal.items()))

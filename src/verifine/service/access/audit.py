"""What was done, by whom, with which key: written before it is done, and completed when it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, RowMapping, insert, update

from verifine.service.access.caller import Caller
from verifine.service.database import Database
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import AUDIT
from verifine.service.identifiers import new_id

Act = Literal[
    "key.create",
    "key.revoke",
    "session.begin",
    "file.upload",
    "file.delete",
    "job.create",
    "job.cancel",
    "job.pause",
    "job.resume",
    "model.delete",
    "endpoint.load",
    "endpoint.unload",
    "mark.put",
    "mark.delete",
]

_OBJECT_LENGTH = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An act."""

    id: str
    seq: int
    created_at: int
    act: Act
    owner_id: str | None
    """Who did it; None: whoever runs the service, at the command line."""
    key_id: str | None
    object_id: str | None
    """What it was done to; None: it had no id yet, and got none."""
    request_id: str | None
    status: int | None
    """That was answered; 400 or more: it was refused. None: at the command line, or nobody knows how it ended."""

    @classmethod
    def of(cls, row: RowMapping) -> AuditEntry:
        return cls(**row)


@dataclass(slots=True)
class OpenEntry:
    """The entry of a request that is being answered."""

    id: str | None = None
    """None: it is no act."""
    object_id: str | None = None
    """What was made."""


class AuditStore:
    """The acts of all owners."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def begin(self, act: Act, caller: Caller, object_id: str | None, request_id: str) -> str:
        """Writes down what is about to be done; the id of the entry."""
        with self._database.write() as connection:
            return add_entry(connection, act, int(self._now()), caller, object_id, request_id)

    def end(self, entry: OpenEntry, status: int) -> None:
        """Writes down how it was answered."""
        values: dict[str, object] = {"status": status}
        if entry.object_id is not None:
            values["object_id"] = entry.object_id
        with self._database.write() as connection:
            connection.execute(update(AUDIT).where(AUDIT.c.id == entry.id).values(values))

    def list(self, query: PageQuery, owner_id: str | None = None) -> Page[AuditEntry]:
        """`owner_id` None: of everybody. Raises UnknownCursorError."""
        wanted = rows_of(AUDIT) if owner_id is None else rows_of(AUDIT, owner_id=owner_id)
        with self._database.read() as connection:
            return fetch_page(connection, AUDIT, query, scope=rows_of(AUDIT), wanted=wanted, make=AuditEntry.of)


def add_entry(
    connection: Connection,
    act: Act,
    at: int,
    caller: Caller | None = None,
    object_id: str | None = None,
    request_id: str | None = None,
) -> str:
    """The id of the new entry. `caller` None: somebody at the command line, or who only gets in by it."""
    entry_id = new_id("audit-")
    row = {
        "id": entry_id,
        "created_at": at,
        "act": act,
        "owner_id": None if caller is None else caller.owner_id,
        "key_id": None if caller is None else caller.key_id,
        "object_id": None if object_id is None else object_id.replace("\0", "\\0")[:_OBJECT_LENGTH],
        "request_id": request_id,
    }
    connection.execute(insert(AUDIT).values(row))
    return entry_id

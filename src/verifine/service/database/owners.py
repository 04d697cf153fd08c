"""Whom things belong to."""

from __future__ import annotations

from sqlalchemy import Connection, update
from sqlalchemy.dialects import postgresql, sqlite

from verifine.service.database.connection import Database
from verifine.service.database.tables import OWNERS

LOCAL = "local"
"""The one owner of a service that only this machine reaches."""


def ensure_owner(database: Database, owner_id: str = LOCAL) -> None:
    """Adds the owner if it is new."""
    insert = (sqlite.insert if database.is_sqlite else postgresql.insert)(OWNERS)
    with database.write() as connection:
        connection.execute(insert.values(id=owner_id, last_seq=0, served_at=0.0).on_conflict_do_nothing())


def next_seq(connection: Connection, owner_id: str) -> int:
    """The owner's next number. Until the transaction ends, nobody else adds or removes anything of this owner."""
    counted = update(OWNERS).where(OWNERS.c.id == owner_id).values(last_seq=OWNERS.c.last_seq + 1)
    return int(connection.execute(counted.returning(OWNERS.c.last_seq)).scalar_one())

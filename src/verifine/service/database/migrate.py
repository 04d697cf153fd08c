"""Brings a database to the tables of this version, or back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import text

from verifine.errors import SetupError
from verifine.service.database.connection import Database

NEWEST, EMPTY = "head", "base"

_ONE_AT_A_TIME = 0x7665_7269
"""PostgreSQL's lock of those that migrate; on SQLite a transaction is alone anyway."""


def migrate(database: Database, revision: str = NEWEST, *, is_back: bool = False) -> None:
    """Runs the migrations up to `revision`, or back to it, in one transaction. It is always back to EMPTY.

    Raises:
        SetupError: a later version has migrated the database.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        config.attributes["connection"] = connection
        try:
            (command.downgrade if is_back or revision == EMPTY else command.upgrade)(config, revision)
        except CommandError as error:
            raise SetupError(f"the database was made by a later Verifine ({error}); update Verifine") from error

"""Transactions on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from verifine.errors import ConfigError, SetupError

BUSY_S = 10
"""How long a writer waits for another one before it fails."""

POSTGRES = "postgresql+psycopg"

_READS = "verifine_reads"


class Database:
    """The connections of one process. Close it at the end.

    A transaction that writes is alone on SQLite (`BEGIN IMMEDIATE`); on PostgreSQL it holds the rows that it changed.
    A commit is on stable storage when it returns.
    """

    def __init__(self, url: str) -> None:
        """`url`: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.

        Raises:
            ConfigError: it is none of these.
            SetupError: there is no such database, or it does not answer.
        """
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ConfigError(f"the database {url!r} is no URL; {_FORMS}") from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername=POSTGRES)
        if parsed.drivername not in ("sqlite", POSTGRES):
            raise ConfigError(f"the database cannot be {parsed.drivername!r}; {_FORMS}")
        self.is_sqlite = parsed.drivername == "sqlite"
        self._name = parsed.render_as_string(hide_password=True)
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError(f"the database {url!r} names no file; {_FORMS}")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._engine = create_engine(parsed, connect_args={"timeout": BUSY_S} if self.is_sqlite else {})
        except (NoSuchModuleError, ModuleNotFoundError):
            raise SetupError("PostgreSQL needs its driver; install it with: pip install 'verifine[postgres]'") from None
        if self.is_sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._check()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it happens, or nothing if an exception leaves the block."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A view of the database, which others can change meanwhile."""
        with self._engine.connect() as connection:
            yield connection.execution_options(**{_READS: True})

    def close(self) -> None:
        self._engine.dispose()

    def _check(self) -> None:
        try:
            with self.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise SetupError(f"the database {self._name} cannot be used: {reason}; check its URL") from error


_FORMS = "write sqlite:///PATH or postgresql://USER@HOST/NAME"


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions by itself
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # Two transactions that begin by reading could not both write later; so one that writes says so first.
    kind = "DEFERRED" if connection.get_execution_options().get(_READS) else "IMMEDIATE"
    connection.exec_driver_sql(f"BEGIN {kind}")

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from verifine.service.database import Database, migrate
from verifine.service.database.connection import POSTGRES
from verifine.service.database.owners import ensure_owner
from verifine.testing.clock import ManualClock

POSTGRES_URL = os.environ.get("VERIFINE_TEST_POSTGRES", "")
"""A server on which databases may be made; `tests/with_postgres.sh COMMAND` starts one."""


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'service.db'}"
        return
    if not POSTGRES_URL:
        pytest.skip("no PostgreSQL; run tests/with_postgres.sh pytest")
    server = create_engine(make_url(POSTGRES_URL).set(drivername=POSTGRES), isolation_level="AUTOCOMMIT")
    name = f"verifine_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With its tables and two owners, alice and bob."""
    database = Database(database_url)
    migrate(database)
    for owner in ("alice", "bob"):
        ensure_owner(database, owner)
    yield database
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()

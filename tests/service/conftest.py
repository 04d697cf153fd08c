from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from verifine.service.child import Children
from verifine.service.compute import build_environment
from verifine.service.database import Database, migrate
from verifine.service.database.connection import POSTGRES
from verifine.service.database.owners import LOCAL, ensure_owner
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import Job
from verifine.service.jobs.store import NewJob
from verifine.service.limits import ServiceLimits
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.testing.service_parts import make_parts, serve_parts
from verifine.testing.supervised_jobs import SupervisedJob, make_supervised_job

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
    """With its tables and three owners: alice, bob and the local one."""
    database = Database(database_url)
    migrate(database)
    for owner in ("alice", "bob", LOCAL):
        ensure_owner(database, owner)
    yield database
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def children() -> Children:
    return Children(environment=build_environment(os.environ, threads=1))


KEY = "vf_local_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A service that answers on a port of loopback."""

    url: str
    key: str
    parts: ServiceParts


@pytest.fixture
def processes() -> Iterator[FakeEndpoints]:
    """Of models: all are asked at the same socket, at which nobody answers yet."""
    with TemporaryDirectory() as folder:  # its path is short
        yield FakeEndpoints(Path(folder) / "socket")


@pytest.fixture
def parts(
    database: Database, clock: ManualClock, tmp_path: Path, processes: FakeEndpoints, children: Children
) -> ServiceParts:
    return make_parts(
        database,
        tmp_path,
        now=clock,
        key=KEY,
        limits=ServiceLimits(file_bytes=100_000, body_bytes=20_000, answer_seconds=0.5, streams=3),
        endpoints=processes,
        children=children,
        inspect=children.ask,
    )


@pytest.fixture
def job(parts: ServiceParts) -> Job:
    """A job of the local owner, whose file nobody has looked at."""
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    return parts.jobs.create("local", NewJob(request=request, training_file="file-1"))


@pytest.fixture
def service(parts: ServiceParts) -> Iterator[RunningService]:
    with serve_parts(parts) as url:
        yield RunningService(url=url, key=KEY, parts=parts)


@pytest.fixture
def client(service: RunningService) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx2.Client]:
    """A plain client, with the key."""
    with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


@pytest.fixture
def world(parts: ServiceParts, database: Database, clock: ManualClock, tmp_path: Path) -> SupervisedJob:
    return make_supervised_job(parts, database, clock, tmp_path / "jobs")

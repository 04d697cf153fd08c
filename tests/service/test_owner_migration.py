"""A database of the version before keys: what is in it belongs to the local owner, whose key goes on working."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, inspect, text

from verifine.service.access.local_key import keep_local_key
from verifine.service.child import Children
from verifine.service.database import Database, migrate
from verifine.service.http.app import ServiceParts
from verifine.service.limits import ServiceLimits
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.testing.service_parts import make_parts, serve_parts

BEFORE_KEYS = "0006"
KEY = "vf_local_as-it-was-made-before"
TUNED = "ft:tiny:local::aaaaaaaa"
SHA256 = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

ROWS = (
    "INSERT INTO owners (id, last_seq, served_at) VALUES ('local', 4, 0)",
    "INSERT INTO files (id, owner_id, seq, created_at, filename, purpose, bytes, sha256) VALUES "
    f"('file-old', 'local', 1, 1, 'rows.jsonl', 'fine-tune', 11, '{SHA256}')",
    "INSERT INTO jobs (id, owner_id, seq, created_at, state, request, config, metadata, training_file, last_event, "
    "fence, finished_at, fine_tuned_model) VALUES ('ftjob-old', 'local', 2, 1, 'succeeded', "
    """'{"model": "tiny", "method": {}, "seed": 1}', '', '{}', 'file-old', 1, 1, 2, """
    f"'{TUNED}')",
    "INSERT INTO job_events (id, job_id, seq, created_at, level, type, message) VALUES "
    "('ftevent-old', 'ftjob-old', 1, 1, 'info', 'message', 'as it was told')",
    "INSERT INTO models (id, owner_id, seq, created_at, job_id, kind, step, base, is_adapter, folder) VALUES "
    f"('{TUNED}', 'local', 3, 1, 'ftjob-old', 'tuned', 3, 'tiny', :no, 'jobs/ftjob-old/run/model')",
    "INSERT INTO job_checkpoints (id, job_id, seq, created_at, step, model_id, metrics, is_pause) VALUES "
    f"('ftckpt_old', 'ftjob-old', 1, 1, 3, '{TUNED}', '{{}}', :no)",
    "INSERT INTO marks (id, owner_id, seq, created_at, run_id, step, group_index, sample, is_flagged, note, answer) "
    """VALUES ('mark-old', 'local', 4, 1, 'ftjob-old', 1, 0, 0, :no, '"good"', """
    """'{"prompt_id": "0", "prompt": "q", "text": "a", "score": 1.0}')""",
)
PATHS = (
    "/v1/files/file-old",
    "/v1/files/file-old/content",
    "/v1/fine_tuning/jobs/ftjob-old",
    f"/v1/models/{TUNED}",
)
LISTS = {
    "/v1/files": "file-old",
    "/v1/fine_tuning/jobs": "ftjob-old",
    "/v1/fine_tuning/jobs/ftjob-old/events": "ftevent-old",
    "/v1/fine_tuning/jobs/ftjob-old/checkpoints": "ftckpt_old",
    "/api/jobs/ftjob-old/marks": "mark-old",
}


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Any:
    """A database as version 0006 left it, with a file, a job and what that has left; and the key in its file."""
    database = Database(database_url)
    migrate(database, BEFORE_KEYS)
    with database.write() as connection:
        assert "keys" not in _tables(connection)
        for row in ROWS:
            connection.execute(text(row.replace(":no", "false")))
    content = tmp_path / "files" / "local" / SHA256
    content.parent.mkdir(parents=True)
    content.write_bytes(b"hello world")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(f"{KEY}\n")
    yield database
    database.close()


@pytest.fixture
def migrated(
    old: Database, clock: ManualClock, tmp_path: Path, processes: FakeEndpoints, children: Children
) -> ServiceParts:
    migrate(old)
    parts = make_parts(
        old,
        tmp_path,
        now=clock,
        key="",
        limits=ServiceLimits(),
        endpoints=processes,
        children=children,
        inspect=children.ask,
    )
    keep_local_key(parts.keys, tmp_path / "key")
    return parts


def test_everything_of_the_version_before_is_the_local_owner_s(migrated: ServiceParts) -> None:
    _, theirs = migrated.keys.create("alice", ["read", "run", "admin"])
    with serve_parts(migrated) as url, httpx2.Client(base_url=url, timeout=60) as http:
        own, other = ({"authorization": f"Bearer {key}"} for key in (KEY, theirs.reveal()))
        for path in PATHS:
            assert http.get(path, headers=own).status_code == 200, path
            assert http.get(path, headers=other).status_code == 404, path
        for path, listed in LISTS.items():
            assert [each["id"] for each in http.get(path, headers=own).json()["data"]] == [listed], path
            answer = http.get(path, headers=other)
            assert answer.status_code == 404 or answer.json()["data"] == [], path
        assert http.get("/v1/files/file-old/content", headers=own).content == b"hello world"


def test_the_way_back_keeps_what_owners_have(old: Database, migrated: ServiceParts) -> None:
    migrated.keys.create("alice", ["read"])
    migrate(old, BEFORE_KEYS, is_back=True)
    with old.read() as connection:
        assert "keys" not in _tables(connection)
        for table in ("files", "jobs", "models", "job_events", "job_checkpoints", "marks"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 1, table
    migrate(old)
    assert migrated.jobs.find("local", "ftjob-old").fine_tuned_model == TUNED
    assert not migrated.keys.has_usable()


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()

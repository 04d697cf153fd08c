"""The audit: what was done, by whom, with which key, and what was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from verifine.service.access.audit import AuditEntry, AuditStore
from verifine.service.access.scopes import SCOPES
from verifine.service.database import Database
from verifine.service.database.paging import PageQuery
from verifine.service.files import FileStore, OwnedFile
from verifine.service.http.app import ServiceParts
from verifine.service.http.route_access import ROUTES
from verifine.testing.clock import ManualClock
from verifine.testing.service_parts import serve_parts

from .conftest import KEY, RunningService

Command = Callable[..., tuple[int, str, str]]
ROW = b'{"messages": [{"role": "user", "content": "q"}], "answer": "a"}\n'
GRADER: dict[str, Any] = {
    "type": "string_check",
    "name": "equal",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}


def entries(http: httpx2.Client, **query: Any) -> list[dict[str, Any]]:
    """The oldest first."""
    found: list[dict[str, Any]] = http.get("/api/audit", params=query).json()["data"]
    return found[::-1]


def shown(http: httpx2.Client, **query: Any) -> list[tuple[str, str | None, str | None, int | None]]:
    return [(each["act"], each["owner"], each["object_id"], each["status"]) for each in entries(http, **query)]


def test_what_an_owner_does_is_written_down_with_what_it_was_done_to(
    client: openai.OpenAI, http: httpx2.Client, clock: ManualClock
) -> None:
    file = client.files.create(file=("a.jsonl", ROW), purpose="fine-tune")
    method: Any = {"type": "reinforcement", "reinforcement": {"grader": GRADER}}
    job = client.fine_tuning.jobs.create(model="tiny", training_file=file.id, method=method)
    client.fine_tuning.jobs.cancel(job.id)
    client.files.delete(file.id)
    client.files.list()
    assert shown(http)[1:] == [
        ("file.upload", "local", file.id, 200),
        ("job.create", "local", job.id, 200),
        ("job.cancel", "local", job.id, 200),
        ("file.delete", "local", file.id, 200),
    ]
    last = entries(http)[-1]
    assert last["key_id"] == "local"
    assert last["request_id"].startswith("req_")
    assert last["created_at"] == int(clock())


def test_what_is_refused_is_written_down_too(http: httpx2.Client, service: RunningService) -> None:
    key, made = service.parts.keys.create("alice", ["read"])
    headers = {"authorization": f"Bearer {made.reveal()}"}
    assert http.delete("/v1/files/file-1", headers=headers).status_code == 403
    assert http.delete("/v1/files/file-1").status_code == 404
    assert http.post("/v1/fine_tuning/jobs", json={}).status_code == 400
    assert shown(http)[2:] == [
        ("file.delete", "alice", "file-1", 403),
        ("file.delete", "local", "file-1", 404),
        ("job.create", "local", None, 400),
    ]
    assert entries(http, owner="alice")[0]["key_id"] == key.id


def test_whoever_has_no_key_writes_nothing(http: httpx2.Client) -> None:
    before = shown(http)
    for headers in ({"authorization": "Bearer wrong"}, {"origin": "https://evil.example"}):
        assert http.delete("/v1/files/file-1", headers=headers).status_code in (401, 403)
    assert shown(http) == before


def test_keys_and_sessions_are_written_down_with_who_made_them(
    http: httpx2.Client, service: RunningService, verifine: Command, database_url: str, tmp_path: Path
) -> None:
    where = ("--data", tmp_path / "data", "--database", database_url)
    key = verifine("keys", "create", "--owner", "alice", *where)[1].strip()
    key_id = key.split("_")[1]
    assert http.post("/session", json={"key": key}).status_code == 200
    assert verifine("keys", "revoke", key_id, *where)[0] == 0
    assert verifine("keys", "revoke", key_id, *where)[0] == 0
    made, began, ended = entries(http)[1:]
    assert (made["act"], made["owner"], made["object_id"]) == ("key.create", None, key_id)
    assert (began["act"], began["owner"], began["key_id"]) == ("session.begin", "alice", key_id)
    assert (ended["act"], ended["owner"], ended["object_id"]) == ("key.revoke", None, key_id)
    assert key.split("_", 2)[2] not in http.get("/api/audit").text


def test_the_audit_is_for_administrators_and_read_in_pages(http: httpx2.Client, service: RunningService) -> None:
    _, made = service.parts.keys.create("alice", set(SCOPES) - {"admin"})
    assert http.get("/api/audit", headers={"authorization": f"Bearer {made.reveal()}"}).status_code == 403
    for number in range(5):
        http.delete(f"/v1/files/file-{number}")
    pages, after = [], None
    while True:
        page = http.get("/api/audit", params={"limit": 3, **({"after": after} if after else {})}).json()
        pages.append([each["object_id"] for each in page["data"]])
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert [each for page in pages for each in page][:5] == [f"file-{number}" for number in (4, 3, 2, 1, 0)]
    assert list(map(len, pages)) == [3, 3, 1]
    assert http.get("/api/audit", params={"after": "audit-nothing"}).status_code == 400


class WatchedFiles(FileStore):
    """Looks at the audit when a file is to be deleted."""

    audit: AuditStore
    seen: tuple[AuditEntry, ...] = ()

    def delete(self, owner_id: str, file_id: str) -> OwnedFile:
        self.seen = self.audit.list(PageQuery(limit=1)).items
        return super().delete(owner_id, file_id)


def test_an_act_is_written_down_before_it_is_done(
    parts: ServiceParts, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    files = WatchedFiles(database, tmp_path / "files", clock)
    files.audit = parts.audit
    with serve_parts(replace(parts, files=files)) as url:
        httpx2.delete(f"{url}/v1/files/file-1", headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
    assert [(each.act, each.object_id, each.status) for each in files.seen] == [("file.delete", "file-1", None)]


def test_every_route_that_changes_something_has_an_act() -> None:
    computes = ("completions", "run", "validate", "study", "probe", "regrade", "resolve", "check", "trial", "session")
    for (method, path), access in ROUTES.items():
        changes = method != "GET" and path.rpartition("/")[2] not in computes
        assert (access.act is not None) == changes, (method, path)


@pytest.mark.parametrize("name", ["a" * 1000, "a%00b", "%F0%9F%98%80"])
def test_an_id_of_any_form_is_written_down(http: httpx2.Client, name: str) -> None:
    assert http.delete(f"/v1/models/{name}").status_code in (400, 404)
    act, _, object_id, _ = shown(http)[-1]
    assert act == "model.delete"
    assert object_id
    assert len(object_id) <= 400
    assert KEY not in object_id

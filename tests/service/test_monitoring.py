"""`/healthz`, `/readyz`, `/metrics`, `/api/machine`, `/api/endpoints`, and the runs of `--runs`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunEnded
from verifine.runs.status import Status
from verifine.service.access.caller import Caller
from verifine.service.database import Database
from verifine.service.database.owners import LOCAL
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob, UnknownJobError
from verifine.service.run_views.run_index import RunIndex
from verifine.testing.clock import ManualClock
from verifine.testing.job_runs import FakeRun
from verifine.testing.requested_service import ADMINISTRATOR

REQUEST: Any = {"model": "tiny", "method": {}, "seed": 1}


def samples(http: httpx2.Client) -> dict[tuple[str, ...], float]:
    """By the name and the values of the labels, in the order of their names."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    found = [each for family in families for each in family.samples]
    return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in found}


def test_metrics_count_jobs_and_requests(http: httpx2.Client, parts: ServiceParts, clock: ManualClock) -> None:
    parts.jobs.create("bob", NewJob(request=REQUEST, training_file="file-1"))
    job = parts.jobs.create(LOCAL, NewJob(request=REQUEST, training_file="file-1"))
    parts.jobs.ask(LOCAL, job.id, {JobState.QUEUED: list(JobState)}, JobNews(message=""))
    clock.advance(7)
    http.get("/v1/files")
    http.get("/v1/files/file-a")
    http.get("/v1/files/file-b")
    http.get("/no/such/address")
    found = samples(http)
    assert found["verifine_jobs", "validating"] == 1
    assert found["verifine_jobs", "queued"] == 1
    assert found["verifine_jobs", "running"] == 0
    assert found["verifine_endpoints", "loaded"] == 0
    assert found["verifine_service_responses_total", "GET", "/v1/files", "200"] == 1
    assert found["verifine_service_responses_total", "GET", "/v1/files/{file_id}", "404"] == 2
    assert found["verifine_service_responses_total", "other", "other", "404"] == 1
    assert ("verifine_queue_seconds",) in found


def test_what_clients_think_of_makes_no_series(http: httpx2.Client) -> None:
    for name in ("X1", "X2", "DELETE", "HEAD"):
        http.request(name, "/healthz")
        http.request(name, f"/no/such/{name}")
    http.get("/healthz")
    found = {key[1:]: count for key, count in samples(http).items() if key[0] == "verifine_service_responses_total"}
    assert found == {("other", "/healthz", "405"): 4, ("other", "other", "404"): 4, ("GET", "/healthz", "200"): 1}


def test_the_service_is_ready_while_its_database_answers(http: httpx2.Client, database: Database) -> None:
    del http.headers["authorization"]
    assert (http.get("/readyz").status_code, http.get("/readyz").text) == (200, "ready\n")
    assert http.get("/healthz").text == "ok\n"
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_error")
    assert http.get("/healthz").status_code == 200


def test_metrics_need_a_key(http: httpx2.Client) -> None:
    del http.headers["authorization"]
    assert http.get("/metrics").status_code == 401


def test_the_machine_is_described_without_a_path(http: httpx2.Client, tmp_path: Path) -> None:
    answer = http.get("/api/machine")
    assert answer.status_code == 200
    machine = answer.json()
    assert machine["cores"] >= 1
    assert 0 < machine["free_memory_bytes"] <= machine["memory_bytes"]
    assert 0 < machine["free_disk_bytes"] <= machine["disk_bytes"]
    assert str(tmp_path) not in answer.text


def test_endpoints_are_listed_and_one_that_is_not_loaded_cannot_be_unloaded(http: httpx2.Client) -> None:
    assert http.get("/api/endpoints").json()["endpoints"] == []
    answer = http.post("/api/endpoints/tiny/unload")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "endpoint_not_found")
    for verb in ("load", "unload"):
        unknown = http.post(f"/api/endpoints/nothing/{verb}")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


@pytest.fixture
def own_run(tmp_path: Path) -> FakeRun:
    """A run of the command line."""
    run = FakeRun(directory=RunDirectory(path=tmp_path / "runs" / "sweep" / "first"))
    run.begin()
    run.steps(1, 3)
    run.write(RunEnded(status=Status.FINISHED))
    return run


def test_runs_of_the_command_line_are_shown_like_jobs(http: httpx2.Client, own_run: FakeRun) -> None:
    [run] = http.get("/api/runs").json()["runs"]
    began = datetime.fromtimestamp(run.pop("began_at"), UTC)
    assert began <= datetime.now(UTC)
    run_id = run.pop("id")
    assert run == {
        "name": "sweep/first",
        "status": "finished",
        "reason": None,
        "model": "tiny",
        "step": 3,
        "reward": 0.3,
    }
    assert http.get(f"/api/jobs/{run_id}/metrics").json()["steps"] == [1, 2, 3]
    with http.stream("GET", f"/api/jobs/{run_id}/stream") as answer:
        names = [each.event for each in httpx2.EventSource(answer) if each.data]
    assert names == ["steps", "end"]


def test_runs_of_the_command_line_are_for_administrators(parts: ServiceParts, own_run: FakeRun) -> None:
    [run] = parts.runs.list_runs(ADMINISTRATOR)
    assert parts.runs.find(ADMINISTRATOR, run.id).directory == own_run.directory
    for owner in ("bob", LOCAL):
        user = Caller(owner_id=owner, scopes=frozenset(("read", "run", "metrics")), key_id="key")
        assert parts.runs.list_runs(user) == []
        with pytest.raises(UnknownJobError):
            parts.runs.find(user, run.id)


def test_the_index_of_runs_is_the_directories_alone(own_run: FakeRun, tmp_path: Path) -> None:
    before = RunIndex(tmp_path / "runs").list()
    damaged = FakeRun(directory=RunDirectory(path=tmp_path / "runs" / "damaged"))
    damaged.begin()
    damaged.directory.metrics.write_text("no row\n{}\n")
    (tmp_path / "runs" / "link").symlink_to(own_run.directory.path)
    (tmp_path / "runs" / "no-run").mkdir()
    after = RunIndex(tmp_path / "runs").list()
    assert [run.name for run in after] == ["sweep/first", "damaged"]
    assert (after[0], after[1].status) == (before[0], None)
    assert RunIndex(tmp_path / "nothing").list() == []


@pytest.mark.parametrize("method", ["stat", "is_file"])
def test_a_folder_that_may_not_be_entered_hides_no_run(
    http: httpx2.Client, own_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    closed = tmp_path / "runs" / "closed"
    closed.mkdir()
    look = getattr(Path, method)

    def refuse(path: Path, **options: Any) -> Any:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, method, refuse)
    answer = http.get("/api/runs")
    assert answer.status_code == 200
    [run] = answer.json()["runs"]
    assert http.get(f"/api/jobs/{run['id']}/metrics").json()["steps"] == [1, 2, 3]
    with pytest.raises(PermissionError):
        (closed / "config.yaml").is_file()

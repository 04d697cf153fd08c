"""Flags and notes of people on answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from verifine.runs.directory import RunDirectory
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.service.database.owners import LOCAL
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.store import NewJob
from verifine.service.run_views.marks import EXPORTED_AT_ONCE, MarkPlace, MarkStore
from verifine.testing.job_runs import FakeRun
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout

TEXT = "an\x00swer \ud83d"


@pytest.fixture
def job_id(parts: ServiceParts, tmp_path: Path) -> str:
    """A job with two answers to one prompt in step 1."""
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create(LOCAL, NewJob(request=request, training_file="file-1"))
    run = FakeRun(directory=RunDirectory(path=tmp_path / "jobs" / job.id / "run"))
    run.begin()
    prompt = Prompt(id="row-1", token_ids=(1,), item={})
    rollout = Rollout(
        prompt=prompt, token_ids=(7,), behaviour_logprobs=(-0.5,), text=TEXT, finish_reason=FinishReason.STOP
    )
    group = Group(prompt=prompt, rollouts=(rollout, rollout)).graded([Grade(score=0.5), Grade.unscorable("why")])
    written = GradedGroup(group=group, prompt="What?", rewards=[0.5, 0.0], advantages=[0.0, 0.0])
    write_rollouts(run.directory.rollouts, 1, [written])
    return job.id


def put(http: httpx2.Client, job_id: str, **fields: Any) -> httpx2.Response:
    return http.put(f"/api/jobs/{job_id}/marks", json={"step": 1, "group": 0, "sample": 0, **fields})


def marks(http: httpx2.Client, job_id: str, **query: Any) -> list[Any]:
    answer = http.get(f"/api/jobs/{job_id}/marks", params=query)
    assert answer.status_code == 200
    data: list[Any] = answer.json()["data"]
    return data


def test_a_mark_is_kept_with_its_answer(http: httpx2.Client, job_id: str, tmp_path: Path) -> None:
    made = put(http, job_id, flag=True, note="odd\x00")
    assert made.status_code == 200
    assert made.json()["object"] == "rollout.mark"
    (tmp_path / "jobs" / job_id / "run" / "rollouts" / "step-000001.jsonl").unlink()
    [mark] = marks(http, job_id)
    assert mark == made.json()
    told = {name: mark[name] for name in ("flag", "note", "prompt_id", "prompt", "text", "score")}
    assert told == {
        "flag": True,
        "note": "odd\x00",
        "prompt_id": "row-1",
        "prompt": "What?",
        "text": "an\x00swer ?",
        "score": 0.5,
    }


def test_a_later_mark_takes_the_place_of_the_one_before(http: httpx2.Client, job_id: str) -> None:
    first = put(http, job_id, flag=True).json()
    other = put(http, job_id, sample=1, note="b").json()
    assert put(http, job_id, note="c").json()["id"] == first["id"]
    assert [(each["id"], each["flag"], each["note"]) for each in marks(http, job_id)] == [
        (other["id"], False, "b"),
        (first["id"], False, "c"),
    ]
    assert [each["id"] for each in marks(http, job_id, limit=1)] == [other["id"]]
    assert [each["id"] for each in marks(http, job_id, after=other["id"])] == [first["id"]]


def test_marks_are_exported_as_json_lines(http: httpx2.Client, job_id: str) -> None:
    put(http, job_id, flag=True)
    put(http, job_id, sample=1, note="zwei\nZeilen")
    answer = http.get(f"/api/jobs/{job_id}/marks.jsonl")
    assert answer.headers["content-type"] == "application/jsonl"
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert rows == marks(http, job_id)[::-1]
    assert (rows[1]["note"], rows[1]["score"]) == ("zwei\nZeilen", None)


def test_all_marks_of_a_run_are_exported_however_many_they_are(parts: ServiceParts) -> None:
    store: MarkStore = parts.marks
    count = EXPORTED_AT_ONCE + 1
    for sample in range(count):
        place = MarkPlace(run_id="run-1", step=1, group=0, sample=sample)
        store.put(LOCAL, place, is_flagged=True, note="", answer={})
    assert [mark.place.sample for mark in store.all(LOCAL, "run-1")] == list(range(count))


def test_a_mark_is_deleted(http: httpx2.Client, job_id: str) -> None:
    mark_id = put(http, job_id, flag=True).json()["id"]
    assert http.delete(f"/api/jobs/{job_id}/marks/{mark_id}").json()["deleted"] is True
    again = http.delete(f"/api/jobs/{job_id}/marks/{mark_id}")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "mark_not_found")
    assert marks(http, job_id) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sample": 2}, 404),
        ({"group": 1}, 404),
        ({"step": 2}, 404),
        ({"step": -1}, 400),
        ({"step": 10**12}, 400),
        ({"flag": "yes"}, 400),
        ({"note": 1}, 400),
        ({"more": 1}, 400),
    ],
)
def test_what_cannot_be_marked_is_refused(
    http: httpx2.Client, job_id: str, fields: dict[str, Any], status: int
) -> None:
    assert put(http, job_id, **fields).status_code == status


def test_the_marks_of_another_owner_are_not_there(parts: ServiceParts, http: httpx2.Client, job_id: str) -> None:
    place = MarkPlace(run_id=job_id, step=1, group=0, sample=0)
    theirs = parts.marks.put("bob", place, is_flagged=True, note="mine", answer={})
    assert marks(http, job_id) == []
    assert http.delete(f"/api/jobs/{job_id}/marks/{theirs.id}").status_code == 404
    assert http.get(f"/api/jobs/{job_id}/marks", params={"after": theirs.id}).status_code == 400

"""Datasets and graders looked at before a job is made, and saved answers graded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.service.child import Children
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.store import NewJob
from verifine.service.trials.study import DatasetQuestion, study_in_child
from verifine.testing.job_runs import FakeRun
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout

EXACT = {"type": "string_check", "input": "{{ sample.output_text }}", "reference": "{{ item.gt_answer }}"}
EQUAL: dict[str, Any] = {**EXACT, "operation": "eq", "name": "equal"}
UNEQUAL: dict[str, Any] = {**EXACT, "operation": "ne", "name": "unequal"}


def rows(*answers: str) -> str:
    made = [{"messages": [{"role": "user", "content": f"q{n}"}], "gt_answer": each} for n, each in enumerate(answers)]
    return "".join(json.dumps(row) + "\n" for row in made)


def upload(client: openai.OpenAI, content: str, name: str = "mine.jsonl") -> str:
    return client.files.create(file=(name, content.encode()), purpose="fine-tune").id


def test_a_dataset_is_studied_as_training_would_read_it(client: openai.OpenAI, http: httpx2.Client) -> None:
    file_id = upload(client, rows("a", "b", "b") + rows("c"))
    answer = http.post(f"/api/files/{file_id}/study", json={"system_prompt": "Be short.", "first": 1, "count": 2})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["rows"], found["fields"], found["duplicates"]) == (4, {"gt_answer": 4}, 1)
    assert found["constant_reference"] is None
    assert [row["label"] for row in found["shown"]] == ["mine.jsonl line 2", "mine.jsonl line 3"]
    assert [row["item"] for row in found["shown"]] == [{"gt_answer": "b"}, {"gt_answer": "b"}]
    assert found["shown"][0]["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "q1"},
    ]
    assert http.post(f"/api/files/{file_id}/study").json()["rows"] == 4


def test_a_file_that_cannot_be_trained_on_is_told_by_its_owner_s_name(
    client: openai.OpenAI, http: httpx2.Client, tmp_path: Path
) -> None:
    file_id = upload(client, rows("a") + '{"gt_answer": 1}\n')
    answer = http.post(f"/api/files/{file_id}/study", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_file")
    assert "mine.jsonl line 2" in answer.json()["error"]["message"]
    assert str(tmp_path) not in answer.text
    assert not list((tmp_path / "reading").glob("*"))


def test_a_grader_is_probed_with_right_answers_and_idle_ones(client: openai.OpenAI, http: httpx2.Client) -> None:
    file_id = upload(client, rows("a", "b"))
    answer = http.post("/api/graders/probe", json={"grader": EQUAL, "file_id": file_id})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    scores = {(each["probe"], each["score"]) for each in found["answers"]}
    assert scores == {("right answer", 1.0), ("empty text", 0.0), ("nonsense", 0.0)}
    assert found["numbers"]["grader"] == {"name": "equal", "type": "string_check"}


@pytest.mark.parametrize(
    ("fields", "param", "status"),
    [
        ({"grader": {"type": "endpoint", "url": "http://10.0.0.1"}}, "grader", 400),
        ({"grader": {"type": "nothing"}}, "grader", 400),
        ({"file_id": "file-nothing"}, "file_id", 404),
        ({"limit": 0}, "limit", 400),
        ({"answer_field": "missing"}, "grader", 400),
        ({"columns": {"question": "b"}}, "grader", 400),
        ({"unsafe": True}, "unsafe", 400),
    ],
)
def test_what_cannot_be_probed_is_refused(
    client: openai.OpenAI, http: httpx2.Client, fields: dict[str, Any], param: str, status: int
) -> None:
    asked = {"grader": EQUAL, "file_id": upload(client, rows("a")), **fields}
    answer = http.post("/api/graders/probe", json=asked)
    assert answer.status_code == status
    assert answer.json()["error"]["param"].startswith(param)


@pytest.fixture
def job_id(parts: ServiceParts, tmp_path: Path) -> str:
    """A job with the answers a and b to a row with the right answer a, all graded with 1."""
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create("local", NewJob(request=request, training_file="file-1"))
    folder = tmp_path / "jobs" / job.id
    run = FakeRun(directory=RunDirectory(path=folder / "run"))
    run.begin()
    (folder / "train.jsonl").write_text(rows("a", "b", "c"))
    (folder / "eval.jsonl").write_text(rows("d"))
    data = {"train": folder / "train.jsonl", "eval": folder / "eval.jsonl"}
    config = build_config({"data": data, "grader": EQUAL, "sampling": {"prompts_per_step": 2}})
    run.directory.config.write_text(dump_config(config))
    prompt = Prompt(id="1", token_ids=(1,), item={})
    rollouts = tuple(
        Rollout(prompt=prompt, token_ids=(7,), behaviour_logprobs=(-0.5,), text=text, finish_reason=FinishReason.STOP)
        for text in ("a", "b\ud83d")
    )
    group = Group(prompt=prompt, rollouts=rollouts).graded([Grade(score=1.0), Grade(score=1.0)])
    written = GradedGroup(group=group, prompt="q0", rewards=[1.0, 1.0], advantages=[0.0, 0.0])
    write_rollouts(run.directory.rollouts, 1, [written])
    return job.id


def test_saved_answers_are_graded_again_and_compared(http: httpx2.Client, job_id: str, tmp_path: Path) -> None:
    before = sorted(path.name for path in (tmp_path / "jobs" / job_id / "run").rglob("*"))
    own = http.post(f"/api/jobs/{job_id}/regrade", json={})
    assert own.status_code == 200, own.text
    assert (own.json()["numbers"]["agreement"]["count"], own.json()["numbers"]["agreement"]["same"]) == (2, 1)
    other = http.post(f"/api/jobs/{job_id}/regrade", json={"grader": UNEQUAL}).json()
    assert other["numbers"]["agreement"]["mean_difference"] == -0.5
    assert sorted(path.name for path in (tmp_path / "jobs" / job_id / "run").rglob("*")) == before


def test_a_run_without_answers_is_told_without_its_place(
    parts: ServiceParts, http: httpx2.Client, tmp_path: Path
) -> None:
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create("local", NewJob(request=request, training_file="file-1"))
    answer = http.post(f"/api/jobs/{job.id}/regrade", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "cannot_regrade")
    assert str(tmp_path) not in answer.text


def test_a_study_is_made_by_a_process_that_may_be_killed(children: Children, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a\\ud83d", "gt_answer": 1}\n')
    question = DatasetQuestion(path=path, columns={}, system_prompt=None, first=0, count=5)
    reply = study_in_child(children, question)
    assert reply.problem is not None or (reply.dataset is not None and reply.dataset.rows == 1)

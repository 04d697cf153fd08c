"""`/api/jobs/{id}/…`: what a run has written."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import RunEnded
from verifine.runs.metrics import MetricLog
from verifine.runs.rollouts import GradedGroup, TokenNumbers, write_rollouts
from verifine.runs.status import Status
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import Job
from verifine.service.jobs.store import NewJob
from verifine.service.run_views.metric_columns import reduce_metrics
from verifine.testing.job_runs import FakeRun
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout, StepReport

PATHS = ("metrics", "evaluations", "findings", "rollouts", "rollouts/1", "rollouts/1/0", "stream")


@pytest.fixture
def run(job: Job, tmp_path: Path) -> FakeRun:
    run = FakeRun(directory=RunDirectory(path=tmp_path / "jobs" / job.id / "run"))
    run.begin()
    return run


def get(http: httpx2.Client, job: Job, path: str, **query: Any) -> Any:
    answer = http.get(f"/api/jobs/{job.id}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def write_group(run: FakeRun, step: int, *scores: float | None, text: str = "answer") -> None:
    prompt = Prompt(id="row-1", token_ids=(1, 2), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7, 8 + sample),
            behaviour_logprobs=(-0.5, -1.0 - sample),
            text=f"{text} {sample}",
            finish_reason=FinishReason.STOP,
        )
        for sample in range(len(scores))
    )
    grades = [
        Grade(score=score, answer_ok=None if score is None else score > 0, reason="why", parts={"part": 0.5})
        for score in scores
    ]
    numbers = TokenNumbers(
        entropy=np.array([0.25, np.nan], dtype=np.float16),
        ratio=np.array([1.0, np.inf], dtype=np.float16),
        advantage=np.array([0.5, 0.5], dtype=np.float16),
        text_ends=np.array([3, -1], dtype=np.int32),
    )
    group = GradedGroup(
        group=Group(prompt=prompt, rollouts=rollouts).graded(grades),
        prompt="What? " + "x" * 1000,
        rewards=[score or 0.0 for score in scores],
        advantages=[0.5] * len(scores),
        tokens=[numbers] * len(scores),
    )
    write_rollouts(run.directory.rollouts, step, [group])


def test_metrics_are_columns_with_what_they_mean(http: httpx2.Client, job: Job, run: FakeRun) -> None:
    log = MetricLog(run.directory.metrics)
    log.append(StepReport(step=1, metrics={"reward": 0.5}))
    log.append(StepReport(step=2, metrics={"reward": math.nan, "loss": 2.0}))
    found = get(http, job, "metrics")
    assert (found["steps"], found["total"]) == ([1, 2], 2)
    assert list(found["metrics"]) == ["reward", "loss"]
    assert found["metrics"]["reward"]["values"] == [0.5, None]
    assert found["metrics"]["loss"] == {
        "meaning": found["metrics"]["loss"]["meaning"],
        "unit": "",
        "values": [None, 2.0],
        "low": None,
        "high": None,
    }
    assert list(get(http, job, "metrics", name=["loss", "nothing"], first=2, last=2)["metrics"]) == ["loss"]


def test_fewer_points_still_show_every_outlier() -> None:
    reports = [StepReport(step=step, metrics={"reward": 100.0 if step == 17 else 1.0}) for step in range(1, 31)]
    reduced = reduce_metrics(reports, (), 3)
    assert (reduced.steps, reduced.total) == ([10, 20, 30], 30)
    column = reduced.metrics["reward"]
    assert column.values == [1.0, 10.9, 1.0]
    assert (column.low, column.high) == ([1.0, 1.0, 1.0], [1.0, 100.0, 1.0])


def test_a_step_has_its_groups_and_a_group_its_answers_with_their_tokens(
    http: httpx2.Client, job: Job, run: FakeRun
) -> None:
    write_group(run, 1, 0.0, None, 1.0)
    assert get(http, job, "rollouts") == {"steps": [1]}
    page = get(http, job, "rollouts/1")
    [group] = page["groups"]
    assert (page["total"], len(group.pop("prompt"))) == (1, 400)
    assert group == {
        "group": 0,
        "prompt_id": "row-1",
        "answers": 3,
        "right": 1,
        "unscorable": 1,
        "mean_score": 0.5,
        "best_score": 1.0,
        "worst_score": 0.0,
    }
    answers: Sequence[Any] = get(http, job, "rollouts/1/0")["answers"]
    assert [(each["sample"], each["score"], each["tokens"]) for each in answers] == [
        (2, 1.0, None),
        (0, 0.0, None),
        (1, None, None),
    ]
    best = get(http, job, "rollouts/1/0", tokens=True)["answers"][0]
    assert best["parts"] == {"part": 0.5}
    assert best["tokens"] == {
        "ids": [7, 10],
        "logprobs": [-0.5, -3.0],
        "entropy": [0.25, None],
        "ratio": [1.0, None],
        "advantage": [0.5, 0.5],
        "text_ends": [3, -1],
    }
    assert get(http, job, "rollouts/1", offset=1)["groups"] == []


def test_half_of_a_surrogate_pair_is_shown_as_a_question_mark(http: httpx2.Client, job: Job, run: FakeRun) -> None:
    write_group(run, 1, 1.0, text="a\ud83db")
    assert get(http, job, "rollouts/1/0")["answers"][0]["text"] == "a?b 0"


@pytest.mark.parametrize("path", ["rollouts/2", "rollouts/1/1"])
def test_answers_that_there_are_not_are_told(http: httpx2.Client, job: Job, run: FakeRun, path: str) -> None:
    write_group(run, 1, 1.0)
    answer = http.get(f"/api/jobs/{job.id}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "rollouts_not_found")


def test_evaluations_come_with_their_intervals(http: httpx2.Client, job: Job, run: FakeRun) -> None:
    for name, score in (("final", 1.0), ("baseline", 0.0), ("step-5", 0.5)):
        samples = tuple(
            EvaluatedSample(prompt_id=str(n), prompt="", text="", score=score, format_ok=None, answer_ok=score > 0)
            for n in range(4)
        )
        write_evaluation(run.directory.evaluations, Evaluation(name=name, samples=samples))
    found = get(http, job, "evaluations")["evaluations"]
    assert [(each["name"], each["numbers"]["reward"]) for each in found] == [
        ("baseline", 0.0),
        ("step-5", 0.5),
        ("final", 1.0),
    ]
    low, high = found[2]["numbers"]["intervals"]["answer_accuracy"]
    assert low < 1.0 <= high


def test_findings_are_those_of_the_doctor(http: httpx2.Client, job: Job, run: FakeRun) -> None:
    config = build_config({"data": {"task": "add"}, "model": {"name": "m"}})
    run.directory.config.write_text(dump_config(config))
    run.write(RunEnded(status=Status.FAILED, reason="grader", error="it broke"))
    [finding] = get(http, job, "findings")["findings"]
    assert finding["severity"] == "problem"
    assert "it broke" in finding["what"] + finding["evidence"]


def test_a_job_whose_run_has_not_begun_has_nothing_yet(http: httpx2.Client, job: Job) -> None:
    assert get(http, job, "metrics") == {"steps": [], "total": 0, "metrics": {}}
    assert get(http, job, "rollouts") == {"steps": []}
    assert get(http, job, "evaluations") == {"evaluations": []}
    assert get(http, job, "findings") == {"findings": []}


@pytest.mark.parametrize("path", PATHS)
def test_the_run_of_another_owner_is_not_there(parts: ServiceParts, http: httpx2.Client, path: str) -> None:
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create("bob", NewJob(request=request, training_file="file-1"))
    answer = http.get(f"/api/jobs/{job.id}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "fine_tune_not_found")


@pytest.mark.parametrize(
    "path", ["metrics", "evaluations", "findings", "rollouts/1", "rollouts/1/0", "marks", "stream"]
)
def test_a_file_that_the_disk_does_not_give_is_told_as_one_that_is_broken(
    http: httpx2.Client, job: Job, run: FakeRun, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_group(run, 1, 1.0)
    run.steps(1, 1)
    run.evaluate("final", 0.5)
    run.directory.evaluations.mkdir(exist_ok=True)
    (run.directory.evaluations / "final.json").touch()
    read_bytes, opened = Path.read_bytes, Path.open

    def fail(place: Path) -> None:
        if run.directory.path in place.parents:
            raise OSError(errno.EIO, "Input/output error", str(place))

    def open_(place: Path, *words: Any, **options: Any) -> Any:
        fail(place)
        return opened(place, *words, **options)

    def read_bytes_(place: Path) -> bytes:
        fail(place)
        return read_bytes(place)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(Path, "read_bytes", read_bytes_)
    if path == "marks":
        mark = {"step": 1, "group": 0, "sample": 0, "flag": True}
        answer = http.put(f"/api/jobs/{job.id}/marks", json=mark)
    else:
        answer = http.get(f"/api/jobs/{job.id}/{path}")
    if path == "stream":
        assert "event: fault" in answer.text
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run_unreadable")
    assert str(run.directory.path) not in answer.text


@pytest.mark.parametrize("path", ["metrics", "evaluations"])
def test_a_run_that_cannot_be_read_is_told_without_its_place(
    http: httpx2.Client, job: Job, run: FakeRun, path: str
) -> None:
    run.directory.evaluations.mkdir()
    for file in (run.directory.metrics, run.directory.evaluations / "final.json"):
        file.write_text("no row\n{}\n")
    answer = http.get(f"/api/jobs/{job.id}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run_unreadable")
    assert str(run.directory.path) not in answer.text

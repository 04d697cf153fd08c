"""What a job leaves to be read: its files, its tokens, and when it will be over."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import openai
import pytest

from verifine.runs.events import RunEnded
from verifine.runs.metrics import MetricLog
from verifine.runs.status import Status
from verifine.service.jobs.states import JobState
from verifine.service.supervisor.held_out import HeldOutResults
from verifine.service.supervisor.news import grader_types, news_of_step
from verifine.service.supervisor.pace import note_pace
from verifine.service.supervisor.progress import JobProgress
from verifine.service.supervisor.result_files import step_metrics
from verifine.testing.supervised_jobs import SupervisedJob
from verifine.types import StepReport


def train(world: SupervisedJob, status: Status = Status.FINISHED) -> None:
    """A run of two steps, with the answers of each."""
    world.start()
    world.run.evaluate("baseline", 0.25)
    log = MetricLog(world.run.directory.metrics)
    for step in (1, 2):
        folder = world.run.directory.rollouts
        folder.mkdir(exist_ok=True)
        (folder / f"step-{step:06d}.jsonl").write_text(f'{{"step": {step}}}\n')
        log.append(StepReport(step=step, metrics={"reward": step / 4, "num_tokens": 100.0 * step, "step_time": 2.0}))
    world.run.save_model(2)
    world.run.evaluate("final", 0.75)
    world.end(RunEnded(status=status))
    world.supervisor.tick()


def test_a_job_that_has_ended_has_files_that_its_owner_downloads(client: openai.OpenAI, world: SupervisedJob) -> None:
    train(world)
    job = client.fine_tuning.jobs.retrieve(world.job.id)
    assert job.trained_tokens == 200
    files = {client.files.retrieve(file_id).filename: file_id for file_id in job.result_files}
    assert list(files) == ["step_metrics.csv", "rollouts.jsonl"]
    assert {client.files.retrieve(file_id).purpose for file_id in job.result_files} == {"fine-tune-results"}
    rows = list(csv.DictReader(io.StringIO(client.files.content(files["step_metrics.csv"]).text)))
    told = [(row["step"], row["train_reward_mean"], row["valid_reward_mean"]) for row in rows]
    assert told == [("0", "", "0.25"), ("1", "0.25", ""), ("2", "0.5", "0.75")]
    assert client.files.content(files["rollouts.jsonl"]).read() == b'{"step": 1}\n{"step": 2}\n'
    for file_id in job.result_files:
        assert client.files.delete(file_id).deleted


@pytest.mark.parametrize("status", [Status.INTERRUPTED, Status.FAILED])
def test_a_job_that_did_not_succeed_has_them_too(client: openai.OpenAI, world: SupervisedJob, status: Status) -> None:
    train(world, status)
    job = client.fine_tuning.jobs.retrieve(world.job.id)
    assert (len(job.result_files), job.trained_tokens, job.fine_tuned_model) == (2, 200, None)


def test_files_that_cannot_be_written_do_not_hold_up_the_end(world: SupervisedJob, tmp_path: Path) -> None:
    (tmp_path / "files" / ".drafts").rmdir()
    (tmp_path / "files" / ".drafts").touch()
    train(world)
    assert world.state is JobState.SUCCEEDED
    assert world.parts.jobs.find("local", world.job.id).result_files == ()


def test_files_that_cannot_be_put_in_place_cost_no_model(world: SupervisedJob, tmp_path: Path) -> None:
    content = hashlib.sha256(b'{"step": 1}\n{"step": 2}\n').hexdigest()
    (tmp_path / "files" / "local" / content).mkdir()
    train(world)
    job = world.parts.jobs.find("local", world.job.id)
    assert (job.state, job.result_files) == (JobState.SUCCEEDED, ())
    assert job.fine_tuned_model is not None
    assert list((tmp_path / "files" / ".drafts").iterdir()) == []


def test_nothing_is_left_of_files_whose_job_was_taken_over(world: SupervisedJob, tmp_path: Path) -> None:
    train(world)
    assert list((tmp_path / "files" / ".drafts").iterdir()) == []


def test_a_running_job_says_when_it_will_be_over(client: openai.OpenAI, world: SupervisedJob) -> None:
    world.start()
    assert client.fine_tuning.jobs.retrieve(world.job.id).estimated_finish is None
    world.run.steps(1, 2)
    world.supervisor.tick()
    running = client.fine_tuning.jobs.retrieve(world.job.id)
    # 8 of 10 steps are left, which take 2 seconds each.
    assert running.estimated_finish == round(world.run.directory.metrics.stat().st_mtime + 16)
    assert running.trained_tokens is None
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert client.fine_tuning.jobs.retrieve(world.job.id).estimated_finish is None


def step(number: int, **metrics: float) -> StepReport:
    return StepReport(step=number, metrics={name.replace("__", "/"): value for name, value in metrics.items()})


def test_later_steps_count_more_in_the_estimate() -> None:
    progress = JobProgress(total_steps=10)
    progress = note_pace(progress, [step(1, step_time=10.0), step(2, step_time=5.0)], at=100)
    assert progress.step_s == 9.0
    assert progress.estimated_finish == 100 + 8 * 9


def test_a_run_that_goes_by_time_has_no_estimate() -> None:
    progress = note_pace(JobProgress(), [step(1, step_time=1.0)], at=100)
    assert progress.estimated_finish is None


def test_each_part_of_a_grader_has_a_column() -> None:
    text = step_metrics([step(1, reward=0.5, rewards__exact=1.0), step(2, reward=0.5)], HeldOutResults()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["exact.train_reward_mean"] for row in rows] == ["1.0", ""]


EXACT, NEAR = {"type": "string_check", "name": "exact"}, {"type": "text_similarity", "name": "near"}


@pytest.mark.parametrize(
    ("grader", "types"),
    [
        (EXACT, {"exact": "string_check"}),
        ({"type": "answer"}, {"answer": "answer"}),
        ({"type": "multi", "graders": {"a": EXACT, "b": NEAR}}, {"a": "string_check", "b": "text_similarity"}),
        ({"type": "multi", "graders": [EXACT, NEAR]}, {"exact": "string_check", "near": "text_similarity"}),
    ],
)
def test_graders_have_the_names_of_their_scores(grader: Any, types: dict[str, str]) -> None:
    assert grader_types(grader) == types


def test_a_step_has_the_mean_of_each_grader() -> None:
    types = {"exact": "string_check", "near": "text_similarity"}
    news = news_of_step(step(1, reward=0.5, rewards__exact=1.0, rewards__near=float("nan")), 10, types)
    assert news.data is not None
    assert news.data["scores"] == {
        "train_reward_mean": 0.5,
        "graders": [
            {"name": "exact", "type": "string_check", "train_reward_mean": 1.0},
            {"name": "near", "type": "text_similarity", "train_reward_mean": None},
        ],
    }

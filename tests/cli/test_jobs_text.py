"""What `verifine jobs` says of jobs, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from verifine.cli.jobs_text import ENDINGS, WatchText, describe_job, describe_jobs
from verifine.runs.status import MAX_STEPS, Status

JOB: Mapping[str, Any] = {
    "id": "ftjob-1",
    "status": "paused",
    "model": "tiny",
    "created_at": 1_000_000,
    "finished_at": None,
    "estimated_finish": None,
    "training_file": "file-1",
    "validation_file": None,
    "user_provided_suffix": None,
    "fine_tuned_model": None,
    "trained_tokens": None,
    "result_files": [],
    "error": None,
    "verifine": {},
}
FAILED: Mapping[str, Any] = {**JOB, "status": "failed"}


def step(number: int, reward: float | None) -> dict[str, Any]:
    data = {"step": number, "total_steps": 20, "train_mean_reward": reward}
    return {"created_at": 0, "level": "info", "message": f"Step {number}", "data": data}


def evaluation(name: str, reward: float | None) -> dict[str, Any]:
    data = {"evaluation": name, "step": None, "full_valid_mean_reward": reward}
    return {"created_at": 0, "level": "info", "message": f"Evaluation {name}", "data": data}


MESSAGE: dict[str, Any] = {"created_at": 0, "level": "info", "message": "Job paused", "data": None}


def facts(job: Mapping[str, Any], *events: Mapping[str, Any]) -> dict[str, str]:
    """By their names, which end at two blanks."""
    pairs = (line.split("  ", 1) for line in describe_job(job, events).splitlines())
    return {name: value.strip() for name, value in pairs}


def test_a_paused_job_is_shown_with_why_and_with_its_last_step() -> None:
    job = {**JOB, "verifine": {"ending": MAX_STEPS, "run": {"max_steps": 12, "max_minutes": 2.5}}}
    shown = facts(job, MESSAGE, evaluation("step-12", 0.5), step(12, 0.53), step(11, 0.25))
    assert shown["last step"] == "12 of 20, reward 0.53"
    assert shown["reason"] == ENDINGS[MAX_STEPS]
    assert shown["budget"] == "pauses after 12 steps or 2.5 minutes"
    assert facts(JOB)["reason"] == "it was asked to"


def test_a_job_that_has_ended_is_shown_with_what_came_of_it() -> None:
    job = {**JOB, "status": "succeeded", "trained_tokens": 4321, "result_files": ["file-a", "file-b"]}
    shown = facts({**job, "finished_at": 1_000_060, "verifine": {"ending": "finished"}})
    assert (shown["trained tokens"], shown["result files"]) == ("4321", "file-a, file-b")
    assert shown["reason"] == "all steps were taken"
    assert "last step" not in shown


def test_a_failed_job_is_shown_with_its_error_alone() -> None:
    shown = facts({**FAILED, "error": {"message": "no-go"}, "verifine": {"ending": "no_go"}})
    assert shown["error"] == "no-go"
    assert "reason" not in shown


def test_a_job_that_was_cancelled_while_it_was_paused_is_not_shown_as_paused() -> None:
    told = {"ending": MAX_STEPS, "run": {"max_steps": 12}}
    shown = facts({**JOB, "status": "cancelled", "finished_at": 1_000_060, "verifine": told})
    assert not {"reason", "budget"} & shown.keys()


def test_a_running_job_is_shown_with_when_it_will_be_over() -> None:
    shown = facts({**JOB, "status": "running", "estimated_finish": 1_000_060}, step(3, None))
    assert shown["estimated finish"] > shown["made"]
    assert shown["last step"] == "3 of 20"
    assert "reason" not in shown


def test_every_way_for_a_run_to_end_by_itself_has_words() -> None:
    assert {status for status in Status if status.is_complete} <= set(ENDINGS)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("line one\nline two", "line one line two"),
        ("word " * 30, "word " * 11 + "…"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_an_error_is_on_one_line_of_the_table(message: str, shown: str) -> None:
    table = describe_jobs([{**FAILED, "error": {"message": message}}], has_more=False)
    assert len(table.splitlines()) == 2
    assert table.endswith(f"  {shown}")


def test_the_name_of_a_model_is_never_cut() -> None:
    name = "ft:tiny:" + "x" * 100
    assert name in describe_jobs([{**JOB, "fine_tuned_model": name}], has_more=False)


def test_a_pause_is_told_with_why_and_how_it_goes_on() -> None:
    used = {**JOB, "verifine": {"ending": MAX_STEPS}}
    (line,) = WatchText(lambda: used).describe("state", {"state": "paused"})
    assert line == f"the job is paused: {ENDINGS[MAX_STEPS]}; `verifine jobs resume ftjob-1 --max-steps N` continues it"
    (line,) = WatchText(lambda: JOB).describe("state", {"state": "paused"})
    assert line == "the job is paused: it was asked to; `verifine jobs resume ftjob-1` continues it"
    assert not list(WatchText(lambda: {**JOB, "status": "queued"}).describe("state", {"state": "paused"}))
    assert not list(WatchText(lambda: JOB).describe("state", {"state": "running"}))


def test_the_end_is_told_with_the_rewards_before_and_after() -> None:
    text = WatchText(lambda: JOB)
    for event in (evaluation("baseline", 0.125), step(1, 0.2), evaluation("step-5", 0.4), evaluation("final", 0.5)):
        assert len(list(text.describe("events", {"events": [event]}))) == 1
    told = list(text.describe("end", {"state": "succeeded"}))
    assert told == ["held-out reward: 0.125 before training, 0.5 after it", "the job is succeeded"]


def test_rewards_that_are_not_known_are_not_told() -> None:
    text = WatchText(lambda: JOB)
    list(text.describe("events", {"events": [evaluation("baseline", 0.125), evaluation("final", None)]}))
    assert list(text.describe("end", {"state": "cancelled"})) == ["the job is cancelled"]

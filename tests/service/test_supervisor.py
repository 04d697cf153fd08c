from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from sqlalchemy import update

from verifine.config import build_config, dump_config, load_config
from verifine.runs.events import EvaluationDone, FindingRaised, RunChecked, RunEnded
from verifine.runs.metrics import MetricLog
from verifine.runs.status import Status
from verifine.service.database import Database
from verifine.service.database.paging import PageQuery
from verifine.service.database.tables import JOBS
from verifine.service.jobs.claims import LEASE_S
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.supervisor.news import news_of
from verifine.testing import save_tiny_model
from verifine.testing.clock import ManualClock
from verifine.testing.supervised_jobs import SupervisedJob
from verifine.types import StepReport


def test_a_job_is_validated_started_followed_and_ended(world: SupervisedJob) -> None:
    world.start()
    config = world.folder / "config.yaml"
    assert world.processes.started == [["train", str(config), "--json"]]
    assert load_config(config).run.directory == world.run.directory.path
    world.run.steps(1, 2)
    world.supervisor.tick()
    world.run.steps(3, 3)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED
    assert world.messages[3:] == [
        "Fine-tuning job started",
        "Step 1/10, train mean reward=0.1",
        "Step 2/10, train mean reward=0.2",
        "Step 3/10, train mean reward=0.3",
        "The job has successfully completed",
    ]
    world.supervisor.tick()
    assert len(world.processes.started) == 1


def test_the_numbers_of_a_step_have_openai_s_names(world: SupervisedJob) -> None:
    world.start()
    world.run.steps(1, 1)
    world.supervisor.tick()
    [event] = [
        each for each in world.parts.jobs.list_events("local", world.job.id, PageQuery(limit=9)).items if each.data
    ]
    assert event.type == "metrics"
    assert event.data == {
        "step": 1,
        "total_steps": 10,
        "scores": {
            "train_reward_mean": 0.1,
            "graders": [{"name": "exact", "type": "string_check", "train_reward_mean": 0.1}],
        },
        "usage": {"samples": {"train_reasoning_tokens_mean": None}},
        "timing": {"step": {"full_iteration": 2.0}},
        "train_mean_reward": 0.1,
        "mean_unresponsive_rewards": None,
        "reasoning_tokens_mean": None,
        "completion_tokens_mean": None,
        "verifine": {"reward": 0.1, "step_time": 2.0},
    }


def test_an_evaluation_has_the_mean_of_each_grader(world: SupervisedJob) -> None:
    world.start()
    world.run.evaluate("step-1", 0.5)
    world.supervisor.tick()
    graders = {"near": "text_similarity", "exact": "string_check"}
    evaluation = EvaluationDone(name="step-1", numbers={"reward": 0.5, "parts": {"exact": 0.25}})
    [told] = news_of(evaluation, graders, None)
    assert told.data is not None
    assert told.data["scores"] == {
        "valid_reward_mean": 0.5,
        "graders": [
            {"name": "near", "type": "text_similarity", "valid_reward_mean": None},
            {"name": "exact", "type": "string_check", "valid_reward_mean": 0.25},
        ],
    }
    [event] = [
        each for each in world.parts.jobs.list_events("local", world.job.id, PageQuery(limit=9)).items if each.data
    ]
    assert event.data is not None
    assert event.data["scores"] == {
        "valid_reward_mean": 0.5,
        "graders": [{"name": "exact", "type": "string_check", "valid_reward_mean": 0.5}],
    }


def test_events_and_steps_are_told_in_the_order_in_which_they_happened(world: SupervisedJob) -> None:
    world.start()
    world.run.steps(1, 4)
    world.run.evaluate("baseline", 0.1)
    world.run.evaluate("step-2", 0.2)
    finding = {"severity": "problem", "what": "It learns nothing.", "evidence": "0 of 4", "remedies": ("Change it.",)}
    world.run.write(FindingRaised(name="nothing", steps=(1, 3), **finding))  # type: ignore[arg-type]
    world.run.save_model(4)
    world.run.evaluate("final", 0.4)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.messages[4:] == [
        "Evaluation baseline: full validation mean reward=0.1",
        "Step 1/10, train mean reward=0.1",
        "Step 2/10, train mean reward=0.2",
        "Evaluation step-2: full validation mean reward=0.2",
        "Step 3/10, train mean reward=0.3",
        "It learns nothing. (0 of 4) Change it.",
        "Step 4/10, train mean reward=0.4",
        "The model of step 4 was saved",
        "Evaluation final: full validation mean reward=0.4",
        *world.messages[13:],
    ]
    final = world.parts.jobs.list_events("local", world.job.id, PageQuery(limit=20))
    [told] = [each for each in final.items if each.data and each.data.get("evaluation") == "final"]
    assert told.data is not None
    assert told.data["step"] == 4


def test_what_the_check_finds_is_told_but_for_notes(world: SupervisedJob) -> None:
    world.start()
    found = [
        {
            "name": str(n),
            "severity": severity,
            "what": f"It is {severity}.",
            "evidence": "1 of 2",
            "remedies": ["Mend it."],
        }
        for n, severity in enumerate(("problem", "warning", "note", "blocker"))
    ]
    world.run.write(RunChecked(verdict="go_with_warnings", findings=tuple(found)))
    world.supervisor.tick()
    assert world.messages[-2:] == ["It is problem. (1 of 2) Mend it.", "It is warning. (1 of 2) Mend it."]


def test_a_run_that_learned_nothing_is_diagnosed_when_it_is_over(world: SupervisedJob) -> None:
    world.start()
    config = build_config({"data": {"task": "largest"}})
    world.run.directory.config.write_text(dump_config(config))
    log = MetricLog(world.run.directory.metrics)
    for step in range(1, 7):
        log.append(StepReport(step=step, metrics={"reward": 0.0, "frac_reward_zero_std": 1.0, "updates": 0.0}))
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED
    assert [each for each in world.messages if "The weights were never updated" in each] != []
    assert world.messages[-1] == "The job has successfully completed"


def test_a_run_that_cannot_be_diagnosed_succeeds_all_the_same(world: SupervisedJob) -> None:
    world.start()
    world.run.steps(1, 2)
    world.run.directory.config.write_text("{")
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert (world.state, world.messages[-1]) == (JobState.SUCCEEDED, "The job has successfully completed")


def test_another_supervisor_goes_on_where_the_first_one_was(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    world.run.steps(1, 3)
    world.supervisor.tick()
    world.run.steps(4, 5)
    second = world.make("second")
    second.tick()
    assert world.told_steps == [1, 2, 3]
    clock.advance(LEASE_S + 1)
    second.tick()
    assert world.told_steps == [1, 2, 3, 4, 5]
    world.run.steps(6, 6)
    world.supervisor.tick()  # the first one comes back, and leaves the job alone
    assert world.told_steps == [1, 2, 3, 4, 5]
    world.end(RunEnded(status=Status.FINISHED))
    second.tick()
    assert world.state is JobState.SUCCEEDED
    assert world.told_steps == [1, 2, 3, 4, 5, 6]
    assert len(world.processes.started) == 1


def test_a_job_whose_process_died_with_its_supervisor_is_resumed_by_another(
    world: SupervisedJob, clock: ManualClock
) -> None:
    world.start()
    world.run.steps(1, 3)
    world.end()
    clock.advance(LEASE_S + 1)
    second = world.make("second")
    second.tick()
    assert world.processes.started[1][0] == "resume"
    assert world.told_steps == [1, 2, 3]


def test_a_claim_is_renewed_before_it_runs_out(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    second = world.make("second")
    for _ in range(20):
        clock.advance(LEASE_S / 3)
        world.supervisor.tick()
        second.tick()
    assert len(world.processes.started) == 1
    world.run.steps(1, 1)
    world.supervisor.tick()
    assert world.told_steps == [1]


def test_one_job_runs_at_a_time(world: SupervisedJob) -> None:
    world.start()
    other = NewJob(request=dict(world.job.request), training_file=world.job.training_file)
    second = world.parts.jobs.create("local", other)
    world.validator.validate_next()
    world.supervisor.tick()
    assert world.parts.jobs.find("local", second.id).state is JobState.QUEUED
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.parts.jobs.find("local", second.id).state is JobState.RUNNING


def test_a_job_is_promised_the_memory_that_it_has_not_taken_yet(world: SupervisedJob, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "tiny")
    assert world.supervisor.expected_bytes() == 0
    world.start()
    promised = world.supervisor.expected_bytes()
    world.processes.resident = promised // 4
    assert world.supervisor.expected_bytes() == promised - promised // 4
    world.processes.resident = 2 * promised
    assert world.supervisor.expected_bytes() == 0
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    world.processes.resident = 0
    assert world.supervisor.expected_bytes() == 0


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_a_job_whose_progress_cannot_be_read_is_given_up_and_holds_up_no_other(
    world: SupervisedJob, database: Database, clock: ManualClock, http: httpx2.Client, is_taken_over: bool
) -> None:
    if is_taken_over:
        world.start()
    else:
        world.validator.validate_next()
    other = world.parts.jobs.create("local", NewJob(request=world.job.request, training_file=world.job.training_file))
    world.validator.validate_next()
    with database.write() as connection:
        connection.execute(update(JOBS).where(JOBS.c.id == world.job.id).values(progress={"step": "nothing"}))
    clock.advance(LEASE_S + 1)
    second = world.make("second")
    second.tick()
    second.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "server_error")
    assert world.processes.killed == 1
    assert world.parts.jobs.find("local", other.id).state is JobState.RUNNING
    shown = http.get(f"/v1/fine_tuning/jobs/{job.id}").json()
    assert (shown["status"], shown["trained_tokens"]) == ("failed", None)

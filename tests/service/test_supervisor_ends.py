from __future__ import annotations

from contextlib import closing
from unittest.mock import patch

import pytest
from sqlalchemy.exc import OperationalError

from verifine.runs.events import FindingRaised, RunEnded
from verifine.runs.heartbeat import TRAINING
from verifine.runs.status import DISK_FULL, MAX_MINUTES, MAX_STEPS, SOLVED, RunStatus, Status
from verifine.service.jobs.budget import Budget, allow_more
from verifine.service.jobs.claims import LEASE_S, JobClaims
from verifine.service.jobs.job import FAILURES, UNFORESEEN
from verifine.service.jobs.needs import Shortage
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.supervisor.endings import ProcessFault, decide_ending
from verifine.service.supervisor.hang import LEAST_S, STARTING_S
from verifine.service.supervisor.progress import JobProgress, read_progress
from verifine.service.supervisor.supervisor import CANCEL_S, REST_S, Supervisor
from verifine.testing.clock import ManualClock
from verifine.testing.supervised_jobs import ASKED, SupervisedJob
from verifine.wire.api_error import ApiError


def test_a_job_that_crashed_is_resumed_and_no_step_is_told_twice(world: SupervisedJob) -> None:
    world.start()
    world.run.steps(1, 5)
    world.supervisor.tick()
    world.end()
    world.supervisor.tick()
    assert "crashed after step 5 (1 of 3 times): out of memory" in world.messages[-1]
    assert world.processes.started[1] == ["resume", str(world.run.directory.path), "--json"]
    world.run.begin(from_step=3)
    world.run.steps(4, 7)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED
    assert world.told_steps == [1, 2, 3, 4, 5, 6, 7]


def test_a_job_that_always_crashes_at_one_step_fails_with_the_cause(world: SupervisedJob) -> None:
    world.start()
    for _ in range(3):
        world.end()
        world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "crashed"
    assert "out of memory" in job.failure.message
    assert len(world.processes.started) == 3


def test_a_job_that_hangs_is_started_again_and_this_is_told(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    world.run.steps(1, 5)  # of two seconds each
    with closing(world.run.beat(TRAINING, 5)) as heartbeat:
        world.watch(clock, LEAST_S, heartbeat)
        assert world.processes.killed == 0
        world.watch(clock, 1, heartbeat)
        assert world.processes.killed == 1
        world.supervisor.tick()
    assert "hung after step 5 (1 of 3 times): it has been at one step for 301 s" in world.messages[-1]
    assert "a step usually takes 2.0 s" in world.messages[-1]
    assert world.processes.started[1][0] == "resume"


def test_a_job_that_always_hangs_fails_with_the_cause(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    for _ in range(3):
        world.watch(clock, STARTING_S + 1)
        world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "hung")
    assert "no sign of life for 601 s" in job.failure.message


def test_a_job_that_is_to_pause_and_hangs_is_paused(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    world.ask(JobState.PAUSING)
    world.watch(clock, STARTING_S + 1)
    world.supervisor.tick()
    assert world.state is JobState.PAUSED
    assert "no sign of life" in world.messages[-1]


def test_crashes_at_different_steps_are_not_one_cause(world: SupervisedJob) -> None:
    world.start()
    for step in range(1, 6):
        world.run.steps(step, step)
        world.end()
        world.supervisor.tick()
        world.supervisor.tick()
        world.run.begin(from_step=step)
    assert world.state is JobState.RUNNING


def test_a_process_that_dies_before_it_writes_anything_does_not_count_as_how_the_run_ended_before(
    world: SupervisedJob,
) -> None:
    world.start()
    world.ask(JobState.PAUSING)
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    world.ask(JobState.QUEUED)  # that is, it was paused
    for _ in range(4):
        world.supervisor.tick()
        world.end()
    assert world.state is JobState.FAILED


def die_before_the_start(world: SupervisedJob, clock: ManualClock) -> None:
    """The supervisor claims the job, and ends before it has started its process; then there is another one."""
    with patch.object(Supervisor, "_begin"):
        world.supervisor.tick()
    assert world.state is JobState.RUNNING
    clock.advance(LEASE_S + 1)
    world.supervisor = world.make("second")


def test_a_resumed_job_whose_supervisor_dies_before_the_start_is_not_paused_again(
    world: SupervisedJob, clock: ManualClock
) -> None:
    world.start()
    world.end(RunEnded(status=Status.PAUSED, reason=MAX_STEPS))
    world.supervisor.tick()
    world.ask(JobState.QUEUED)
    die_before_the_start(world, clock)
    world.supervisor.tick()
    assert (world.state, len(world.processes.started)) == (JobState.RUNNING, 2)


def test_a_crash_counts_once_though_the_supervisor_dies_before_the_next_start(
    world: SupervisedJob, clock: ManualClock
) -> None:
    world.start()
    world.end()
    with patch.object(JobClaims, "claim_next", return_value=None):
        world.supervisor.tick()
    die_before_the_start(world, clock)
    world.supervisor.tick()
    progress = read_progress(world.parts.jobs.find("local", world.job.id).progress)
    assert (world.state, progress.crashes, len(world.processes.started)) == (JobState.RUNNING, 1, 2)


@pytest.mark.parametrize(("asked", "state"), [("pausing", "paused"), ("cancelling", "cancelled")])
def test_a_job_whose_supervisor_dies_before_the_start_does_what_it_is_asked(
    world: SupervisedJob, clock: ManualClock, asked: str, state: str
) -> None:
    world.validator.validate_next()
    die_before_the_start(world, clock)
    world.ask(JobState(asked))
    world.supervisor.tick()
    assert (world.state, world.processes.started) == (state, [])


@pytest.mark.parametrize(
    ("ended", "state", "code"),
    [
        (RunEnded(status=Status.OUT_OF_TIME), JobState.SUCCEEDED, None),
        (RunEnded(status=Status.NO_PROGRESS), JobState.SUCCEEDED, None),
        (RunEnded(status=Status.NO_SIGNAL, reason=SOLVED), JobState.SUCCEEDED, None),
        (RunEnded(status=Status.NO_SIGNAL), JobState.FAILED, "no_signal"),
        (RunEnded(status=Status.FAILED, reason="grader", error="it broke"), JobState.FAILED, "grader"),
        (RunEnded(status=Status.PAUSED, reason=DISK_FULL), JobState.PAUSED, None),
        (RunEnded(status=Status.PAUSED, reason=MAX_STEPS), JobState.PAUSED, None),
        (RunEnded(status=Status.PAUSED, reason=MAX_MINUTES), JobState.PAUSED, None),
        (RunEnded(status=Status.INTERRUPTED), JobState.CANCELLED, None),
    ],
)
def test_how_a_run_ended_decides_what_becomes_of_its_job(
    world: SupervisedJob, ended: RunEnded, state: JobState, code: str | None
) -> None:
    world.start()
    world.end(ended)
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.state is state
    assert (None if job.failure is None else job.failure.code) == code
    told = ended.reason or (ended.status if ended.status.is_complete else None)
    assert read_progress(job.progress).ending == told


def test_a_run_goes_on_with_the_budget_that_its_job_has_now(world: SupervisedJob) -> None:
    world.start()
    world.end(RunEnded(status=Status.PAUSED, reason=MAX_STEPS))
    world.supervisor.tick()
    paused = world.parts.jobs.find("local", world.job.id)
    for step in (7, 8):
        with pytest.raises(ApiError, match=f"the job is at step {step}; give more"):
            allow_more(paused, None, Budget(max_steps=7), step)
    more = allow_more(paused, MAX_STEPS, Budget(max_steps=7, max_minutes=1.5))
    world.parts.jobs.ask("local", paused.id, {JobState.QUEUED: [JobState.PAUSED]}, ASKED, more)
    world.supervisor.tick()
    assert world.processes.started[1][3:] == ["--max-steps", "7", "--max-minutes", "1.5"]


def test_a_run_that_was_paused_by_a_signal_is_continued(world: SupervisedJob) -> None:
    world.start()
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    assert world.state is JobState.RUNNING
    assert world.processes.started[1][0] == "resume"


def test_a_cancelled_run_is_asked_to_end_and_killed_when_it_does_not(world: SupervisedJob, clock: ManualClock) -> None:
    world.start()
    world.ask(JobState.CANCELLING)
    world.supervisor.tick()
    assert (world.run.directory.requests / "cancel").exists()
    clock.advance(CANCEL_S - 1)
    world.supervisor.tick()
    assert world.processes.killed == 0
    clock.advance(1)
    world.supervisor.tick()
    assert world.processes.killed == 1
    world.supervisor.tick()
    assert world.state is JobState.CANCELLED


def test_a_run_that_has_not_begun_is_cancelled_at_once(world: SupervisedJob) -> None:
    world.validator.validate_next()
    world.supervisor.tick()
    world.ask(JobState.CANCELLING)
    world.supervisor.tick()
    world.supervisor.tick()
    assert (world.processes.killed, world.state) == (1, JobState.CANCELLED)


def test_a_pause_is_asked_for_and_a_resume_continues(world: SupervisedJob) -> None:
    world.start()
    world.ask(JobState.PAUSING)
    world.supervisor.tick()
    assert (world.run.directory.requests / "pause").exists()
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    assert world.state is JobState.PAUSED
    world.supervisor.tick()
    assert len(world.processes.started) == 1
    world.ask(JobState.QUEUED)
    world.supervisor.tick()
    assert world.processes.started[1][0] == "resume"


def test_a_run_that_cannot_be_read_fails_its_job_and_holds_up_no_other(world: SupervisedJob) -> None:
    world.start()
    with world.run.directory.events.open("a") as file:
        file.write("no event\n")
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "run_unreadable")
    assert world.processes.alive == set()


def test_what_no_database_stores_in_the_words_of_a_run_is_told_with_question_marks(world: SupervisedJob) -> None:
    world.start()
    world.run.write(FindingRaised(name="odd", severity="warning", what="half \ud83d"))
    world.supervisor.tick()
    assert world.messages[-1] == "half ?"
    world.end(RunEnded(status=Status.FAILED, reason="grader", error="half \ud83d and NUL \0"))
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.message) == (JobState.FAILED, "half ? and NUL ?")
    assert world.messages[-1] == "The job failed: half ? and NUL ?"


def test_a_job_that_nobody_can_follow_is_given_up_and_holds_up_no_other(world: SupervisedJob) -> None:
    world.start()
    broken, other = (
        world.job,
        world.parts.jobs.create("local", NewJob(request=world.job.request, training_file=world.job.training_file)),
    )
    world.validator.validate_next()
    world.run.directory.events.unlink()
    world.run.directory.events.mkdir()
    for _ in range(FAILURES - 1):
        world.supervisor.tick()
    assert (world.state, world.processes.killed) == (JobState.RUNNING, 0)
    world.supervisor.tick()
    job = world.parts.jobs.find("local", broken.id)
    assert (job.state, job.failure, world.processes.killed) == (JobState.FAILED, UNFORESEEN, 1)
    assert world.parts.jobs.find("local", other.id).state is JobState.RUNNING


def test_a_job_that_nobody_can_start_is_given_up(world: SupervisedJob) -> None:
    world.validator.validate_next()
    world.processes.alive.add(world.folder)  # of which nobody knows: to start another one is an error
    for _ in range(FAILURES):
        world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert (job.state, job.failure) == (JobState.FAILED, UNFORESEEN)


def test_a_failure_that_passes_does_not_end_a_job(world: SupervisedJob) -> None:
    world.start()
    events, aside = world.run.directory.events, world.folder / "aside"
    for _ in range(3):
        events.rename(aside)
        events.mkdir()
        for _ in range(FAILURES - 1):
            world.supervisor.tick()
        events.rmdir()
        aside.rename(events)
        world.supervisor.tick()
    assert (world.state, world.processes.killed) == (JobState.RUNNING, 0)


def test_nothing_is_killed_while_the_database_does_not_answer(world: SupervisedJob) -> None:
    world.start()
    with patch.object(JobClaims, "look", side_effect=OperationalError("SELECT 1", None, OSError("gone"))):
        for _ in range(3 * FAILURES):
            world.supervisor.tick()
    world.supervisor.tick()
    assert (world.state, world.processes.killed) == (JobState.RUNNING, 0)


def test_a_job_for_which_there_is_no_room_waits_and_says_so_once(world: SupervisedJob, clock: ManualClock) -> None:
    world.validator.validate_next()
    world.shortages.append(Shortage(code="insufficient_memory", message="5 of 4 GiB", is_final=False))
    world.watch(clock, 3 * REST_S)
    assert world.state is JobState.QUEUED
    assert [each for each in world.messages if "waits" in each] == ["The job waits: 5 of 4 GiB"]
    assert world.processes.started == []
    world.shortages.clear()
    world.watch(clock, REST_S)
    assert len(world.processes.started) == 1


def test_a_job_for_which_there_is_never_room_fails_with_the_numbers(world: SupervisedJob) -> None:
    world.validator.validate_next()
    world.shortages.append(Shortage(code="insufficient_disk", message="5 of 4 GiB", is_final=True))
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code, job.failure.message) == (JobState.FAILED, "insufficient_disk", "5 of 4 GiB")


def test_a_job_that_is_cancelled_while_it_waits_for_room_is_cancelled(world: SupervisedJob) -> None:
    world.validator.validate_next()
    world.shortages.append(Shortage(code="insufficient_memory", message="5 of 4 GiB", is_final=False))
    world.supervisor.tick()
    world.ask(JobState.CANCELLED)
    world.shortages.clear()
    world.supervisor.tick()
    assert world.state is JobState.CANCELLED
    assert world.processes.started == []


def test_a_pause_that_is_asked_for_while_the_process_starts_is_passed_on_when_the_run_has_begun(
    world: SupervisedJob,
) -> None:
    world.validator.validate_next()
    world.supervisor.tick()
    world.ask(JobState.PAUSING)
    world.supervisor.tick()
    assert world.processes.killed == 0
    world.run.begin()
    world.supervisor.tick()
    assert (world.run.directory.requests / "pause").exists()


def test_a_run_that_ends_before_it_sees_what_was_asked_has_succeeded(world: SupervisedJob) -> None:
    for asked in (JobState.PAUSING, JobState.CANCELLING):
        assert (
            decide_ending(RunStatus(status=Status.FINISHED), asked, JobProgress(), ProcessFault(why="")).to
            is JobState.SUCCEEDED
        )
    world.start()
    world.ask(JobState.PAUSING)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED

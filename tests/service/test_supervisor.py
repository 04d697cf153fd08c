from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from verifine.config import load_config
from verifine.runs.directory import RunDirectory
from verifine.runs.events import CheckpointSaved, RunEnded
from verifine.runs.heartbeat import TRAINING, HeartbeatWriter
from verifine.runs.status import DISK_FULL, MAX_MINUTES, MAX_STEPS, SOLVED, Status
from verifine.service.database import Database
from verifine.service.database.paging import PageQuery
from verifine.service.files import FileStore
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.budget import Budget, allow_more
from verifine.service.jobs.claims import LEASE_S, JobClaims
from verifine.service.jobs.file_question import FileAnswer
from verifine.service.jobs.job import Job, JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.jobs.validation import JobValidator
from verifine.service.supervisor.hang import LEAST_S, STARTING_S
from verifine.service.supervisor.progress import read_progress
from verifine.service.supervisor.supervisor import CANCEL_S, Supervisor
from verifine.testing.clock import ManualClock
from verifine.testing.job_runs import FakeProcesses, FakeRun

ASKED = JobNews(message="asked")
METHOD = {
    "type": "reinforcement",
    "reinforcement": {
        "grader": {
            "type": "string_check",
            "name": "exact",
            "input": "{{ sample.output_text }}",
            "reference": "{{ item.answer }}",
            "operation": "eq",
        },
        "hyperparameters": {},
        "response_format": None,
    },
}


@dataclass(slots=True, kw_only=True)
class World:
    """A service without HTTP, a job in it, and its run."""

    parts: ServiceParts
    job: Job
    run: FakeRun
    folder: Path
    processes: FakeProcesses
    make: Callable[[str], Supervisor]
    supervisor: Supervisor
    validator: JobValidator

    @property
    def state(self) -> JobState:
        return self.parts.jobs.find("local", self.job.id).state

    @property
    def messages(self) -> list[str]:
        page = self.parts.jobs.list_events("local", self.job.id, PageQuery(limit=100, is_ascending=True))
        return [event.message for event in page.items]

    @property
    def told_steps(self) -> list[int]:
        page = self.parts.jobs.list_events("local", self.job.id, PageQuery(limit=100, is_ascending=True))
        return [int(str(event.data["step"])) for event in page.items if event.data is not None and "step" in event.data]

    def end(self, event: RunEnded | None = None) -> None:
        """The process ends; None: it was killed."""
        if event is not None:
            self.run.write(event)
        self.processes.alive.clear()

    def ask(self, to: JobState) -> None:
        self.parts.jobs.ask("local", self.job.id, {to: list(JobState)}, ASKED)


@pytest.fixture
def world(parts: ServiceParts, database: Database, clock: ManualClock, tmp_path: Path) -> World:
    files: FileStore = parts.files
    draft = files.begin(1000)
    draft.write(b"{}")
    file = files.add("local", draft, filename="train.jsonl", purpose="fine-tune")
    request = {"model": "tiny", "training_file": file.id, "method": METHOD, "seed": 1}
    job = parts.jobs.create("local", NewJob(request=request, training_file=file.id))  # type: ignore[arg-type]
    processes, folder = FakeProcesses(), tmp_path / "jobs"
    validator = JobValidator(parts.jobs, files, parts.models, folder, lambda _: FileAnswer(rows=80))

    def make(name: str) -> Supervisor:
        return Supervisor(
            claims=JobClaims(database, name, clock),
            processes=processes,
            folder=folder,
            is_gone=lambda _: False,
            now=clock,
        )

    run = FakeRun(directory=RunDirectory(path=folder / job.id / "run"))
    return World(
        parts=parts,
        job=job,
        run=run,
        folder=folder / job.id,
        processes=processes,
        make=make,
        supervisor=make("first"),
        validator=validator,
    )


def start(world: World) -> None:
    world.validator.validate_next()
    world.supervisor.tick()
    assert world.state is JobState.RUNNING
    world.run.begin()


def watch(world: World, clock: ManualClock, seconds: float, heartbeat: HeartbeatWriter | None = None) -> None:
    """Lets time pass, in which the supervisor looks often enough to keep its claim."""
    end = clock.time + seconds
    world.supervisor.tick()
    while clock.time < end:
        clock.advance(min(LEASE_S / 3, end - clock.time))
        if heartbeat is not None:
            heartbeat.write()
        world.supervisor.tick()


def test_a_job_is_validated_started_followed_and_ended(world: World) -> None:
    start(world)
    config = world.folder / "config.yaml"
    assert world.processes.started == [["train", str(config), "--json"]]
    assert load_config(config).run.directory == world.run.directory.path
    world.run.steps(1, 2)
    world.supervisor.tick()
    world.run.steps(3, 3)
    world.run.write(CheckpointSaved(step=3))
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED
    assert world.messages[3:] == [
        "Fine-tuning job started",
        "Step 1/10, train mean reward=0.1",
        "Step 2/10, train mean reward=0.2",
        "Checkpoint created at step 3",
        "Step 3/10, train mean reward=0.3",
        "The job has successfully completed",
    ]
    world.supervisor.tick()
    assert len(world.processes.started) == 1


def test_the_numbers_of_a_step_have_openai_s_names(world: World) -> None:
    start(world)
    world.run.steps(1, 1)
    world.supervisor.tick()
    [event] = [
        each for each in world.parts.jobs.list_events("local", world.job.id, PageQuery(limit=9)).items if each.data
    ]
    assert event.type == "metrics"
    assert event.data == {
        "step": 1,
        "total_steps": 10,
        "scores": {"train_reward_mean": 0.1},
        "timing": {"step": {"full_iteration": 2.0}},
        "train_mean_reward": 0.1,
        "completion_tokens_mean": None,
        "verifine": {"reward": 0.1, "step_time": 2.0},
    }


def test_a_job_that_crashed_is_resumed_and_no_step_is_told_twice(world: World) -> None:
    start(world)
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


def test_a_job_that_always_crashes_at_one_step_fails_with_the_cause(world: World) -> None:
    start(world)
    for _ in range(3):
        world.end()
        world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "crashed"
    assert "out of memory" in job.failure.message
    assert len(world.processes.started) == 3


def test_a_job_that_hangs_is_started_again_and_this_is_told(world: World, clock: ManualClock) -> None:
    start(world)
    world.run.steps(1, 5)  # of two seconds each
    with closing(world.run.beat(TRAINING, 5)) as heartbeat:
        watch(world, clock, LEAST_S, heartbeat)
        assert world.processes.killed == 0
        watch(world, clock, 1, heartbeat)
        assert world.processes.killed == 1
        world.supervisor.tick()
    assert "hung after step 5 (1 of 3 times): it has been at one step for 301 s" in world.messages[-1]
    assert "a step usually takes 2.0 s" in world.messages[-1]
    assert world.processes.started[1][0] == "resume"


def test_a_job_that_always_hangs_fails_with_the_cause(world: World, clock: ManualClock) -> None:
    start(world)
    for _ in range(3):
        watch(world, clock, STARTING_S + 1)
        world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "hung")
    assert "no sign of life for 601 s" in job.failure.message


def test_a_job_that_is_to_pause_and_hangs_is_paused(world: World, clock: ManualClock) -> None:
    start(world)
    world.ask(JobState.PAUSING)
    watch(world, clock, STARTING_S + 1)
    world.supervisor.tick()
    assert world.state is JobState.PAUSED
    assert "no sign of life" in world.messages[-1]


def test_crashes_at_different_steps_are_not_one_cause(world: World) -> None:
    start(world)
    for step in range(1, 6):
        world.run.steps(step, step)
        world.end()
        world.supervisor.tick()
        world.supervisor.tick()
        world.run.begin(from_step=step)
    assert world.state is JobState.RUNNING


def test_a_process_that_dies_before_it_writes_anything_does_not_count_as_how_the_run_ended_before(world: World) -> None:
    start(world)
    world.ask(JobState.PAUSING)
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    world.ask(JobState.QUEUED)  # that is, it was paused
    for _ in range(4):
        world.supervisor.tick()
        world.end()
    assert world.state is JobState.FAILED


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
    world: World, ended: RunEnded, state: JobState, code: str | None
) -> None:
    start(world)
    world.end(ended)
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.state is state
    assert (None if job.failure is None else job.failure.code) == code
    told = ended.reason or (ended.status if ended.status.is_complete else None)
    assert read_progress(job.progress).ending == told


def test_a_run_goes_on_with_the_budget_that_its_job_has_now(world: World) -> None:
    start(world)
    world.end(RunEnded(status=Status.PAUSED, reason=MAX_STEPS))
    world.supervisor.tick()
    paused = world.parts.jobs.find("local", world.job.id)
    more = allow_more(paused, MAX_STEPS, Budget(max_steps=7, max_minutes=1.5))
    world.parts.jobs.ask("local", paused.id, {JobState.QUEUED: [JobState.PAUSED]}, ASKED, more)
    world.supervisor.tick()
    assert world.processes.started[1][3:] == ["--max-steps", "7", "--max-minutes", "1.5"]


def test_a_run_that_was_paused_by_a_signal_is_continued(world: World) -> None:
    start(world)
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    assert world.state is JobState.RUNNING
    assert world.processes.started[1][0] == "resume"


def test_a_cancelled_run_is_asked_to_end_and_killed_when_it_does_not(world: World, clock: ManualClock) -> None:
    start(world)
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


def test_a_run_that_has_not_begun_is_cancelled_at_once(world: World) -> None:
    world.validator.validate_next()
    world.supervisor.tick()
    world.ask(JobState.CANCELLING)
    world.supervisor.tick()
    world.supervisor.tick()
    assert (world.processes.killed, world.state) == (1, JobState.CANCELLED)


def test_a_pause_is_asked_for_and_a_resume_continues(world: World) -> None:
    start(world)
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


def test_another_supervisor_goes_on_where_the_first_one_was(world: World, clock: ManualClock) -> None:
    start(world)
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


def test_a_job_whose_process_died_with_its_supervisor_is_resumed_by_another(world: World, clock: ManualClock) -> None:
    start(world)
    world.run.steps(1, 3)
    world.end()
    clock.advance(LEASE_S + 1)
    second = world.make("second")
    second.tick()
    assert world.processes.started[1][0] == "resume"
    assert world.told_steps == [1, 2, 3]


def test_a_run_that_cannot_be_read_fails_its_job_and_holds_up_no_other(world: World) -> None:
    start(world)
    with world.run.directory.events.open("a") as file:
        file.write("no event\n")
    world.supervisor.tick()
    job = world.parts.jobs.find("local", world.job.id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "run_unreadable")
    assert world.processes.alive == set()


def test_a_claim_is_renewed_before_it_runs_out(world: World, clock: ManualClock) -> None:
    start(world)
    second = world.make("second")
    for _ in range(20):
        clock.advance(LEASE_S / 3)
        world.supervisor.tick()
        second.tick()
    assert len(world.processes.started) == 1
    world.run.steps(1, 1)
    world.supervisor.tick()
    assert world.told_steps == [1]


def test_one_job_runs_at_a_time(world: World) -> None:
    start(world)
    other = NewJob(request=dict(world.job.request), training_file=world.job.training_file)
    second = world.parts.jobs.create("local", other)
    world.validator.validate_next()
    world.supervisor.tick()
    assert world.parts.jobs.find("local", second.id).state is JobState.QUEUED
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.parts.jobs.find("local", second.id).state is JobState.RUNNING

"""A service without HTTP, and a job in it whose run a test writes by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunEnded
from verifine.runs.heartbeat import HeartbeatWriter
from verifine.runs.status import Status
from verifine.service.database import Database
from verifine.service.database.paging import PageQuery
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.claims import LEASE_S, JobClaims
from verifine.service.jobs.file_question import FileAnswer
from verifine.service.jobs.job import Job, JobNews
from verifine.service.jobs.needs import Shortage
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.jobs.validation import JobValidator
from verifine.service.supervisor.supervisor import Supervisor
from verifine.testing.clock import ManualClock
from verifine.testing.job_runs import FakeProcesses, FakeRun
from verifine.types import Json

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
class SupervisedJob:
    """A job, its run, and the supervisors that work on it."""

    parts: ServiceParts
    job: Job
    run: FakeRun
    folder: Path
    processes: FakeProcesses
    make: Callable[[str], Supervisor]
    supervisor: Supervisor
    validator: JobValidator
    shortages: list[Shortage]
    """The first is what the machine lacks, whatever the job is; empty: nothing."""

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
        return [
            int(str(event.data["step"]))
            for event in page.items
            if event.data is not None and "total_steps" in event.data
        ]

    def end(self, event: RunEnded | None = None) -> None:
        """The process ends; None: it was killed."""
        if event is not None:
            self.run.write(event)
        self.processes.alive.clear()

    def ask(self, to: JobState) -> None:
        self.parts.jobs.ask("local", self.job.id, {to: list(JobState)}, ASKED)

    def add_job(self, **fields: Json) -> Job:
        """Another job of the same file, with these fields of a request. It is looked at from now on."""
        request = {**self.job.request, **fields}
        job = self.parts.jobs.create("local", NewJob(request=request, training_file=self.job.training_file))
        self.look_at(job)
        return job

    def look_at(self, job: Job) -> None:
        """This job, whose run has not begun."""
        self.job, self.folder = job, self.folder.parent / job.id
        self.run = FakeRun(directory=RunDirectory(path=self.folder / "run"))

    def start(self) -> None:
        """Until its process has begun."""
        self.validator.validate_next()
        self.supervisor.tick()
        assert self.state is JobState.RUNNING
        self.run.begin()

    def train_to_the_end(self) -> str:
        """The name of the model that it leaves, with the checkpoint of step 1."""
        self.start()
        self.run.evaluate("step-1", 0.5)
        self.run.checkpoint(1)
        self.run.save_model(2)
        self.end(RunEnded(status=Status.FINISHED))
        self.supervisor.tick()
        name = self.parts.jobs.find("local", self.job.id).fine_tuned_model
        assert name is not None
        return name

    def watch(self, clock: ManualClock, seconds: float, heartbeat: HeartbeatWriter | None = None) -> None:
        """Lets time pass, in which the supervisor looks often enough to keep its claim."""
        end = clock.time + seconds
        self.supervisor.tick()
        while clock.time < end:
            clock.advance(min(LEASE_S / 3, end - clock.time))
            if heartbeat is not None:
                heartbeat.write()
            self.supervisor.tick()


def make_supervised_job(parts: ServiceParts, database: Database, clock: ManualClock, folder: Path) -> SupervisedJob:
    """A job of the local owner, whose files nobody has looked at."""
    files = parts.files
    draft = files.begin(1000)
    draft.write(b"{}")
    file = files.add("local", draft, filename="train.jsonl", purpose="fine-tune")
    request = {"model": "tiny", "training_file": file.id, "method": METHOD, "seed": 1}
    job = parts.jobs.create("local", NewJob(request=request, training_file=file.id))  # type: ignore[arg-type]
    processes = FakeProcesses()
    shortages: list[Shortage] = []
    validator = JobValidator(parts.jobs, files, parts.models, folder, lambda _: FileAnswer(rows=80))

    def make(name: str) -> Supervisor:
        return Supervisor(
            claims=JobClaims(database, name, clock),
            processes=processes,
            files=files,
            folder=folder,
            is_gone=lambda _: False,
            look_for_shortage=lambda *_: shortages[0] if shortages else None,
            now=clock,
        )

    run = FakeRun(directory=RunDirectory(path=folder / job.id / "run"))
    return SupervisedJob(
        parts=parts,
        job=job,
        run=run,
        folder=folder / job.id,
        processes=processes,
        make=make,
        supervisor=make("first"),
        validator=validator,
        shortages=shortages,
    )

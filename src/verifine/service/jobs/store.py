"""Jobs as their owner sees them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import insert, select

from verifine.errors import VerifineError
from verifine.service.database import Database
from verifine.service.database.owners import next_seq
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import JOB_EVENTS, JOB_METADATA, JOBS
from verifine.service.identifiers import new_id
from verifine.service.jobs.changes import StateChange, add_news, change_state
from verifine.service.jobs.job import Job, JobEvent, JobNews
from verifine.service.jobs.states import JobState
from verifine.types import Json


class UnknownJobError(VerifineError):
    """A job that the owner does not have."""


class JobStateError(VerifineError):
    """A change that the state of a job does not allow. `state` is the one that it is in."""

    def __init__(self, message: str, state: JobState) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be made."""

    request: Mapping[str, Json]
    config: str
    state: JobState = JobState.QUEUED
    metadata: Mapping[str, str] = field(default_factory=dict)


class JobStore:
    """The jobs of all owners; each method looks at those of one."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def create(self, owner_id: str, new: NewJob) -> Job:
        at, job_id = int(self._now()), new_id("ftjob-")
        with self._database.write() as connection:
            values = {
                "id": job_id,
                "owner_id": owner_id,
                "seq": next_seq(connection, owner_id),
                "created_at": at,
                "state": new.state,
                "request": dict(new.request),
                "config": new.config,
                "last_event": 0,
                "fence": 0,
            }
            row = connection.execute(insert(JOBS).values(values).returning(JOBS)).mappings().one()
            pairs = [{"job_id": job_id, "name": name, "value": value} for name, value in new.metadata.items()]
            if pairs:
                connection.execute(insert(JOB_METADATA), pairs)
            add_news(connection, job_id, JobNews(message=f"Created fine-tuning job: {job_id}"), at)
        return Job.of(row)

    def find(self, owner_id: str, job_id: str) -> Job:
        """Raises UnknownJobError."""
        with self._database.read() as connection:
            row = connection.execute(rows_of(JOBS, owner_id=owner_id, id=job_id)).mappings().first()
        if row is None:
            raise UnknownJobError(f"there is no job {job_id[:80]!r}")
        return Job.of(row)

    def list(self, owner_id: str, query: PageQuery, metadata: Mapping[str, str] | None = None) -> Page[Job]:
        """The jobs that have all pairs of `metadata`; an empty mapping: those without any; None: all.

        Raises:
            UnknownCursorError: the cursor is no job of this owner.
        """
        scope = rows_of(JOBS, owner_id=owner_id)
        wanted = scope
        pairs = select(JOB_METADATA.c.job_id)
        if metadata is not None and not metadata:
            wanted = wanted.where(JOBS.c.id.not_in(pairs))
        for name, value in (metadata or {}).items():
            has_pair = pairs.where(JOB_METADATA.c.name == name, JOB_METADATA.c.value == value)
            wanted = wanted.where(JOBS.c.id.in_(has_pair))
        with self._database.read() as connection:
            return fetch_page(connection, JOBS, query, scope=scope, wanted=wanted, make=Job.of)

    def list_events(self, owner_id: str, job_id: str, query: PageQuery) -> Page[JobEvent]:
        """Raises UnknownJobError, UnknownCursorError."""
        self.find(owner_id, job_id)
        scope = rows_of(JOB_EVENTS, job_id=job_id)
        with self._database.read() as connection:
            return fetch_page(connection, JOB_EVENTS, query, scope=scope, wanted=scope, make=JobEvent.of)

    def ask(self, owner_id: str, job_id: str, wishes: Mapping[JobState, Collection[JobState]], news: JobNews) -> Job:
        """Changes the state as the owner wishes: to the first key whose states the job is in one of.

        Raises:
            UnknownJobError: there is no such job.
            JobStateError: its state is in none of them.
        """
        self.find(owner_id, job_id)
        at = int(self._now())
        with self._database.write() as connection:
            has_changed = any(
                change_state(connection, job_id, StateChange(to=to, at=at, news=news), expected=expected)
                for to, expected in wishes.items()
            )
        job = self.find(owner_id, job_id)
        if not has_changed:
            raise JobStateError(f"the job is {job.state}", job.state)
        return job

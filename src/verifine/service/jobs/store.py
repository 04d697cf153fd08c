"""Jobs as their owner sees them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, insert, select

from verifine.errors import VerifineError
from verifine.service.access.quota import QuotaError
from verifine.service.database import Database
from verifine.service.database.owners import next_seq
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import IDEMPOTENCY_KEYS, JOB_EVENTS, JOB_METADATA, JOBS
from verifine.service.identifiers import new_id
from verifine.service.jobs.changes import StateChange, add_news, change_state
from verifine.service.jobs.job import Job, JobEvent, JobFailure, JobNews, ResolvedJob
from verifine.service.jobs.states import JobState
from verifine.types import Json


class UnknownJobError(VerifineError):
    """A job that the owner does not have."""


class JobStateError(VerifineError):
    """A change that the state of a job does not allow. `state` is the one that it is in."""

    def __init__(self, message: str, state: JobState) -> None:
        super().__init__(message)
        self.state = state


class ReusedKeyError(VerifineError):
    """An idempotency key that came with another request before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be made."""

    request: Mapping[str, Json]
    training_file: str
    validation_file: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    state: JobState = JobState.VALIDATING


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """What a client sends so that a request that it repeats is done once."""

    key: str
    sha256: str
    """Of the request."""


KEY_LASTS_S = 24 * 3600


class JobStore:
    """The jobs of all owners; each method looks at those of one."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def create(
        self, owner_id: str, new: NewJob, key: IdempotencyKey | None = None, owner_jobs: int | None = None
    ) -> Job:
        """The new job, or the one that was made with this key within KEY_LASTS_S.

        `owner_jobs`: how many the owner may have that have not ended; None: any number.

        Raises:
            ReusedKeyError: that was for another request.
            QuotaError: the owner has so many.
        """
        at, job_id = int(self._now()), new_id("ftjob-")
        with self._database.write() as connection:
            seq = next_seq(connection, owner_id)
            if key is not None:
                before = self._find_by_key(connection, owner_id, key)
                if before is not None:
                    return before
            if owner_jobs is not None:
                _check_quota(connection, owner_id, owner_jobs)
            values = {
                "id": job_id,
                "owner_id": owner_id,
                "seq": seq,
                "created_at": at,
                "state": new.state,
                "request": dict(new.request),
                "config": new.config,
                "metadata": dict(new.metadata),
                "training_file": new.training_file,
                "validation_file": new.validation_file,
                "last_event": 0,
                "fence": 0,
            }
            row = connection.execute(insert(JOBS).values(values).returning(JOBS)).mappings().one()
            pairs = [{"job_id": job_id, "name": name, "value": value} for name, value in new.metadata.items()]
            if pairs:
                connection.execute(insert(JOB_METADATA), pairs)
            if key is not None:
                kept = {"owner_id": owner_id, "key": key.key, "sha256": key.sha256, "job_id": job_id, "created_at": at}
                connection.execute(insert(IDEMPOTENCY_KEYS).values(kept))
            add_news(connection, job_id, JobNews(message=f"Created fine-tuning job: {job_id}"), at)
            if new.state is JobState.VALIDATING:
                add_news(connection, job_id, JobNews(message=f"Validating training file: {new.training_file}"), at)
        return Job.of(row)

    def _find_by_key(self, connection: Connection, owner_id: str, key: IdempotencyKey) -> Job | None:
        keys = IDEMPOTENCY_KEYS.c
        connection.execute(
            delete(IDEMPOTENCY_KEYS).where(keys.owner_id == owner_id, keys.created_at <= self._now() - KEY_LASTS_S)
        )
        used = select(IDEMPOTENCY_KEYS).where(keys.owner_id == owner_id, keys.key == key.key)
        found = connection.execute(used).mappings().first()
        if found is None:
            return None
        if found["sha256"] != key.sha256:
            raise ReusedKeyError("the Idempotency-Key was sent with another request before; take a new one")
        return Job.of(connection.execute(rows_of(JOBS, id=found["job_id"])).mappings().one())

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

    def list_events_after(self, job: Job, seq: int, limit: int) -> Sequence[JobEvent]:
        """The next events of a job, oldest first."""
        later = rows_of(JOB_EVENTS, job_id=job.id).where(JOB_EVENTS.c.seq > seq).order_by(JOB_EVENTS.c.seq).limit(limit)
        with self._database.read() as connection:
            return [JobEvent.of(row) for row in connection.execute(later).mappings()]

    def ask(
        self,
        owner_id: str,
        job_id: str,
        wishes: Mapping[JobState, Collection[JobState]],
        news: JobNews | Mapping[JobState, JobNews],
        resolved: ResolvedJob | None = None,
    ) -> Job:
        """Changes the state as the owner wishes: to the first key whose states the job is in one of.

        `news`: of whichever change, or of each; `resolved` is what the job is to do from then on; None: as before.

        Raises:
            UnknownJobError: there is no such job.
            JobStateError: its state is in none of them.
        """
        self.find(owner_id, job_id)
        at = int(self._now())
        with self._database.write() as connection:
            has_changed = any(
                change_state(
                    connection,
                    job_id,
                    StateChange(to=to, at=at, news=news if isinstance(news, JobNews) else news[to], resolved=resolved),
                    expected=expected,
                )
                for to, expected in wishes.items()
            )
        job = self.find(owner_id, job_id)
        if not has_changed:
            raise JobStateError(f"the job is {job.state}", job.state)
        return job

    def count_by_state(self) -> Mapping[JobState, int]:
        """The jobs of all owners; a state without any is left out."""
        counted = select(JOBS.c.state, func.count()).group_by(JOBS.c.state)
        with self._database.read() as connection:
            return {JobState(state): count for state, count in connection.execute(counted)}

    def oldest_waiting(self) -> int | None:
        """When the oldest job was made that waits for its turn; None: none waits."""
        oldest = select(func.min(JOBS.c.created_at)).where(JOBS.c.state == JobState.QUEUED)
        with self._database.read() as connection:
            found: int | None = connection.execute(oldest).scalar()
        return found

    def next_to_validate(self) -> Job | None:
        """The oldest job with files that nobody has looked at; None: there is none."""
        waiting = rows_of(JOBS, state=JobState.VALIDATING).order_by(JOBS.c.created_at, JOBS.c.seq).limit(1)
        with self._database.read() as connection:
            row = connection.execute(waiting).mappings().first()
        return None if row is None else Job.of(row)

    def finish_validation(self, job: Job, result: ResolvedJob | JobFailure) -> bool:
        """Whether it was still wanted: it may have been cancelled meanwhile, or validated by another process."""
        at = int(self._now())
        if isinstance(result, JobFailure):
            news = JobNews(message=result.message, level="error")
            change = StateChange(to=JobState.FAILED, at=at, news=news, failure=result)
        else:
            news = JobNews(message="Files validated, moving job to queued state")
            change = StateChange(to=JobState.QUEUED, at=at, news=news, resolved=result)
        with self._database.write() as connection:
            return change_state(connection, job.id, change, expected=[JobState.VALIDATING])


def _check_quota(connection: Connection, owner_id: str, most: int) -> None:
    """The caller holds the owner's row."""
    unfinished = [state for state in JobState if not state.is_final]
    counted = select(func.count()).where(JOBS.c.owner_id == owner_id, JOBS.c.state.in_(unfinished))
    count = int(connection.execute(counted).scalar_one())
    if count >= most:
        raise QuotaError(f"{count} of your jobs have not ended, and more are not allowed; wait, or cancel one")

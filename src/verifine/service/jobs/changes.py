"""Changes of a job: from an expected state to another one, with what is told about it, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, insert, update

from verifine.service.database.tables import JOB_EVENTS, JOBS
from verifine.service.identifiers import new_id
from verifine.service.jobs.job import JobFailure, JobNews, ResolvedJob
from verifine.service.jobs.states import CLAIMED, TRANSITIONS, JobState
from verifine.service.whole_text import make_storable
from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """Where a job goes."""

    to: JobState
    at: int
    """Seconds since 1970."""
    news: JobNews | None = None
    failure: JobFailure | None = None
    resolved: ResolvedJob | None = None
    progress: Mapping[str, Json] | None = None
    """None: as before."""

    @property
    def sources(self) -> frozenset[JobState]:
        """The states that it may come from."""
        return frozenset(state for state, targets in TRANSITIONS.items() if self.to in targets)


def change_state(
    connection: Connection,
    job_id: str,
    change: StateChange,
    *where: ColumnElement[bool],
    expected: Collection[JobState] | None = None,
) -> bool:
    """Changes the state if it is as expected; whether it was.

    `where` is what has to hold of the row besides; `expected` None: any state that may lead there.
    """
    sources = change.sources if expected is None else change.sources.intersection(expected)
    values: dict[str, object] = {"state": change.to}
    if change.to not in CLAIMED:
        values |= {"holder": None, "lease_until": None}
    if change.to.is_final:
        values |= {"finished_at": change.at}
    if change.failure is not None:
        values |= {"failure": make_storable(asdict(change.failure))}
    if change.progress is not None:
        values |= {"progress": make_storable(dict(change.progress))}
    if change.resolved is not None:
        values |= {"request": dict(change.resolved.request), "config": change.resolved.config}
    changed = connection.execute(
        update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.in_(sources), *where).values(values)
    )
    if changed.rowcount == 0:
        return False
    if change.news is not None:
        add_news(connection, job_id, change.news, change.at)
    return True


def add_news(connection: Connection, job_id: str, news: JobNews, at: int, *where: ColumnElement[bool]) -> bool:
    """Adds an event if `where` holds of the job; whether it did."""
    counted = update(JOBS).where(JOBS.c.id == job_id, *where).values(last_event=JOBS.c.last_event + 1)
    seq = connection.execute(counted.returning(JOBS.c.last_event)).scalar()
    if seq is None:
        return False
    data: Mapping[str, object] = make_storable(asdict(news))  # a run may tell whatever its grader wrote
    row = {"id": new_id("ftevent-"), "job_id": job_id, "seq": seq, "created_at": at, **data}
    connection.execute(insert(JOB_EVENTS).values(row))
    return True

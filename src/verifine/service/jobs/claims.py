"""Who works on a job: a supervisor claims it for a while, and each of its writes carries the number of the claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, select, update

from verifine.errors import VerifineError
from verifine.service.database import Database
from verifine.service.database.tables import JOBS, OWNERS
from verifine.service.jobs.changes import StateChange, add_news, change_state
from verifine.service.jobs.job import Job, JobNews
from verifine.service.jobs.states import CLAIMED, JobState
from verifine.service.models.results import RunResults, live_steps, write_results
from verifine.service.whole_text import make_storable
from verifine.types import Json

LEASE_S = 30.0
"""How long a claim holds without being renewed."""
RENEW_S = 5.0
"""How often it is renewed."""


class StaleClaimError(VerifineError):
    """A claim that another supervisor has taken over, or that has ended: whoever has it must leave the job alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a job."""

    job: Job
    """As it was when it was claimed."""
    is_takeover: bool
    """Whether another supervisor had begun it, so that its process may still be alive."""

    @property
    def holds(self) -> tuple[ColumnElement[bool], ...]:
        """What has to hold of the job's row while nobody else has claimed it."""
        return (JOBS.c.fence == self.job.fence, JOBS.c.state.in_(CLAIMED))


class JobClaims:
    """The claims of one supervisor."""

    def __init__(self, database: Database, holder: str, now: Callable[[], float]) -> None:
        """`holder`: the name of the supervisor, which no other process ever has."""
        self._database, self._holder, self._now = database, holder, now

    def claim_next(self) -> Claim | None:
        """The job that is next: the oldest one of the owner who has waited longest. None: none is waiting."""
        at = self._now()
        waiting = (JOBS.c.owner_id == OWNERS.c.id, JOBS.c.state == JobState.QUEUED)
        next_owner = select(OWNERS.c.id).where(exists().where(*waiting)).order_by(OWNERS.c.served_at).limit(1)
        with self._database.write() as connection:
            owner_id = connection.execute(next_owner).scalar()
            if owner_id is None:
                return None
            oldest = (
                select(JOBS.c.id)
                .where(JOBS.c.owner_id == owner_id, JOBS.c.state == JobState.QUEUED)
                .order_by(JOBS.c.seq)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            claimed = update(JOBS).where(JOBS.c.id == oldest.scalar_subquery())
            row = connection.execute(claimed.values(state=JobState.RUNNING, **self._lease()).returning(JOBS)).mappings()
            job = row.first()
            if job is None:  # others are claiming what is left
                return None
            connection.execute(update(OWNERS).where(OWNERS.c.id == owner_id).values(served_at=at))
        return Claim(job=Job.of(job), is_takeover=False)

    def take_over(self, is_gone: Callable[[str], bool]) -> list[Claim]:
        """The jobs of supervisors that have let their claims run out, or of which `is_gone` says that they ended."""
        claims = []
        with self._database.read() as connection:
            held = connection.execute(_held()).mappings().all()
        for row in held:
            if row["lease_until"] >= self._now() and not is_gone(row["holder"]):
                continue
            unchanged = (JOBS.c.id == row["id"], JOBS.c.fence == row["fence"], JOBS.c.state.in_(CLAIMED))
            # A lease may have been renewed meanwhile.
            lapsed = (JOBS.c.lease_until == row["lease_until"],)
            with self._database.write() as connection:
                taken = update(JOBS).where(*unchanged, *lapsed).values(**self._lease()).returning(JOBS)
                mine = connection.execute(taken).mappings().first()
            if mine is not None:
                claims.append(Claim(job=Job.of(mine), is_takeover=True))
        return claims

    def look(self, claim: Claim) -> JobState:
        """The state that the job is in now.

        Raises:
            StaleClaimError: the claim has ended.
        """
        with self._database.read() as connection:
            state = connection.execute(select(JOBS.c.state).where(JOBS.c.id == claim.job.id, *claim.holds)).scalar()
        if state is None:
            raise _stale(claim)
        return JobState(state)

    def renew(self, claim: Claim) -> JobState:
        """Holds the job for longer; the state that it is in now, as it may have been asked to pause or cancel.

        Raises:
            StaleClaimError: the claim has ended.
        """
        lease = update(JOBS).where(JOBS.c.id == claim.job.id, *claim.holds)
        with self._database.write() as connection:
            renewed = lease.values(lease_until=self._now() + LEASE_S).returning(JOBS.c.state)
            state = connection.execute(renewed).scalar()
        if state is None:
            raise _stale(claim)
        return JobState(state)

    def tell(
        self,
        claim: Claim,
        *news: JobNews,
        progress: Mapping[str, Json] | None = None,
        results: RunResults | None = None,
    ) -> set[int]:
        """Adds events and results, and keeps how far the run was followed: all or nothing.

        Returns:
            The steps whose checkpoints are to be kept.

        Raises:
            StaleClaimError: the claim has ended.
        """
        job, at = claim.job, int(self._now())
        with self._database.write() as connection:
            _hold(connection, claim)
            for each in news:
                add_news(connection, job.id, each, at)
            if progress is not None:
                connection.execute(
                    update(JOBS).where(JOBS.c.id == job.id).values(progress=make_storable(dict(progress)))
                )
            if results is not None:
                write_results(connection, job, results, at)
            return live_steps(connection, job.id)

    def release(
        self,
        claim: Claim,
        to: JobState,
        news: JobNews | None = None,
        *,
        results: RunResults | None = None,
        **change: Any,
    ) -> None:
        """Ends the claim: the job goes to a state in which nobody holds it.

        Raises:
            StaleClaimError: the claim has ended, or the job is in a state that does not lead there.
        """
        assert to not in CLAIMED, "a claim ends with the state"
        moved = StateChange(to=to, at=int(self._now()), news=news, **change)
        with self._database.write() as connection:
            _hold(connection, claim)
            if results is not None:
                write_results(connection, claim.job, results, moved.at)
            if not change_state(connection, claim.job.id, moved, *claim.holds):
                raise _stale(claim)

    def _lease(self) -> dict[str, Any]:
        return {"holder": self._holder, "lease_until": self._now() + LEASE_S, "fence": JOBS.c.fence + 1}


def _hold(connection: Connection, claim: Claim) -> None:
    """Nobody else changes the job until the transaction ends. Raises StaleClaimError."""
    held = select(JOBS.c.id).where(JOBS.c.id == claim.job.id, *claim.holds).with_for_update()
    if connection.execute(held).first() is None:
        raise _stale(claim)


def _held() -> Select[Any]:
    return select(JOBS).where(JOBS.c.state.in_(CLAIMED)).order_by(JOBS.c.seq)


def _stale(claim: Claim) -> StaleClaimError:
    return StaleClaimError(
        f"{claim.job.id} is no longer held under claim {claim.job.fence}; another supervisor has taken it over"
    )

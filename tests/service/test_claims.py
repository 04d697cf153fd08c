from __future__ import annotations

import pytest

from verifine.service.database import Database
from verifine.service.database.paging import PageQuery
from verifine.service.jobs.claims import LEASE_S, Claim, JobClaims, StaleClaimError
from verifine.service.jobs.job import JobFailure, JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import JobStore, NewJob
from verifine.testing.clock import ManualClock

OWNER, OTHER = "alice", "bob"

NEW = NewJob(request={}, training_file="file-a", state=JobState.QUEUED)
ASKED = JobNews(message="asked")


@pytest.fixture
def store(database: Database, clock: ManualClock) -> JobStore:
    return JobStore(database, clock)


@pytest.fixture
def claims(database: Database, clock: ManualClock) -> JobClaims:
    return JobClaims(database, "first", clock)


@pytest.fixture
def rival(database: Database, clock: ManualClock) -> JobClaims:
    return JobClaims(database, "second", clock)


def claim(claims: JobClaims) -> Claim:
    claimed = claims.claim_next()
    assert claimed is not None
    return claimed


def is_alive(_: str) -> bool:
    return False


def test_a_job_is_claimed_once(store: JobStore, claims: JobClaims, rival: JobClaims) -> None:
    job = store.create(OWNER, NEW)
    claimed = claim(claims)
    assert (claimed.job.id, claimed.job.fence, claimed.is_takeover) == (job.id, 1, False)
    assert rival.claim_next() is None
    assert store.find(OWNER, job.id).state is JobState.RUNNING


def test_owners_take_turns_and_each_is_served_in_order(store: JobStore, claims: JobClaims, clock: ManualClock) -> None:
    alices = [store.create(OWNER, NEW).id for _ in range(3)]
    bobs = [store.create(OTHER, NEW).id for _ in range(2)]
    order = []
    for _ in range(5):
        clock.advance(1)
        order.append(claim(claims).job.id)
    assert [job for job in order if job in alices] == alices
    assert [job for job in order if job in bobs] == bobs
    assert {order[0] in alices, order[1] in alices} == {True, False}
    assert {order[2] in alices, order[3] in alices} == {True, False}


def test_a_claim_that_is_renewed_is_not_taken_over(
    store: JobStore, claims: JobClaims, rival: JobClaims, clock: ManualClock
) -> None:
    store.create(OWNER, NEW)
    claimed = claim(claims)
    clock.advance(LEASE_S)
    assert claims.renew(claimed) is JobState.RUNNING
    clock.advance(LEASE_S)
    assert rival.take_over(is_alive) == []


def test_a_claim_that_has_run_out_is_taken_over_and_the_first_holder_can_write_nothing(
    store: JobStore, claims: JobClaims, rival: JobClaims, clock: ManualClock
) -> None:
    job = store.create(OWNER, NEW)
    stale = claim(claims)
    clock.advance(LEASE_S + 0.1)
    [taken] = rival.take_over(is_alive)
    assert taken.is_takeover
    assert taken.job.fence == stale.job.fence + 1
    with pytest.raises(StaleClaimError):
        claims.renew(stale)
    with pytest.raises(StaleClaimError):
        claims.tell(stale, ASKED)
    with pytest.raises(StaleClaimError):
        claims.release(stale, JobState.SUCCEEDED)
    rival.tell(taken, ASKED)
    rival.release(taken, JobState.SUCCEEDED)
    assert store.find(OWNER, job.id).state is JobState.SUCCEEDED


def test_a_supervisor_that_has_ended_is_not_waited_for(store: JobStore, claims: JobClaims, rival: JobClaims) -> None:
    store.create(OWNER, NEW)
    claim(claims)
    assert rival.take_over(lambda holder: holder == "other") == []
    assert len(rival.take_over(lambda holder: holder == "first")) == 1


def test_only_one_takes_a_job_over(store: JobStore, claims: JobClaims, database: Database, clock: ManualClock) -> None:
    store.create(OWNER, NEW)
    claim(claims)
    clock.advance(LEASE_S + 1)
    taken = [JobClaims(database, name, clock).take_over(is_alive) for name in ("second", "third")]
    assert [len(each) for each in taken] == [1, 0]


def test_the_holder_learns_what_the_owner_asked_for(store: JobStore, claims: JobClaims) -> None:
    job = store.create(OWNER, NEW)
    claimed = claim(claims)
    store.ask(OWNER, job.id, {JobState.PAUSING: [JobState.RUNNING]}, ASKED)
    assert claims.renew(claimed) is JobState.PAUSING
    store.ask(OWNER, job.id, {JobState.CANCELLING: [JobState.RUNNING, JobState.PAUSING]}, ASKED)
    assert claims.renew(claimed) is JobState.CANCELLING
    claims.release(claimed, JobState.CANCELLED)
    assert store.find(OWNER, job.id).state is JobState.CANCELLED


def test_a_job_that_was_released_into_the_queue_is_claimed_again(
    store: JobStore, claims: JobClaims, rival: JobClaims
) -> None:
    store.create(OWNER, NEW)
    first = claim(claims)
    claims.release(first, JobState.QUEUED, JobNews(message="it crashed", level="warn"))
    second = claim(rival)
    assert second.job.fence == first.job.fence + 1
    with pytest.raises(StaleClaimError):
        claims.tell(first, ASKED)


def test_a_failure_is_kept_with_its_cause(store: JobStore, claims: JobClaims) -> None:
    job = store.create(OWNER, NEW)
    failure = JobFailure(code="no_signal", message="every answer scored the same")
    claims.release(claim(claims), JobState.FAILED, JobNews(message="failed", level="error"), failure=failure)
    assert store.find(OWNER, job.id).failure == failure
    newest = store.list_events(OWNER, job.id, PageQuery(limit=1)).items[0]
    assert (newest.level, newest.message) == ("error", "failed")


def test_a_release_that_the_state_does_not_allow_changes_nothing(store: JobStore, claims: JobClaims) -> None:
    job = store.create(OWNER, NEW)
    claimed = claim(claims)
    store.ask(OWNER, job.id, {JobState.CANCELLING: [JobState.RUNNING]}, ASKED)
    with pytest.raises(StaleClaimError):
        claims.release(claimed, JobState.PAUSED, ASKED)
    assert store.find(OWNER, job.id).state is JobState.CANCELLING

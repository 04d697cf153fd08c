from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from verifine.service.database import Database
from verifine.service.database.paging import PageQuery, UnknownCursorError
from verifine.service.jobs.job import Job, JobEvent, JobNews
from verifine.service.jobs.states import OPENAI_STATUS, TRANSITIONS, JobState
from verifine.service.jobs.store import JobStateError, JobStore, NewJob, UnknownJobError
from verifine.testing.clock import ManualClock

OWNER, OTHER = "alice", "bob"

CANCELLED = JobNews(message="cancelled")


def new_job(metadata: Mapping[str, str] | None = None) -> NewJob:
    return NewJob(request={"model": "tiny"}, training_file="file-a", state=JobState.QUEUED, metadata=metadata or {})


@pytest.fixture
def store(database: Database, clock: ManualClock) -> JobStore:
    return JobStore(database, clock)


def all_ids(store: JobStore, limit: int) -> Iterator[str]:
    after = None
    while True:
        page = store.list(OWNER, PageQuery(limit=limit, after=after))
        yield from (job.id for job in page.items)
        if not page.has_more:
            return
        after = page.items[-1].id


def test_every_state_but_the_first_can_be_reached_and_final_ones_are_left_by_nothing() -> None:
    targets = frozenset[JobState]().union(*TRANSITIONS.values())
    assert set(JobState) - targets == {JobState.VALIDATING}
    final = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    assert {state for state in JobState if state.is_final} == final
    assert set(OPENAI_STATUS) == set(TRANSITIONS) == set(JobState)


def test_a_job_is_found_as_it_was_made(store: JobStore, clock: ManualClock) -> None:
    job = store.create(OWNER, new_job())
    assert store.find(OWNER, job.id) == job
    assert job.request == {"model": "tiny"}
    assert job.state is JobState.QUEUED
    assert job.created_at == int(clock.time)
    assert job.id.startswith("ftjob-")


def test_the_job_of_another_owner_does_not_exist(store: JobStore) -> None:
    job = store.create(OWNER, new_job())
    with pytest.raises(UnknownJobError):
        store.find(OTHER, job.id)
    with pytest.raises(UnknownJobError):
        store.list_events(OTHER, job.id, PageQuery(limit=1))
    with pytest.raises(UnknownJobError):
        store.ask(OTHER, job.id, {JobState.CANCELLED: [JobState.QUEUED]}, CANCELLED)
    assert store.list(OTHER, PageQuery(limit=10)).items == ()
    with pytest.raises(UnknownCursorError):
        store.list(OTHER, PageQuery(limit=10, after=job.id))


def test_pages_give_every_job_once_with_the_newest_first(store: JobStore) -> None:
    made = [store.create(OWNER, new_job()).id for _ in range(7)]
    for limit in (1, 3, 7, 20):
        assert list(all_ids(store, limit)) == made[::-1]
    oldest = store.list(OWNER, PageQuery(limit=2, is_ascending=True))
    assert [job.id for job in oldest.items] == made[:2]
    assert oldest.has_more


def test_jobs_that_are_made_while_pages_are_read_disturb_none(store: JobStore) -> None:
    made = [store.create(OWNER, new_job()).id for _ in range(5)]
    seen = []
    for job_id in all_ids(store, limit=1):
        seen.append(job_id)
        store.create(OWNER, new_job())
    assert seen == made[::-1]


def test_a_list_in_which_rows_are_added_by_many_has_gaps_for_no_reader(store: JobStore) -> None:
    """A reader that goes forward misses nothing: what becomes visible later has a higher number."""
    threads = [threading.Thread(target=lambda: [store.create(OWNER, new_job()) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen: list[Job] = []
    while any(thread.is_alive() for thread in threads) or len(seen) < 40:
        after = seen[-1].id if seen else None
        seen += store.list(OWNER, PageQuery(limit=3, after=after, is_ascending=True)).items
    for thread in threads:
        thread.join()
    assert [job.seq for job in seen] == list(range(1, 41))


def test_jobs_are_found_by_metadata_whatever_it_holds(store: JobStore) -> None:
    plain = store.create(OWNER, new_job())
    red = store.create(OWNER, new_job({"team": "red", 'a"b.$[0]': "'; --"}))
    store.create(OWNER, new_job({"team": "blue"}))

    def ids(metadata: Mapping[str, str]) -> list[str]:
        return [job.id for job in store.list(OWNER, PageQuery(limit=10), metadata).items]

    assert ids({"team": "red"}) == [red.id]
    assert ids({'a"b.$[0]': "'; --", "team": "red"}) == [red.id]
    assert ids({"team": "red", "other": "x"}) == []
    assert ids({}) == [plain.id]


def test_a_wish_is_granted_only_from_the_states_that_it_is_for(store: JobStore, clock: ManualClock) -> None:
    job = store.create(OWNER, new_job())
    wishes = {JobState.CANCELLED: [JobState.QUEUED], JobState.CANCELLING: [JobState.RUNNING]}
    clock.advance(5)
    cancelled = store.ask(OWNER, job.id, wishes, CANCELLED)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.finished_at == int(clock.time)
    with pytest.raises(JobStateError) as refusal:
        store.ask(OWNER, job.id, wishes, CANCELLED)
    assert refusal.value.state is JobState.CANCELLED


def test_what_the_table_of_states_does_not_allow_is_never_done(store: JobStore) -> None:
    job = store.create(OWNER, new_job())
    with pytest.raises(JobStateError):
        store.ask(OWNER, job.id, {JobState.PAUSED: [JobState.QUEUED]}, CANCELLED)
    assert store.find(OWNER, job.id).state is JobState.QUEUED


def test_events_are_numbered_without_gaps_and_listed_newest_first(store: JobStore) -> None:
    job = store.create(OWNER, new_job())
    store.ask(OWNER, job.id, {JobState.CANCELLED: [JobState.QUEUED]}, CANCELLED)
    events: tuple[JobEvent, ...] = store.list_events(OWNER, job.id, PageQuery(limit=10)).items
    assert [(event.seq, event.message) for event in events] == [
        (2, "cancelled"),
        (1, f"Created fine-tuning job: {job.id}"),
    ]
    older = store.list_events(OWNER, job.id, PageQuery(limit=1, after=events[0].id))
    assert older.items == events[1:]
    other = store.create(OWNER, new_job())
    with pytest.raises(UnknownCursorError):
        store.list_events(OWNER, other.id, PageQuery(limit=1, after=events[0].id))

"""What an owner may have at most, so that others have something too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest

from verifine.service.access.quota import QuotaError
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.store import IdempotencyKey, NewJob
from verifine.service.limits import ServiceLimits
from verifine.testing.service_parts import serve_parts

from .conftest import KEY

ROW = b'{"messages": [{"role": "user", "content": "q"}], "answer": "a"}\n'
GRADER: dict[str, Any] = {
    "type": "string_check",
    "name": "equal",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
METHOD: Any = {"type": "reinforcement", "reinforcement": {"grader": GRADER}}
LIMITS = ServiceLimits(owner_jobs=2, owner_file_bytes=3 * len(ROW), owner_streams=2, streams=3)


@pytest.fixture
def small(parts: ServiceParts) -> Iterator[str]:
    with serve_parts(replace(parts, limits=LIMITS)) as url:
        yield url


@pytest.fixture
def alice(small: str, parts: ServiceParts) -> Iterator[openai.OpenAI]:
    _, made = parts.keys.create("alice", ["read", "run"])
    with openai.OpenAI(base_url=f"{small}/v1", api_key=made.reveal(), max_retries=2) as client:
        yield client


@pytest.fixture
def local(small: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{small}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def upload(client: openai.OpenAI) -> str:
    return client.files.create(file=("a.jsonl", ROW), purpose="fine-tune").id


def test_the_files_of_an_owner_have_so_many_bytes_at_most(alice: openai.OpenAI, local: openai.OpenAI) -> None:
    files = [upload(alice) for _ in range(3)]
    with pytest.raises(openai.RateLimitError) as refusal:
        upload(alice)
    assert refusal.value.code == "insufficient_quota"
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert len(alice.files.list().data) == 3
    upload(local)
    alice.files.delete(files[0])
    upload(alice)


def test_an_owner_has_so_many_unfinished_jobs_at_most(alice: openai.OpenAI, local: openai.OpenAI) -> None:
    file_id = upload(alice)
    jobs = [alice.fine_tuning.jobs.create(model="tiny", training_file=file_id, method=METHOD) for _ in range(2)]
    with pytest.raises(openai.RateLimitError, match="have not ended"):
        alice.fine_tuning.jobs.create(model="tiny", training_file=file_id, method=METHOD)
    local.fine_tuning.jobs.create(model="tiny", training_file=upload(local), method=METHOD)
    alice.fine_tuning.jobs.cancel(jobs[0].id)
    alice.fine_tuning.jobs.create(model="tiny", training_file=file_id, method=METHOD)


def test_a_job_that_is_asked_for_again_is_no_second_one(parts: ServiceParts) -> None:
    new, key = NewJob(request={}, training_file="file-1"), IdempotencyKey(key="a", sha256="b")
    made = [parts.jobs.create("alice", new, key, owner_jobs=1).id for _ in range(2)]
    assert made[0] == made[1]
    with pytest.raises(QuotaError):
        parts.jobs.create("alice", new, owner_jobs=1)


def test_no_quota_is_overrun_by_asking_many_times_at_once(parts: ServiceParts) -> None:
    made: list[str] = []

    def create() -> None:
        try:
            made.append(parts.jobs.create("alice", NewJob(request={}, training_file="file-1"), owner_jobs=3).id)
        except QuotaError:
            return

    threads = [threading.Thread(target=create) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(made)) == 3


def test_an_owner_follows_with_so_many_clients_at_most(small: str, parts: ServiceParts) -> None:
    job = {owner: parts.jobs.create(owner, NewJob(request={}, training_file="f")).id for owner in ("alice", "bob")}
    keys = {owner: parts.keys.create(owner, ["read"])[1].reveal() for owner in job}
    readers: list[Iterator[bytes]] = []

    def follow(opened: ExitStack, owner: str) -> int:
        headers = {"authorization": f"Bearer {keys[owner]}"}
        http = opened.enter_context(httpx2.Client(base_url=small, headers=headers, timeout=60))
        answer = opened.enter_context(http.stream("GET", f"/api/jobs/{job[owner]}/stream"))
        if answer.status_code == 200:
            readers.append(answer.iter_bytes())  # the stream lasts as long as what reads it
            next(readers[-1])
        return answer.status_code

    with ExitStack() as opened:
        assert [follow(opened, "alice") for _ in range(3)] == [200, 200, 429]
        assert [follow(opened, "bob") for _ in range(2)] == [200, 429]

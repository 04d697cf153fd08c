"""Questions that take a process wait in the event loop, a few at most, and keep nobody else from an answer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import httpx2
import openai
import pytest

from verifine.service.http.app import ServiceParts
from verifine.service.http.graders import AT_ONCE
from verifine.service.turns import MOST_WAITING, Turns
from verifine.testing.service_parts import serve_parts
from verifine.wire.api_error import ApiError

from .conftest import KEY

GRADER = {"type": "string_check", "name": "equal", "input": "a", "reference": "a", "operation": "eq"}
HEADERS = {"authorization": f"Bearer {KEY}"}


@dataclass(frozen=True, slots=True)
class Held:
    """Work that goes on until it may end."""

    begun: list[None] = field(default_factory=list)
    may_end: threading.Event = field(default_factory=threading.Event)

    def work(self, *_: Any) -> Any:
        self.begun.append(None)
        assert self.may_end.wait(60)
        raise RuntimeError

    @contextmanager
    def open(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.may_end.set()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.01)


def in_one_thread(test: Coroutine[Any, Any, None]) -> None:
    """With so few threads for blocking work that one that waits is seen."""

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        await asyncio.wait_for(test, 60)

    asyncio.run(run())


def test_those_who_wait_hold_no_thread_and_too_many_are_sent_away() -> None:
    async def test() -> None:
        turns, held = Turns(1, lambda: False), Held()
        with held.open():
            asked = [asyncio.create_task(turns.take(held.work)) for _ in range(1 + MOST_WAITING)]
            await until(lambda: len(held.begun) == 1)
            assert await asyncio.to_thread(lambda: "another thread") == "another thread"
            with pytest.raises(ApiError) as refused:
                await turns.take(held.work)
        assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "10")
        assert all(isinstance(each, RuntimeError) for each in await asyncio.gather(*asked, return_exceptions=True))
        assert await turns.take(lambda: 3) == 3

    in_one_thread(test())


def test_a_turn_lasts_until_its_work_ends_though_nobody_waits_for_it() -> None:
    async def test() -> None:
        turns, held, second = Turns(1, lambda: False), Held(), Held()
        second.may_end.set()
        with held.open():
            gone = asyncio.create_task(turns.take(held.work))
            await until(lambda: len(held.begun) == 1)
            waiting, given_up = (asyncio.create_task(turns.take(second.work)) for _ in range(2))
            await asyncio.sleep(0)
            gone.cancel()
            given_up.cancel()
            await asyncio.wait([gone, given_up])
            assert await asyncio.to_thread(lambda: not second.begun)
        with pytest.raises(RuntimeError):
            await waiting
        assert len(second.begun) == 1
        for _ in range(MOST_WAITING + 2):
            assert await turns.take(lambda: 3) == 3

    in_one_thread(test())


def test_nothing_begins_once_the_service_stops() -> None:
    async def test() -> None:
        is_stopping, held = threading.Event(), Held()
        turns = Turns(1, is_stopping.is_set)
        with held.open():
            first, second = (asyncio.create_task(turns.take(held.work)) for _ in range(2))
            await until(lambda: len(held.begun) == 1)
            is_stopping.set()
        for each in (second, asyncio.create_task(turns.take(held.work))):
            with pytest.raises(ApiError) as refused:
                await each
            assert refused.value.status == 503
        with pytest.raises(RuntimeError):
            await first
        assert len(held.begun) == 1

    in_one_thread(test())


@pytest.mark.parametrize(
    ("address", "at_once"),
    [("/v1/fine_tuning/alpha/graders/validate", AT_ONCE), ("/api/graders/probe", 1), ("/api/resolve", 1)],
)
def test_many_questions_at_once_keep_nobody_from_an_answer(
    parts: ServiceParts, client: openai.OpenAI, address: str, at_once: int
) -> None:
    held = Held()
    file_id = client.files.create(file=("rows.jsonl", b"{}\n"), purpose="fine-tune").id
    method = {"type": "reinforcement", "reinforcement": {"grader": GRADER}}
    asked: dict[str, Any] = {
        "/api/graders/probe": {"grader": GRADER, "file_id": file_id},
        "/api/resolve": {"model": "tiny", "training_file": file_id, "method": method},
    }
    many = 32 + (os.cpu_count() or 1)
    slow = replace(parts, study=held.work, try_grader=held.work, previews=HeldPreviews(held))  # type: ignore[arg-type]
    with (
        serve_parts(slow) as url,
        httpx2.Client(base_url=url, headers=HEADERS, timeout=60) as http,
        ThreadPoolExecutor(many) as clients,
        held.open(),
    ):
        body = asked.get(address, {"grader": GRADER})
        answers = [clients.submit(http.post, address, json=body) for _ in range(many)]
        done = [each.result() for each in islice(as_completed(answers), many - at_once - MOST_WAITING)]
        assert {each.status_code for each in done} == {429}
        assert done[0].headers["retry-after"] == "10"
        assert http.get("/api/jobs/nothing/stream").status_code == 404, "it asks a thread"


class HeldPreviews:
    """Previews that go on until they may end."""

    def __init__(self, held: Held) -> None:
        self.preview = held.work

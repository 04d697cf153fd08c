"""An engine that is full, or fails in the middle of a stream, as clients of OpenAI's API see it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest
from tests.serving.test_engine_thread import StepwiseScheduler

from verifine.rollout.native.cache import Capacity
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.servers import running_server

ASK: Any = [{"role": "user", "content": "Hi"}]


class Held:
    """A server that writes a token only when it is allowed to."""

    def __init__(self, served: ServedModel) -> None:
        self.steps = threading.Semaphore(0)
        self.schedulers: list[StepwiseScheduler] = []

        def make() -> StepwiseScheduler:
            self.schedulers.append(StepwiseScheduler(1, self.steps))
            return self.schedulers[-1]

        capacity = Capacity(rows=1, tokens=256, prompt_tokens=100, own_tokens=100)
        self.served = replace(served, make_scheduler=make, capacity=capacity)

    @contextmanager
    def running(self, limits: ServingLimits) -> Iterator[str]:
        with running_server(self.served, limits=limits) as server:
            try:
                yield f"{server.url}/v1"
            finally:
                self.steps.release(10_000)


def test_more_requests_than_may_wait_are_refused_and_the_others_answered(served: ServedModel) -> None:
    held = Held(served)

    async def burst(url: str) -> tuple[list[Any], list[Any]]:
        async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
            tasks = [
                asyncio.create_task(client.chat.completions.create(model="tiny", messages=ASK, max_tokens=3))
                for _ in range(100)
            ]
            refused: set[Any] = set()
            waiting = set(tasks)
            while len(refused) < 95:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                refused |= done
            held.steps.release(10_000)
            return [task.exception() for task in refused], [await task for task in waiting]

    with held.running(ServingLimits(waiting_requests=4)) as url:
        refused, answered = asyncio.run(burst(url))
    assert (len(refused), len(answered)) == (95, 5), "one was answered and four waited"
    for error in refused:
        assert isinstance(error, openai.RateLimitError)
        assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
        assert int(error.response.headers["retry-after"]) >= 1
    assert {done.usage.completion_tokens for done in answered} == {3}


def test_a_failure_in_the_middle_of_a_stream_is_raised_by_the_client(served: ServedModel) -> None:
    held = Held(served)
    with (
        held.running(ServingLimits()) as url,
        openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="tiny", messages=ASK, max_tokens=9, stream=True)
        assert next(stream).choices[0].delta.role == "assistant"
        held.steps.release(1)
        assert next(stream).choices[0].delta.content
        held.schedulers[0].fails = True
        held.steps.release(1)
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.code == "server_error"
        assert "secret" not in caught.value.message
        held.steps.release(2)
        again = client.chat.completions.create(model="tiny", messages=ASK, max_tokens=2)
        assert again.choices[0].finish_reason == "length"


def test_a_failure_before_the_answer_is_an_internal_error_that_tells_nothing(served: ServedModel) -> None:
    held = Held(served)
    with (
        held.running(ServingLimits()) as url,
        openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client,
    ):
        held.steps.release(1)
        client.chat.completions.create(model="tiny", messages=ASK, max_tokens=1)
        held.schedulers[0].fails = True
        held.steps.release(1)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="tiny", messages=ASK)
        assert (caught.value.code, caught.value.type) == ("server_error", "server_error")
        assert "secret" not in caught.value.message

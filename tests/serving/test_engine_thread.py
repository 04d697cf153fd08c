from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from itertools import islice

import pytest

from verifine.errors import EngineError
from verifine.rollout.scheduler import Request, TokenEvent
from verifine.serving.engine_thread import EngineThread, Places
from verifine.types import FinishReason
from verifine.wire.api_error import ApiError


class StepwiseScheduler:
    """Writes one token of each of its first requests whenever it is allowed a step."""

    def __init__(self, rows: int, steps: threading.Semaphore) -> None:
        self.rows = rows
        self.steps = steps
        self.requests: dict[str, Request] = {}
        self.written: dict[str, int] = {}
        self.cancelled: list[str] = []
        self.fails = False

    @property
    def is_idle(self) -> bool:
        return not self.requests

    def add(self, request: Request) -> None:
        if not request.token_ids:
            raise EngineError("does not fit")
        self.requests[request.id] = request

    def step(self) -> list[TokenEvent]:
        if not self.steps.acquire(timeout=10):
            return []
        if self.fails:
            raise RuntimeError("secret reason")
        events: list[TokenEvent] = []
        for id_ in list(islice(self.requests, self.rows)):
            self.written[id_] = self.written.get(id_, 0) + 1
            is_last = self.written[id_] == self.requests[id_].max_new_tokens
            reason = FinishReason.LENGTH if is_last else None
            events.append(TokenEvent(request_id=id_, sample=0, token_id=5, logprob=0.0, finish_reason=reason))
            if is_last:
                del self.requests[id_]
        return events

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)
        self.requests.pop(request_id, None)


def request(name: str, tokens: int = 3, prompt: tuple[int, ...] = (1,)) -> Request:
    return Request(id=name, token_ids=prompt, keys=(1,), max_new_tokens=tokens, has_ended=lambda _: False)


class Bench:
    """An engine over a stepwise scheduler, with a clock that stands still."""

    def __init__(self, rows: int = 1, waiting: int = 2) -> None:
        self.steps = threading.Semaphore(0)
        self.made: list[StepwiseScheduler] = []
        self.seconds = 0.0

        def make() -> StepwiseScheduler:
            self.made.append(StepwiseScheduler(rows, self.steps))
            return self.made[-1]

        self.places = Places(make_scheduler=make, count=rows)
        self.engine = EngineThread({"m": self.places}, waiting, clock=lambda: self.seconds)

    def allow(self, steps: int) -> None:
        self.steps.release(steps)

    def run(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            self.engine.start()
            try:
                await scene()
            finally:
                self.allow(1000)
                self.engine.close()

        asyncio.run(whole())

    async def read(self, *requests: Request) -> list[str]:
        with self.engine.answer("m", requests) as events:
            return [event.request_id async for event in events]


def test_every_token_comes_and_the_engine_waits_without_working() -> None:
    bench = Bench()

    async def scene() -> None:
        bench.allow(3)
        assert await bench.read(request("a")) == ["a"] * 3
        assert bench.engine.answering == 0

    bench.run(scene)
    assert not bench.engine.is_alive


def test_a_request_that_finds_no_place_waits_and_more_than_may_are_refused() -> None:
    bench = Bench(rows=1, waiting=2)

    async def scene() -> None:
        bench.seconds = 7.0
        tasks = [asyncio.create_task(bench.read(request(name))) for name in "abc"]
        await asyncio.sleep(0)
        assert (bench.engine.waiting, bench.engine.answering) == (2, 1)
        for refused in (bench.engine.refuse_if_full, lambda: bench.engine.answer("m", [request("d")]).__enter__()):
            with pytest.raises(ApiError) as caught:
                refused()
            assert (caught.value.status, caught.value.body.code) == (429, "rate_limit_exceeded")
            assert caught.value.headers["retry-after"] == "1"
        bench.seconds = 12.5
        bench.allow(9)
        await asyncio.gather(*tasks)
        assert bench.engine.waiting == 0
        bench.engine.refuse_if_full()
        with ExitStack() as held:
            for name in "efg":
                held.enter_context(bench.engine.answer("m", [request(name)]))
            with pytest.raises(ApiError) as later:
                bench.engine.refuse_if_full()
            assert later.value.headers["retry-after"] == "6", "answers took 5.5 s"

    bench.run(scene)


def test_leaving_frees_the_place_for_the_one_that_waits() -> None:
    bench = Bench(rows=1)

    async def scene() -> None:
        with bench.engine.answer("m", [request("a", tokens=1000)]) as events:
            waiting = asyncio.create_task(bench.read(request("b")))
            bench.allow(2)
            assert (await anext(events)).request_id == "a"
            assert bench.engine.waiting == 1
        bench.allow(4)
        assert await waiting == ["b"] * 3
        assert bench.made[0].cancelled == ["a"]

    bench.run(scene)


def test_a_cancelled_task_frees_its_place() -> None:
    bench = Bench(rows=1)

    async def scene() -> None:
        task = asyncio.create_task(bench.read(request("a", tokens=1000)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        bench.allow(4)
        assert await bench.read(request("b")) == ["b"] * 3

    bench.run(scene)


def test_an_engine_that_fails_fails_its_requests_and_starts_afresh(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(rows=2)

    async def scene() -> None:
        with bench.engine.answer("m", [request("a"), request("b")]) as events:
            bench.allow(1)
            await anext(events)
            bench.made[0].fails = True
            bench.allow(1)
            with pytest.raises(ApiError) as caught:
                _ = [event async for event in events]
            assert caught.value.status == 500
            assert "secret" not in str(caught.value)
        bench.allow(3)
        assert await bench.read(request("c")) == ["c"] * 3

    bench.run(scene)
    assert len(bench.made) == 2
    assert "secret reason" in caplog.text


def test_a_request_that_does_not_fit_fails_alone() -> None:
    bench = Bench(rows=2)

    async def scene() -> None:
        fits = asyncio.create_task(bench.read(request("a")))
        with pytest.raises(ApiError):
            await bench.read(request("b", prompt=()))
        bench.allow(3)
        assert await fits == ["a"] * 3

    bench.run(scene)


def test_a_model_that_is_removed_ends_its_answers_and_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(rows=1)

    async def scene() -> None:
        with (
            bench.engine.answer("m", [request("a"), request("b")]) as running,
            bench.engine.answer("m", [request("c")]) as waiting,
        ):
            bench.allow(1)
            await anext(running)
            bench.engine.remove_model("m")
            for events in (running, waiting):
                with pytest.raises(ApiError) as ended:
                    _ = [event async for event in events]
                assert (ended.value.status, ended.value.headers.get("x-should-retry")) == (503, None)
        with pytest.raises(ApiError) as late:
            bench.engine.answer("m", [request("d")]).__enter__()
        assert (late.value.status, late.value.body.code) == (404, "model_not_found")
        assert "this server has none" in str(late.value)
        assert (bench.engine.waiting, bench.engine.answering) == (0, 0)
        bench.engine.add_model("m", bench.places)
        bench.allow(4)
        assert await bench.read(request("e")) == ["e"] * 3

    bench.run(scene)
    assert not caplog.records


def test_several_models_take_turns() -> None:
    steps = threading.Semaphore(100)
    models = {name: Places(make_scheduler=lambda: StepwiseScheduler(1, steps), count=1) for name in ("one", "two")}

    async def scene() -> Sequence[list[str]]:
        engine = EngineThread(models, 1)
        engine.start()

        async def read(model: str) -> list[str]:
            with engine.answer(model, [request(model)]) as events:
                return [event.request_id async for event in events]

        try:
            return await asyncio.gather(read("one"), read("two"))
        finally:
            engine.close()

    assert asyncio.run(scene()) == [["one"] * 3, ["two"] * 3]


def test_ten_thousand_requests_are_refused_without_a_trace_while_one_is_answered() -> None:
    bench = Bench(rows=1, waiting=64)

    async def flood(count: int) -> list[int]:
        """The statuses of those that were refused."""
        statuses = []
        for number in range(count):
            try:
                bench.engine.refuse_if_full()
                await bench.read(request(f"late {number}"))
            except ApiError as error:
                statuses.append(error.status)
        return statuses

    async def scene() -> None:
        with bench.engine.answer("m", [request("a", tokens=3)]) as events:
            waiting = [asyncio.create_task(bench.read(request(f"early {number}"))) for number in range(64)]
            await asyncio.sleep(0)
            await flood(500)
            gc.collect()
            tracemalloc.start()
            try:
                assert await flood(10_000) == [429] * 10_000
                gc.collect()
                assert tracemalloc.get_traced_memory()[0] < 200_000, "the list of statuses is 85,000 bytes of it"
            finally:
                tracemalloc.stop()
            assert (bench.engine.waiting, bench.engine.answering) == (64, 1)
            bench.allow(3)
            assert [event.request_id async for event in events] == ["a"] * 3
        bench.allow(3 * 64)
        assert await asyncio.gather(*waiting) == [[f"early {number}"] * 3 for number in range(64)]

    bench.run(scene)


@pytest.mark.slow
def test_ten_thousand_requests_may_wait_where_so_many_are_allowed() -> None:
    bench = Bench(rows=100, waiting=10_000)

    async def scene() -> None:
        tasks = [asyncio.create_task(bench.read(request(str(number), tokens=1))) for number in range(10_100)]
        await asyncio.sleep(0)
        assert (bench.engine.waiting, bench.engine.answering) == (10_000, 100)
        with pytest.raises(ApiError, match="10000 requests wait"):
            bench.engine.refuse_if_full()
        bench.allow(101)
        assert await asyncio.gather(*tasks) == [[str(number)] for number in range(10_100)]
        assert (bench.engine.waiting, bench.engine.answering) == (0, 0)

    bench.run(scene)

"""Which models are in memory, with processes and a clock that the tests set."""

from __future__ import annotations

import asyncio

import pytest
from tests.service.played_pool import LIMITS, NEEDED, A, B, C, names, refusal, run_with_pool, settle

from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pool import EndpointPool
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.wire.api_error import ApiError


def test_two_first_calls_at_once_load_a_model_once() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        calls = [asyncio.create_task(pool.load(A)) for _ in range(2)]
        await settle()
        (state,) = pool.states()
        assert (state.state, state.requests) == ("loading", 2)
        processes.started[0].may_load.set()
        await asyncio.gather(*calls)
        (state,) = pool.states()
        assert (state.state, state.requests) == ("loaded", 0)
        await pool.load(A)

    run_with_pool(work, processes)
    assert processes.names == ["a"]


def test_a_model_that_cannot_be_loaded_is_told_to_all_and_tried_again() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        calls = [asyncio.create_task(pool.load(A)) for _ in range(2)]
        await settle()
        processes.started[0].problem = "its weights are missing"
        processes.started[0].may_load.set()
        for call in calls:
            with pytest.raises(ApiError, match="its weights are missing") as caught:
                await call
            assert refusal(caught) == (503, "model_not_loaded")
            assert caught.value.headers == {"x-should-retry": "false"}
        await settle()
        assert names(pool) == []
        assert processes.started[0].has_ended
        again = asyncio.create_task(pool.load(A))
        await settle()
        processes.started[1].may_load.set()
        await again

    run_with_pool(work, processes)
    assert processes.names == ["a", "a"]


def test_a_model_that_loads_for_too_long_is_given_up() -> None:
    async def work(pool: EndpointPool) -> None:
        with pytest.raises(ApiError, match=r"longer than 0\.05 s"):
            await pool.load(A)

    run_with_pool(work, FakeEndpoints(loads_at_once=False))


def test_a_process_that_cannot_be_started_is_told() -> None:
    class NoProcesses(FakeEndpoints):
        async def __call__(self, model: ServableModel) -> None:  # type: ignore[override]
            raise OSError(12, "Cannot allocate memory")

    async def work(pool: EndpointPool) -> None:
        with pytest.raises(ApiError, match="Cannot allocate memory"):
            await pool.load(A)

    run_with_pool(work, NoProcesses())


def test_a_process_that_ends_is_started_again_by_the_next_call() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        processes.started[0].crash("it was killed")
        await settle()
        assert names(pool) == []
        await pool.load(A)

    run_with_pool(work, processes)
    assert processes.names == ["a", "a"]


def test_only_models_that_nobody_asks_are_unloaded_after_a_time() -> None:
    processes, clock = FakeEndpoints(), ManualClock()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        clock.advance(30)
        with pool.use(B) as b:
            await b.ready()
            clock.advance(29.9)
            pool.unload_idle()
            await settle()
            assert names(pool) == ["a", "b"]
            assert [each.idle_seconds for each in pool.states()] == [pytest.approx(59.9), 0]
            clock.advance(0.1)
            pool.unload_idle()
            await settle()
            assert names(pool) == ["b"]
            clock.advance(1000)
            pool.unload_idle()
            await settle()
            assert names(pool) == ["b"]
        clock.advance(59)
        pool.unload_idle()
        await settle()
        assert names(pool) == ["b"]
        clock.advance(1)
        pool.unload_idle()
        await settle()
        assert names(pool) == []

    run_with_pool(work, processes, clock)


@pytest.mark.parametrize("resident_bytes", [0, NEEDED // 2, NEEDED, 2 * NEEDED])
def test_the_least_recently_used_idle_model_makes_room(resident_bytes: int) -> None:
    processes, clock = FakeEndpoints(resident_bytes=resident_bytes), ManualClock()

    async def work(pool: EndpointPool) -> None:
        for model in (A, B, A):
            clock.advance(1)
            await pool.load(model)
        await pool.load(C)
        assert names(pool) == ["a", "c"]

    run_with_pool(work, processes, clock, models_that_fit=2 if resident_bytes <= NEEDED else 4)


def test_a_model_that_is_asked_is_not_unloaded_for_another() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        with pool.use(A) as a:
            await a.ready()
            with pytest.raises(ApiError) as caught, pool.use(B):
                pass
            assert refusal(caught) == (503, "insufficient_memory")
            assert int(caught.value.headers["retry-after"]) > 0
            assert names(pool) == ["a"]
        await pool.load(B)
        assert names(pool) == ["b"]

    run_with_pool(work, processes, models_that_fit=1)


def test_memory_is_counted_from_the_moment_that_loading_begins() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        with pool.use(A), pytest.raises(ApiError, match="GB"), pool.use(B):
            pass
        assert pool.promised_bytes == NEEDED
        await settle()
        processes.started[0].resident_bytes = NEEDED // 2
        assert pool.promised_bytes == NEEDED - NEEDED // 2

    run_with_pool(work, processes, models_that_fit=1)


def test_a_model_begins_to_load_only_when_the_one_before_has_gone() -> None:
    processes = FakeEndpoints(resident_bytes=NEEDED)

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        with pool.use(B) as b:
            assert [(each.model, each.state) for each in pool.states()] == [("b", "loading"), ("a", "unloading")]
            assert not processes.started[0].has_ended
            await b.ready()
            assert processes.started[0].has_ended

    run_with_pool(work, processes, models_that_fit=1)


def test_too_many_that_wait_for_one_model_are_refused() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        with pool.use(A) as endpoint, pool.use(A):
            with pytest.raises(ApiError) as caught, pool.use(A):
                pass
            assert refusal(caught) == (429, "rate_limit_exceeded")
            await settle()
            processes.started[0].may_load.set()
            await endpoint.ready()
            with pool.use(A):
                assert endpoint.users == 3

    run_with_pool(work, processes)


def test_a_model_is_unloaded_when_it_is_told_to_but_not_while_it_is_asked() -> None:
    async def work(pool: EndpointPool) -> None:
        with pool.use(A) as endpoint:
            await endpoint.ready()
            with pytest.raises(ApiError) as caught:
                await pool.unload("a")
            assert refusal(caught) == (409, "model_in_use")
        assert await pool.unload("a")
        assert names(pool) == []
        assert not await pool.unload("a")

    run_with_pool(work, FakeEndpoints())


def test_a_model_whose_callers_have_left_is_loaded_all_the_same_and_can_be_unloaded_meanwhile() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        call = asyncio.create_task(pool.load(A))
        await settle()
        call.cancel()
        await settle()
        (state,) = pool.states()
        assert (state.state, state.requests) == ("loading", 0)
        assert await pool.unload("a")
        assert processes.started[0].has_ended

    run_with_pool(work, processes)


def test_the_end_of_the_service_ends_what_is_loaded_and_what_is_being_loaded() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        for model in (A, B):
            asyncio.create_task(pool.load(model))  # noqa: RUF006 - it is cancelled with the loop
        await settle()
        processes.started[0].may_load.set()
        await settle()
        assert [each.state for each in pool.states()] == ["loaded", "loading"]

    run_with_pool(work, processes)


def test_idle_models_give_way_to_a_job_that_waits_for_memory() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        with pool.use(B) as b:
            await b.ready()
            await asyncio.to_thread(pool.give_way)
            await settle()
            assert names(pool) == ["b"]
        assert processes.started[0].has_ended

    run_with_pool(work, processes)
    EndpointPool(processes, LIMITS, lambda: 0).give_way()  # before a service has begun, there is nothing to do

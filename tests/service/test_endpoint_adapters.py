"""Adapters in the process of their base, with processes and a clock that the tests set."""

from __future__ import annotations

import asyncio

import pytest
from tests.service.played_pool import ADAPTER, NEEDED, A, B, X, Y, names, refusal, run_with_pool, settle

from verifine.service.endpoints.pool import EndpointPool
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.wire.api_error import ApiError


def test_adapters_share_the_process_of_their_base() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        calls = [asyncio.create_task(pool.load(model)) for model in (X, Y)]
        await settle()
        assert [(each.model, each.base, each.state) for each in pool.states()] == [
            ("a", None, "loading"),
            ("x", "a", "loading"),
            ("y", "a", "loading"),
        ]
        processes.started[0].may_load.set()
        await asyncio.gather(*calls)
        assert processes.started[0].adapters == ["x", "y"]
        with pool.use(X) as x, pool.use(A) as a:
            assert await x.ready() is await a.ready() is processes.started[0]

    run_with_pool(work, processes)
    assert processes.names == ["a"]


def test_an_adapter_that_cannot_be_loaded_leaves_its_base() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        processes.started[0].problem = "it has other layers"
        with pytest.raises(ApiError, match="the model x could not be loaded: it has other layers"):
            await pool.load(X)
        await settle()
        assert names(pool) == ["a"]
        processes.started[0].problem = None
        await pool.load(X)
        assert names(pool) == ["a", "x"]

    run_with_pool(work, processes)


def test_an_adapter_whose_base_cannot_be_loaded_is_told_why() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        call = asyncio.create_task(pool.load(X))
        await settle()
        processes.started[0].problem = "its weights are missing"
        processes.started[0].may_load.set()
        with pytest.raises(ApiError, match="its weights are missing"):
            await call
        await settle()
        assert names(pool) == []

    run_with_pool(work, processes)


def test_an_idle_adapter_goes_alone_and_an_idle_base_goes_with_its_adapters() -> None:
    processes, clock = FakeEndpoints(), ManualClock()

    async def work(pool: EndpointPool) -> None:
        await pool.load(X)
        clock.advance(60)
        await pool.load(Y)
        pool.unload_idle()
        await settle()
        assert names(pool) == ["a", "y"]
        assert processes.started[0].adapters == ["y"]
        with pool.use(Y):
            clock.advance(60)
            pool.unload_idle()
            await settle()
            assert names(pool) == ["a", "y"]
        clock.advance(60)
        pool.unload_idle()
        await settle()
        assert names(pool) == []
        assert processes.started[0].has_ended

    run_with_pool(work, processes, clock)


def test_a_process_that_ends_takes_its_adapters_along() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(X)
        processes.started[0].crash("it was killed")
        await settle()
        assert names(pool) == []
        await pool.load(X)

    run_with_pool(work, processes)
    assert processes.names == ["a", "a"]


def test_a_silent_adapter_ends_the_whole_process() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        with pool.use(X) as x:
            await x.ready()
            pool.kill(x)
            await settle()
        assert processes.started[0].has_ended
        assert names(pool) == []

    run_with_pool(work, processes)


def test_an_adapter_is_loaded_only_if_it_fits_and_its_base_is_never_unloaded_for_it() -> None:
    clock = ManualClock()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        clock.advance(1)
        await pool.load(B)
        await pool.load(X)
        assert names(pool) == ["a", "x"]
        with pytest.raises(ApiError) as caught, pool.use(X), pool.use(Y):
            pass
        assert refusal(caught) == (503, "insufficient_memory")
        await pool.load(Y)
        assert names(pool) == ["a", "y"]

    run_with_pool(work, FakeEndpoints(), clock, models_that_fit=2)


def test_nothing_is_loaded_for_an_adapter_that_does_not_fit_beside_its_base() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        with pytest.raises(ApiError) as caught, pool.use(X):
            pass
        assert refusal(caught) == (503, "insufficient_memory")
        assert names(pool) == []

    run_with_pool(work, processes, models_that_fit=1 + 0.9 * ADAPTER / NEEDED)
    assert processes.names == []

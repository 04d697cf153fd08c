"""Processes that answer no more, do not end, or end while others wait for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from tests.service.played_pool import LIMITS, A, B, X, Y, names, refusal, run_with_pool, settle

from verifine.service.endpoints import pool as pool_module
from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.endpoints.pooled_model import PooledModel
from verifine.service.endpoints.proxy import ForwardedAnswer, ForwardedRequest
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoint, FakeEndpoints
from verifine.wire.api_error import ApiError

PATIENT = LIMITS.model_copy(update={"endpoint_load_seconds": 600})


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "END_S", 0)


@pytest.mark.usefixtures("no_patience")
def test_a_process_that_does_not_answer_when_an_adapter_goes_is_ended_and_others_load() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(X)
        processes.started[0].is_silent = True
        going = asyncio.create_task(pool.unload("x"))
        await asyncio.sleep(0)
        await pool.load(B)
        assert await going
        assert processes.started[0].has_ended
        assert names(pool) == ["b"]
        await pool.load(X)

    run_with_pool(work, processes, limits=PATIENT)
    assert processes.names == ["a", "b", "a"]


@pytest.mark.usefixtures("no_patience")
def test_a_process_that_does_not_answer_when_an_adapter_comes_is_ended() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        processes.started[0].is_silent = True
        with pytest.raises(ApiError, match=r"x could not be loaded: it took longer than 0\.05 s"):
            await pool.load(X)
        await settle()
        assert processes.started[0].has_ended
        assert names(pool) == []

    run_with_pool(work, processes)


def test_an_adapter_that_takes_too_long_is_given_up_and_its_base_stays() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        (process,) = processes.started
        process.is_silent = True
        waiting = asyncio.create_task(pool.load(X))
        await settle()
        process.is_silent = False
        with pytest.raises(ApiError, match="longer"):
            await waiting
        await settle()
        assert names(pool) == ["a"]

    run_with_pool(work, processes)


class LastingEndpoint(FakeEndpoint):
    """A process that cannot be ended, as one that waits for a disk."""

    async def end(self, *, at_once: bool = False) -> None:
        await self.ended()


class LastingEndpoints(FakeEndpoints):
    """The first one lasts."""

    async def __call__(self, model: ServableModel) -> FakeEndpoint:
        process = await super().__call__(model)
        if len(self.started) == 1:
            process.__class__ = LastingEndpoint
        return process


@pytest.mark.parametrize("model", [B, X])
def test_what_waits_for_a_process_that_does_not_end_is_told_and_what_is_idle_goes_all_the_same(
    model: ServableModel,
) -> None:
    processes, clock = LastingEndpoints(), ManualClock()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        await pool.load(Y)
        clock.advance(60)
        pool.unload_idle()
        with pytest.raises(ApiError, match=r"has not ended within 0\.05 s"):
            await pool.load(model)
        await settle()
        assert pool.states()[0].state == "unloading"
        assert processes.names == ["a"]
        processes.started[0].crash("the disk has answered")
        await settle()
        await pool.load(model)

    run_with_pool(work, processes, clock)


def test_an_unloading_goes_on_when_its_caller_has_left() -> None:
    processes = LastingEndpoints()

    async def work(pool: EndpointPool) -> None:
        await pool.load(A)
        call = asyncio.create_task(pool.unload("a"))
        await settle()
        call.cancel()
        await settle()
        assert [each.state for each in pool.states()] == ["unloading"]
        processes.started[0].crash("the disk has answered")

    run_with_pool(work, processes)


def test_a_process_is_killed_once_however_many_find_it_silent() -> None:
    async def work(pool: EndpointPool) -> None:
        with pool.use(A) as a:
            await a.ready()
            pool.kill(a)
            pool.kill(a)
            assert [each.state for each in pool.states()] == ["unloading"]
            with pool.use(A) as again:
                await again.ready()
                pool.kill(a)
                assert "loaded" in [each.state for each in pool.states()]

    run_with_pool(work, FakeEndpoints())


def test_those_who_wait_for_an_adapter_whose_base_is_killed_may_try_again() -> None:
    processes = FakeEndpoints()

    async def work(pool: EndpointPool) -> None:
        with pool.use(A) as a:
            await a.ready()
            processes.started[0].is_silent = True
            waiting = asyncio.create_task(pool.load(X))
            await settle()
            pool.kill(a)
            with pytest.raises(ApiError) as caught:
                await waiting
        assert refusal(caught) == (503, "model_not_loaded")
        assert "x-should-retry" not in caught.value.headers

    run_with_pool(work, processes, limits=PATIENT)


def test_a_caller_that_leaves_is_told_from_a_model_that_is_unloaded() -> None:
    processes = FakeEndpoints(loads_at_once=False)

    async def work(pool: EndpointPool) -> None:
        waiting = asyncio.create_task(pool.load(A))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert names(pool) == ["a"]

    run_with_pool(work, processes, limits=PATIENT)


@pytest.fixture
def deaf_socket(tmp_path: Path) -> Iterator[Path]:
    """Of a process that has stopped: connections are taken, and nothing is read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield tmp_path / "s"


async def receive() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@pytest.mark.parametrize("size", [0, 4 << 20])
def test_a_process_that_reads_nothing_is_ended_however_long_the_request_is(deaf_socket: Path, size: int) -> None:
    processes = FakeEndpoints(deaf_socket)
    request = ForwardedRequest(body=bytes(size), is_stream=False, path="/v1/completions", request_id="req_1")

    async def send(_: MutableMapping[str, Any]) -> None:
        raise AssertionError("there is no answer")

    async def work(pool: EndpointPool) -> None:
        answer = ForwardedAnswer(pool, A, request, answer_s=0.05)
        with pytest.raises(ApiError, match="did not answer in time"):
            await answer({"type": "http"}, receive, send)
        await settle()
        assert processes.started[0].has_ended

    run_with_pool(work, processes, limits=PATIENT)


def test_a_stream_that_waits_for_a_model_that_is_unloaded_ends_with_an_error() -> None:
    processes, parts = FakeEndpoints(loads_at_once=False), []
    request = ForwardedRequest(body=b"{}", is_stream=True, path="/v1/completions", request_id="req_1")

    async def work(pool: EndpointPool) -> None:
        begun = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            parts.append(message)
            begun.set()

        answering = asyncio.create_task(ForwardedAnswer(pool, A, request, answer_s=60)({"type": "http"}, receive, send))
        await begun.wait()
        with pool.use(A) as a:
            pool.kill(a)
        await answering

    run_with_pool(work, processes, limits=PATIENT)
    body = b"".join(part.get("body", b"") for part in parts)
    assert b"unloaded before it was loaded" in body
    assert not parts[-1].get("more_body", False)


def test_what_a_model_needs_is_summed_up_while_an_adapter_joins() -> None:
    async def run() -> None:
        loading = asyncio.get_running_loop().create_future()
        base = PooledModel(model=A, own_bytes=1, loading=loading, used_at=0)  # type: ignore[arg-type]

        class Joining(PooledModel):
            """Another adapter joins while this one is counted, as a thread may see it."""

            @property
            def own_bytes(self) -> int:
                base.adapters.setdefault("y", base)
                return 2

            @own_bytes.setter
            def own_bytes(self, _: int) -> None: ...

        base.adapters["x"] = Joining(model=X, own_bytes=2, loading=loading, used_at=0, base=base)  # type: ignore[arg-type]
        assert base.needed_bytes == 3

    asyncio.run(run())

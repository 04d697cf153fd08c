"""A pool of models whose processes, memory and clock a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from verifine.service.endpoints.memory import adapter_bytes, endpoint_bytes
from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.limits import ServiceLimits
from verifine.testing.clock import ManualClock
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.wire.api_error import ApiError

LIMITS = ServiceLimits(endpoint_idle_seconds=60, endpoint_load_seconds=0.05, waiting_requests=2)
NEEDED = endpoint_bytes(1000, LIMITS.endpoint_cache_bytes)
A, B, C = (ServableModel(name=name, source=f"/models/{name}", parameters=1000) for name in "abc")

X, Y = (ServableModel(name=name, source=f"/runs/{name}", parameters=1000, base=A) for name in "xy")
"""Adapters of A."""
ADAPTER = adapter_bytes(1000, LIMITS.endpoint_cache_bytes)


def run_with_pool(
    work: Callable[[EndpointPool], Awaitable[None]],
    processes: FakeEndpoints,
    clock: ManualClock | None = None,
    models_that_fit: float = 10,
    limits: ServiceLimits = LIMITS,
) -> None:
    """The memory is what is left of so many models beside those that have been started."""

    def free() -> int:
        return int(models_that_fit * NEEDED) - sum(each.resident_bytes for each in processes.started)

    async def run() -> None:
        pool = EndpointPool(processes, limits, free, clock or ManualClock())
        async with pool.open():
            await work(pool)
        assert all(each.has_ended for each in processes.started)
        assert pool.states() == []

    asyncio.run(run())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def names(pool: EndpointPool) -> list[str]:
    return [each.model for each in pool.states()]


def refusal(error: pytest.ExceptionInfo[ApiError]) -> tuple[int, str | None]:
    return error.value.status, error.value.body.code

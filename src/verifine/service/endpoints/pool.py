"""The models in memory: loaded by the first call, unloaded when they are idle or others need their memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Literal

from verifine.service.endpoints.memory import IdleEndpoint, choose_unloaded, endpoint_bytes
from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pooled_model import EndpointState, PooledModel
from verifine.service.endpoints.process import EndpointProcess, LoadError, StartEndpoint
from verifine.service.limits import ServiceLimits
from verifine.wire.api_error import conflict, no_memory, too_many_requests

_LOG = logging.getLogger(__name__)

TEND_S = 1.0
"""How often idle models are looked for."""
RETRY_S = 10
"""When a client may ask again that found no memory, or too many that wait."""


class EndpointPool:
    """Everything is called in one event loop, between the beginning and the end of `open`."""

    def __init__(
        self,
        start: StartEndpoint,
        limits: ServiceLimits,
        free_memory: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`free_memory`: bytes that new processes may take."""
        self._start, self._limits, self._now = start, limits, now
        self.free_memory = free_memory
        self._endpoints: dict[str, PooledModel] = {}
        """By the name of the model: those that take requests."""
        self._ending: dict[asyncio.Task[None], PooledModel] = {}
        self._watching: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Unloads idle models while the context lasts, and all at its end."""
        tending = asyncio.create_task(self._tend())
        try:
            yield
        finally:
            tending.cancel()
            for endpoint in list(self._endpoints.values()):
                self._unload(endpoint)
            await _ended(list(self._ending))

    def states(self) -> list[EndpointState]:
        """What is in memory, and what comes and goes. It may be called by any thread."""
        loaded = [
            self._state(each, "loaded" if each.is_loaded else "loading") for each in list(self._endpoints.values())
        ]
        return loaded + [self._state(each, "unloading") for each in list(self._ending.values())]

    @contextmanager
    def use(self, model: ServableModel) -> Iterator[PooledModel]:
        """The endpoint of a model, which stays in memory while the context lasts. It is loaded if it is not there.

        Raises:
            ApiError: there is no memory for it, or too many wait for it.
        """
        endpoint = self._endpoints.get(model.name) or self._begin(model)
        if not endpoint.is_loaded and endpoint.users >= self._limits.waiting_requests:
            raise too_many_requests(endpoint.users, RETRY_S)
        endpoint.users += 1
        try:
            yield endpoint
        finally:
            endpoint.users -= 1
            endpoint.used_at = self._now()

    async def load(self, model: ServableModel) -> None:
        """Loads a model before anybody asks it. Raises ApiError."""
        with self.use(model) as endpoint:
            await endpoint.ready()

    async def unload(self, name: str) -> bool:
        """Whether it was there.

        Raises:
            ApiError: it is being asked.
        """
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return False
        if endpoint.users:
            message = f"the model {name} is being asked; unload it when its {endpoint.users} requests are answered"
            raise conflict(message, code="model_in_use")
        await self._unload(endpoint)
        return True

    async def unload_idle(self) -> None:
        """Unloads the models that nobody has asked for long."""
        long_ago = self._now() - self._limits.endpoint_idle_seconds
        idle = [each for each in self._endpoints.values() if each.is_idle and each.used_at <= long_ago]
        for endpoint in idle:
            self._unload(endpoint)
        await _ended(list(self._ending))

    def kill(self, endpoint: PooledModel) -> None:
        """Ends a process that does not answer any more."""
        self._unload(endpoint, at_once=True)

    def _state(self, endpoint: PooledModel, state: Literal["loading", "loaded", "unloading"]) -> EndpointState:
        return EndpointState(
            model=endpoint.model.name,
            state=state,
            requests=endpoint.users,
            idle_seconds=0.0 if endpoint.users else max(self._now() - endpoint.used_at, 0.0),
            resident_bytes=endpoint.resident_bytes,
            needed_bytes=endpoint.needed_bytes,
        )

    def _begin(self, model: ServableModel) -> PooledModel:
        needed = endpoint_bytes(model.parameters, self._limits.endpoint_cache_bytes)
        for name in self._make_room(model.name, needed):
            self._unload(self._endpoints[name])
        endpoint = PooledModel(
            model=model,
            needed_bytes=needed,
            loading=asyncio.create_task(self._load(model, list(self._ending))),
            used_at=self._now(),
        )
        self._endpoints[model.name] = endpoint
        watching = asyncio.create_task(self._watch(endpoint))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return endpoint

    def _make_room(self, name: str, needed: int) -> list[str]:
        """The models to unload for one that needs so many bytes. Raises ApiError: it cannot have them."""
        free = self.free_memory() + sum(each.resident_bytes for each in self._ending.values())
        free -= sum(each.promised_bytes for each in self._endpoints.values())
        idle = [
            IdleEndpoint(name=each.model.name, used_at=each.used_at, freed_bytes=each.held_bytes)
            for each in self._endpoints.values()
            if each.is_idle
        ]
        chosen = choose_unloaded(needed, free, idle)
        if chosen is None:
            raise no_memory(name, needed, max(free + sum(each.freed_bytes for each in idle), 0), RETRY_S)
        return chosen

    async def _load(self, model: ServableModel, ending: Collection[asyncio.Task[None]]) -> EndpointProcess:
        """Loads a model when those that are `ending` have gone, since their memory is for this one."""
        await _ended(ending)
        endpoint = self._endpoints[model.name]
        try:
            process = endpoint.process = await self._start(model)
        except OSError as error:
            raise LoadError(f"its process could not be started ({error.strerror})") from error
        try:
            async with asyncio.timeout(self._limits.endpoint_load_seconds):
                await process.ready()
        except TimeoutError:
            await process.end(at_once=True)
            raise LoadError(f"it took longer than {self._limits.endpoint_load_seconds:g} s") from None
        except BaseException:
            await process.end(at_once=True)
            raise
        return process

    async def _watch(self, endpoint: PooledModel) -> None:
        """Forgets an endpoint when its process has ended, so that the next call loads the model again."""
        name = endpoint.model.name
        try:
            process = await endpoint.loading
        except LoadError as error:
            why = str(error)
        except asyncio.CancelledError:
            why = "it was unloaded before it was loaded"
        else:
            _LOG.info("the model %s is loaded", name)
            why = await process.ended()
        if self._endpoints.get(name) is endpoint:
            del self._endpoints[name]
            _LOG.warning("the model %s is gone: %s", name, why)

    def _unload(self, endpoint: PooledModel, *, at_once: bool = False) -> asyncio.Task[None]:
        if self._endpoints.get(endpoint.model.name) is endpoint:
            del self._endpoints[endpoint.model.name]
        ending = asyncio.create_task(self._end(endpoint, at_once=at_once))
        self._ending[ending] = endpoint
        ending.add_done_callback(self._ending.pop)
        return ending

    async def _end(self, endpoint: PooledModel, *, at_once: bool) -> None:
        endpoint.loading.cancel()
        with suppress(asyncio.CancelledError, LoadError, OSError):
            process = await endpoint.loading
            await process.end(at_once=at_once)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            await self.unload_idle()


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks)

"""The models in memory: loaded by the first call, unloaded when they are idle or others need their memory."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Literal

from verifine.service.endpoints.memory import IdleEndpoint, adapter_bytes, choose_unloaded, endpoint_bytes, no_memory
from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pooled_model import EndpointState, PooledModel
from verifine.service.endpoints.process import END_S, EndpointProcess, LoadError, StartEndpoint
from verifine.service.limits import ServiceLimits
from verifine.wire.api_error import conflict, too_many_requests

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
        self._loop: asyncio.AbstractEventLoop | None = None
        """None: it is not open."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Unloads idle models while the context lasts, and all at its end."""
        self._loop = asyncio.get_running_loop()
        tending = asyncio.create_task(self._tend())
        try:
            yield
        finally:
            self._loop = None
            tending.cancel()
            for pooled in list(self._endpoints.values()):
                self._unload(pooled)
            await _ended(self._ending)

    def states(self) -> list[EndpointState]:
        """What is in memory, and what comes and goes. It may be called by any thread."""
        loaded = [self._state(each, "loaded" if each.is_loaded else "loading") for each in self._all()]
        return loaded + [self._state(each, "unloading") for each in list(self._ending.values())]

    @property
    def promised_bytes(self) -> int:
        """What the models in memory may still take. It may be asked by any thread."""
        return sum(each.promised_bytes for each in list(self._endpoints.values()))

    @contextmanager
    def use(self, model: ServableModel) -> Iterator[PooledModel]:
        """A model, which stays in memory while the context lasts. It is loaded if it is not there.

        Raises:
            ApiError: there is no memory for it, or too many wait for it.
        """
        if model.base is None:
            with self._hold(self._endpoints.get(model.name) or self._begin(model)) as held:
                yield held
            return
        pooled = self._endpoints.get(model.base.name)
        adapter = None if pooled is None else pooled.adapters.get(model.name)
        if adapter is None:
            pooled = pooled or self._begin(model.base, beside=self._bytes_of(model))
            adapter = self._begin_adapter(pooled, model)
        assert adapter.base is not None, "made by _begin_adapter"
        with self._hold(adapter.base), self._hold(adapter):
            yield adapter

    @contextmanager
    def _hold(self, pooled: PooledModel) -> Iterator[PooledModel]:
        if not pooled.is_loaded and pooled.users >= self._limits.waiting_requests:
            raise too_many_requests(pooled.users, RETRY_S)
        pooled.users += 1
        try:
            yield pooled
        finally:
            pooled.users -= 1
            pooled.used_at = self._now()

    async def load(self, model: ServableModel) -> None:
        """Loads a model before anybody asks it. Raises ApiError."""
        with self.use(model) as endpoint:
            await endpoint.ready()

    async def unload(self, name: str) -> bool:
        """Whether it was there. Its adapters go with it.

        Raises:
            ApiError: it is being asked.
        """
        pooled = next((each for each in self._all() if each.model.name == name), None)
        if pooled is None:
            return False
        if pooled.users:
            message = f"the model {name} is being asked; unload it when its {pooled.users} requests are answered"
            raise conflict(message, code="model_in_use")
        await asyncio.shield(self._unload(pooled))
        return True

    def unload_idle(self) -> None:
        """Begins to unload the models and adapters that nobody has asked for long."""
        self._unload_since(self._now() - self._limits.endpoint_idle_seconds)

    def give_way(self) -> None:
        """Begins to unload all idle models, for a job that waits for memory. It may be called by any thread."""
        loop = self._loop  # the service may end meanwhile
        if loop is not None:
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self._unload_since, math.inf)

    def _unload_since(self, used_at: float) -> None:
        for pooled in self._all():
            if pooled.is_idle and pooled.used_at <= used_at:
                self._unload(pooled)

    def kill(self, pooled: PooledModel) -> None:
        """Ends a process that does not answer any more, unless it ends already."""
        base = pooled.base or pooled
        if self._endpoints.get(base.model.name) is base:
            self._unload(base, at_once=True)

    def _all(self) -> list[PooledModel]:
        """Models, each before its adapters."""
        return [each for pooled in list(self._endpoints.values()) for each in (pooled, *pooled.adapters.values())]

    def _state(self, pooled: PooledModel, state: Literal["loading", "loaded", "unloading"]) -> EndpointState:
        return EndpointState(
            model=pooled.model.name,
            base=None if pooled.base is None else pooled.base.model.name,
            state=state,
            requests=pooled.users,
            idle_seconds=0.0 if pooled.users else max(self._now() - pooled.used_at, 0.0),
            resident_bytes=pooled.resident_bytes,
            needed_bytes=pooled.needed_bytes,
        )

    def _bytes_of(self, model: ServableModel) -> int:
        take = endpoint_bytes if model.base is None else adapter_bytes
        return take(model.parameters, self._limits.endpoint_cache_bytes)

    def _begin(self, model: ServableModel, beside: int = 0) -> PooledModel:
        """Loads a model, in a process that will take so many bytes `beside` it. Raises ApiError."""
        needed = self._bytes_of(model)
        self._make_room(model, needed + beside)
        loading = asyncio.create_task(self._load(model, list(self._ending)))
        pooled = PooledModel(model=model, own_bytes=needed, loading=loading, used_at=self._now())
        self._endpoints[model.name] = pooled
        self._watch(pooled)
        return pooled

    def _begin_adapter(self, base: PooledModel, model: ServableModel) -> PooledModel:
        """Loads an adapter beside its base. Raises ApiError."""
        needed = self._bytes_of(model)
        self._make_room(model, needed)
        loading = asyncio.create_task(self._load_adapter(base, model, list(self._ending)))
        adapter = PooledModel(model=model, own_bytes=needed, loading=loading, used_at=self._now(), base=base)
        base.adapters[model.name] = adapter
        self._watch(adapter)
        return adapter

    def _make_room(self, model: ServableModel, needed: int) -> None:
        """Unloads idle models for one that needs so many bytes. Raises ApiError: it cannot have them."""
        free = self.free_memory() + sum(each.resident_bytes for each in self._ending.values())
        free -= self.promised_bytes
        base = None if model.base is None else model.base.name
        idle = {
            each.model.name: IdleEndpoint(name=each.model.name, used_at=each.used_at, freed_bytes=each.held_bytes)
            for each in self._all()
            if each.is_idle and each.model.name != base
        }
        whole = [
            idle[each.model.name] for each in self._all() if each.model.name in idle and not _goes_with(each, idle)
        ]
        chosen = choose_unloaded(needed, free, whole)
        if chosen is None:
            raise no_memory(model.name, needed, max(free + sum(each.freed_bytes for each in whole), 0), RETRY_S)
        for pooled in self._all():
            if pooled.model.name in chosen:
                self._unload(pooled)

    async def _load(self, model: ServableModel, ending: Collection[asyncio.Task[None]]) -> EndpointProcess:
        """Loads a model when those that are `ending` have gone, since their memory is for this one."""
        await self._wait_for_memory(ending)
        pooled = self._endpoints[model.name]
        try:
            process = pooled.process = await self._start(model)
        except OSError as error:
            raise LoadError(f"its process could not be started ({error.strerror})") from error
        try:
            async with asyncio.timeout(self._limits.endpoint_load_seconds):
                await process.ready()
        except TimeoutError:
            await process.end(at_once=True)
            raise self._too_long() from None
        except BaseException:
            await process.end(at_once=True)
            raise
        return process

    async def _load_adapter(
        self, base: PooledModel, model: ServableModel, ending: Collection[asyncio.Task[None]]
    ) -> EndpointProcess:
        await self._wait_for_memory(ending)
        process = await asyncio.shield(base.loading)
        try:
            async with asyncio.timeout(self._limits.endpoint_load_seconds):
                await process.add_adapter(model)
        except TimeoutError:
            await self._remove_adapter(base, process, model.name)
            raise self._too_long() from None
        return process

    async def _wait_for_memory(self, ending: Collection[asyncio.Task[None]]) -> None:
        """Raises LoadError: those that are `ending` do not end."""
        limit = self._limits.endpoint_load_seconds
        if await _ended(ending, limit):
            raise LoadError(f"what is unloaded for it has not ended within {limit:g} s")

    def _too_long(self) -> LoadError:
        return LoadError(f"it took longer than {self._limits.endpoint_load_seconds:g} s")

    async def _remove_adapter(self, base: PooledModel, process: EndpointProcess, name: str) -> bool:
        """Whether the process answers; if not, it begins to end."""
        try:
            async with asyncio.timeout(END_S):
                await process.remove_adapter(name)
        except TimeoutError:
            self.kill(base)
            return False
        return True

    def _watch(self, pooled: PooledModel) -> None:
        watching = asyncio.create_task(self._forget_at_end(pooled))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _forget_at_end(self, pooled: PooledModel) -> None:
        """Forgets a model when its process has ended, so that the next call loads it again."""
        name = pooled.model.name
        try:
            process = await pooled.loading
        except LoadError as error:
            why = str(error)
        except asyncio.CancelledError:
            why = "it was unloaded before it was loaded"
        else:
            _LOG.info("the model %s is loaded", name)
            why = await process.ended()
        if self._forget(pooled):
            _LOG.warning("the model %s is gone: %s", name, why)

    def _forget(self, pooled: PooledModel) -> bool:
        """Whether requests found it until now."""
        home = self._endpoints if pooled.base is None else pooled.base.adapters
        if home.get(pooled.model.name) is not pooled:
            return False
        del home[pooled.model.name]
        return True

    def _unload(self, pooled: PooledModel, *, at_once: bool = False) -> asyncio.Task[None]:
        self._forget(pooled)
        for each in (*pooled.adapters.values(), pooled):
            each.loading.cancel()
        ending = asyncio.create_task(self._end(pooled, at_once=at_once))
        self._ending[ending] = pooled
        ending.add_done_callback(self._ending.pop)
        return ending

    async def _end(self, pooled: PooledModel, *, at_once: bool) -> None:
        with suppress(asyncio.CancelledError, LoadError, OSError):
            process = await pooled.loading
            if pooled.base is None:
                await process.end(at_once=at_once)
            elif not await self._remove_adapter(pooled.base, process, pooled.model.name):
                await process.ended()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            self.unload_idle()


async def _ended(tasks: Collection[asyncio.Task[None]], seconds: float | None = None) -> Collection[object]:
    """Returns those that have not ended by then."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else ()


def _goes_with(adapter: PooledModel, idle: Collection[str]) -> bool:
    """Whether it is an adapter whose base is idle too, and unloads it."""
    return adapter.base is not None and adapter.base.model.name in idle

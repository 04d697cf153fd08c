"""A model in memory, or on its way there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.process import EndpointProcess, LoadError
from verifine.wire.api_error import failed_request


@dataclass(slots=True, kw_only=True, eq=False)
class PooledModel:
    """A model, and who asks it. It belongs to the event loop."""

    model: ServableModel
    own_bytes: int
    """The most that it takes, without its adapters."""
    loading: asyncio.Task[EndpointProcess]
    used_at: float
    """When it, or an adapter of it, was last asked."""
    base: PooledModel | None = None
    """The model in whose process it is; None: it has its own."""
    users: int = 0
    """Requests that are being answered, or wait, those of its adapters too."""
    adapters: dict[str, PooledModel] = field(default_factory=dict)
    """In the process of this one, by name."""
    process: EndpointProcess | None = None
    """None: it has not been started yet, or it is another model's."""

    @property
    def is_loaded(self) -> bool:
        return self.loading.done() and not self.loading.cancelled() and self.loading.exception() is None

    @property
    def is_idle(self) -> bool:
        return self.is_loaded and self.users == 0

    @property
    def needed_bytes(self) -> int:
        """The most that it takes, with its adapters. It may be asked by any thread."""
        return self.own_bytes + sum(each.own_bytes for each in list(self.adapters.values()))

    @property
    def resident_bytes(self) -> int:
        return 0 if self.process is None else self.process.resident_bytes

    @property
    def promised_bytes(self) -> int:
        """What it may still take."""
        return max(self.needed_bytes - self.resident_bytes, 0)

    @property
    def held_bytes(self) -> int:
        """What others may take when it is gone."""
        return max(self.needed_bytes, self.resident_bytes)

    async def is_ready_within(self, seconds: float) -> bool:
        """Whether loading has ended by then, well or not."""
        await asyncio.wait([self.loading], timeout=seconds)
        return self.loading.done()

    async def ready(self) -> EndpointProcess:
        """The process, once it answers. Raises ApiError: the model could not be loaded, or was unloaded meanwhile."""
        await asyncio.wait([self.loading])
        if self.loading.cancelled():
            message = f"the model {self.model.name} was unloaded before it was loaded; send the request again"
            raise failed_request(message, status=503, code="model_not_loaded")
        try:
            return self.loading.result()
        except LoadError as error:
            message = f"the model {self.model.name} could not be loaded: {error}"
            raise failed_request(message, status=503, code="model_not_loaded", retry=False) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """An endpoint, for people and programs."""

    model: str
    base: str | None
    """The model in whose process it is, as an adapter; None: it has its own."""
    state: Literal["loading", "loaded", "unloading"]
    requests: int
    """That are being answered, or wait."""
    idle_seconds: float
    """How long nobody has asked it."""
    resident_bytes: int
    """Of its process; 0 for an adapter."""
    needed_bytes: int
    """The most that it takes, with its adapters."""

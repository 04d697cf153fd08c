"""A model in memory, or on its way there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.process import EndpointProcess, LoadError
from verifine.wire.api_error import failed_request


@dataclass(slots=True, kw_only=True, eq=False)
class PooledModel:
    """A model, and who asks it. It belongs to the event loop."""

    model: ServableModel
    needed_bytes: int
    """The most that it takes."""
    loading: asyncio.Task[EndpointProcess]
    used_at: float
    """When it was last asked."""
    users: int = 0
    """Requests that are being answered, or wait."""
    process: EndpointProcess | None = None
    """None: it has not been started yet."""

    @property
    def is_loaded(self) -> bool:
        return self.loading.done() and not self.loading.cancelled() and self.loading.exception() is None

    @property
    def is_idle(self) -> bool:
        return self.is_loaded and self.users == 0

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
        """The process, once it answers. Raises ApiError: the model could not be loaded."""
        try:
            return await asyncio.shield(self.loading)
        except LoadError as error:
            message = f"the model {self.model.name} could not be loaded: {error}"
            raise failed_request(message, status=503, code="model_not_loaded", retry=False) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """An endpoint, for people and programs."""

    model: str
    state: Literal["loading", "loaded", "unloading"]
    requests: int
    """That are being answered, or wait."""
    idle_seconds: float
    """How long nobody has asked it."""
    resident_bytes: int
    needed_bytes: int
    """The most that it takes."""

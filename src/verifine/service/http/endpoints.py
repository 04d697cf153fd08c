"""`/api/endpoints`: which models are in memory, and loading and unloading them before they are asked."""

from __future__ import annotations

import asyncio
from typing import Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel

from verifine.service.endpoints.pool import EndpointPool
from verifine.service.endpoints.pooled_model import EndpointState
from verifine.service.http.completions import FindServable
from verifine.service.http.keys import OwnerId
from verifine.wire.api_error import ApiError, invalid_request


class EndpointView(BaseModel):
    """A model in memory."""

    model: str
    state: Literal["loading", "loaded", "unloading"]
    requests: int
    """That are being answered, or wait."""
    idle_seconds: float
    resident_bytes: int
    needed_bytes: int
    """The most that it takes."""

    @classmethod
    def of(cls, state: EndpointState) -> Self:
        return cls(
            model=state.model,
            state=state.state,
            requests=state.requests,
            idle_seconds=state.idle_seconds,
            resident_bytes=state.resident_bytes,
            needed_bytes=state.needed_bytes,
        )


class EndpointList(BaseModel):
    """The models in memory that the owner may ask."""

    endpoints: list[EndpointView]
    free_bytes: int
    """What others may take."""


class EndpointRoutes:
    """The routes of a pool."""

    def __init__(self, pool: EndpointPool, find: FindServable) -> None:
        self._pool, self._find = pool, find

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/endpoints", tags=["Endpoints"])
        router.add_api_route("", self.list_endpoints, methods=["GET"])
        router.add_api_route("/{model}/load", self.load, methods=["POST"])
        router.add_api_route("/{model}/unload", self.unload, methods=["POST"])
        return router

    def list_endpoints(self, owner_id: OwnerId) -> EndpointList:
        """The models in memory, and how much of it is free."""
        mine = [state for state in self._pool.states() if self._may_ask(owner_id, state.model)]
        return EndpointList(endpoints=list(map(EndpointView.of, mine)), free_bytes=max(self._pool.free_memory(), 0))

    async def load(self, model: str, owner_id: OwnerId) -> EndpointList:
        """Loads a model, and waits until it answers."""
        await self._pool.load(await asyncio.to_thread(self._find, owner_id, model))
        return await asyncio.to_thread(self.list_endpoints, owner_id)

    async def unload(self, model: str, owner_id: OwnerId) -> EndpointList:
        """Frees the memory of a model that nobody asks; 409 where somebody does."""
        await asyncio.to_thread(self._find, owner_id, model)
        if not await self._pool.unload(model):
            message = f"the model {model[:80]} is not in memory"
            raise invalid_request(message, param="model", code="endpoint_not_found", status=404)
        return await asyncio.to_thread(self.list_endpoints, owner_id)

    def _may_ask(self, owner_id: str, model: str) -> bool:
        try:
            self._find(owner_id, model)
        except ApiError:
            return False
        return True

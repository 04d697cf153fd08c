"""`/v1/chat/completions` and `/v1/completions`: passed on to the process of the model that a request names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.endpoints.proxy import ForwardedAnswer, ForwardedRequest
from verifine.service.http.json_body import json_body, name_schema
from verifine.service.http.keys import OwnerId
from verifine.service.limits import ServiceLimits
from verifine.wire.body import read_body
from verifine.wire.completion_parsing import parse_request
from verifine.wire.completion_requests import ChatRequest, CompletionRequest
from verifine.wire.completion_responses import ChatCompletion, TextCompletion
from verifine.wire.envelope import REQUEST_ID

FindServable = Callable[[str, str], ServableModel]
"""The model of an owner that has a name. Raises UnknownModelError."""


class CompletionRoutes:
    """The routes over a pool of models."""

    def __init__(self, pool: EndpointPool, find: FindServable, limits: ServiceLimits) -> None:
        self._pool, self._find, self._limits = pool, find, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["Completions"])
        for path, answer, asked, answered in (
            ("/chat/completions", self.chat, ChatRequest, ChatCompletion),
            ("/completions", self.complete, CompletionRequest, TextCompletion),
        ):
            content = {"application/json": name_schema(answered), "text/event-stream": {"schema": {"type": "string"}}}
            router.add_api_route(
                path,
                answer,
                methods=["POST"],
                openapi_extra=json_body(asked),
                responses={200: {"description": "The answer, or a stream of its parts", "content": content}},
            )
        return router

    async def chat(self, request: Request, owner_id: OwnerId) -> Response:
        """The model's answer to a conversation. The first call loads the model."""
        return await self._forward(request, owner_id, ChatRequest)

    async def complete(self, request: Request, owner_id: OwnerId) -> Response:
        """Texts, continued by the model. The first call loads the model."""
        return await self._forward(request, owner_id, CompletionRequest)

    async def _forward(
        self, request: Request, owner_id: str, schema: type[ChatRequest] | type[CompletionRequest]
    ) -> Response:
        body = await read_body(request, self._limits)
        asked = await asyncio.to_thread(parse_request, body, schema)  # so that a wrong request loads nothing
        model = await asyncio.to_thread(self._find, owner_id, asked.model)
        forwarded = ForwardedRequest(
            path=request.url.path, body=body, is_stream=asked.stream, request_id=request.scope[REQUEST_ID]
        )
        return ForwardedAnswer(self._pool, model, forwarded, self._limits.answer_seconds)

"""Passes a request on to the process of its model, and the answer back as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from verifine.service.endpoints.events import END, LOADING, EventCutter, error_event
from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.endpoints.pooled_model import PooledModel
from verifine.service.endpoints.process import open_client
from verifine.wire.api_error import ApiError, failed_request
from verifine.wire.connection import while_connected

PASSED_BACK = ("content-type", "cache-control", "retry-after", "x-should-retry")
"""The headers of an answer that are the model's; others are the service's own."""

FIRST_COMMENT_S = 0.5
"""How long a stream waits for its status until it begins with comments."""
COMMENT_S = 5.0
"""How often a stream that waits is kept alive."""
PATIENCE = 1.1
"""A process that is silent for so many times longer than an answer may take is ended."""
TRIES = 2
"""How often a model is loaded for one request."""
NOTICE_S = 0.5
"""How long to wait for the end of a process that has broken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedRequest:
    """What a model is asked."""

    body: bytes
    is_stream: bool
    path: str
    request_id: str


class ForwardedAnswer(Response):
    """The answer of a model, which is loaded if it is not there."""

    def __init__(self, pool: EndpointPool, model: ServableModel, request: ForwardedRequest, answer_s: float) -> None:
        super().__init__()
        self._pool, self._model, self._request, self._answer_s = pool, model, request, answer_s
        self._has_begun = False

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        for _try in range(TRIES):
            with self._pool.use(self._model) as pooled:
                try:
                    await while_connected(receive, self._answer(pooled, send))
                except ClientDisconnect:
                    return  # the process hears of it by its connection
                except httpx2.ConnectError:  # it has ended, and nobody has noticed yet
                    self._pool.kill(pooled)
                else:
                    return
        error = failed_request(f"the model {self._model.name} ends as soon as it is loaded", status=503)
        if not self._has_begun:
            raise error
        await _end(send, error_event(error))

    async def _answer(self, pooled: PooledModel, send: Send) -> None:
        """Raises httpx2.ConnectError: the process has ended, and has not been asked."""
        if self._has_begun or (self._request.is_stream and not await pooled.is_ready_within(FIRST_COMMENT_S)):
            await self._answer_late(pooled, send)
            return
        async with self._asked(pooled) as answer:
            parts = _whole_events(answer)
            first = await anext(parts, b"")  # before the status is told: a process may end while it writes
            await _begin(send, answer.status_code, _headers(answer))
            await _send(send, first)
            try:
                async for part in parts:
                    await _send(send, part)
            except httpx2.TransportError as error:
                if not self._request.is_stream:  # the connection breaks off, which is the truth
                    raise
                await _end(send, error_event(await self._explain(pooled, error)))
            else:
                await _end(send)

    async def _answer_late(self, pooled: PooledModel, send: Send) -> None:
        """Keeps the client waiting; from here on all that goes wrong is an event."""
        if not self._has_begun:
            self._has_begun = True
            await _begin(send, 200, {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"})
            await _send(send, LOADING)
        try:
            while not await pooled.is_ready_within(COMMENT_S):
                await _send(send, LOADING)
            async with self._asked(pooled) as answer:
                if answer.status_code == httpx2.codes.OK:
                    async for part in _whole_events(answer):
                        await _send(send, part)
                else:
                    await _send(send, b"data: " + await answer.aread() + END)
        except ApiError as error:
            await _send(send, error_event(error))
        await _end(send)

    @asynccontextmanager
    async def _asked(self, pooled: PooledModel) -> AsyncIterator[httpx2.Response]:
        """The beginning of the answer. Raises ApiError: the model cannot be loaded, or its process does not answer."""
        process = await pooled.ready()
        timeout = httpx2.Timeout(PATIENCE * self._answer_s, connect=self._answer_s)
        request = self._request
        try:
            async with (
                open_client(process.address, timeout) as client,
                client.stream(
                    "POST",
                    request.path,
                    content=request.body,
                    headers={"content-type": "application/json", "x-request-id": request.request_id},
                ) as answer,
            ):
                yield answer
        except httpx2.ConnectError:
            raise
        except httpx2.TransportError as error:
            raise await self._explain(pooled, error) from error

    async def _explain(self, pooled: PooledModel, error: httpx2.TransportError) -> ApiError:
        """What a client is told of a connection that broke off."""
        name = self._model.name
        if isinstance(error, httpx2.TimeoutException):
            self._pool.kill(pooled)
            return failed_request(
                f"the model {name} did not answer in time, and is loaded again when it is asked", status=503
            )
        process = await pooled.ready()
        try:
            why = await asyncio.wait_for(process.ended(), NOTICE_S)
        except TimeoutError:
            why = "its process broke off"
        return failed_request(f"the model {name} ended while it answered: {why}; send the request again", status=503)


async def _whole_events(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """What has come, as far as events are complete. An answer that is no stream of events comes as it is."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        async for part in answer.aiter_raw():
            yield part
        return
    cutter = EventCutter()
    async for part in answer.aiter_raw():
        if whole := cutter.cut(part):
            yield whole


def _headers(answer: httpx2.Response) -> Mapping[str, str]:
    return {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}


async def _begin(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _send(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _end(send: Send, part: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": part})

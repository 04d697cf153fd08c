"""The answer of a request, which ends when its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from starlette.types import Send

from verifine.serving.limits import ServingLimits
from verifine.wire.api_error import ApiError, failed_request

T = TypeVar("T")


async def within(limits: ServingLimits, work: Awaitable[T]) -> T:
    """The result of `work`.

    Raises:
        ApiError: it takes longer than a request may.
    """
    try:
        async with asyncio.timeout(limits.request_seconds):
            return await work
    except TimeoutError:
        message = f"the answer took longer than {limits.request_seconds:g} s"
        raise failed_request(message, status=503, code="timeout", retry=False) from None


async def send_events(send: Send, lines: AsyncIterator[str], limits: ServingLimits) -> None:
    """Sends server-sent events, and at their end [DONE]; an error becomes the last event."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        await within(limits, _send_lines(send, lines))
    except ApiError as error:
        await _send_event(send, error.body.as_json())
    else:
        await _send_event(send, "[DONE]")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_lines(send: Send, lines: AsyncIterator[str]) -> None:
    async for line in lines:
        await _send_event(send, line)


async def _send_event(send: Send, line: str) -> None:
    await send({"type": "http.response.body", "body": f"data: {line}\n\n".encode(), "more_body": True})

"""The two ends of a request: its body within limits, and its answer in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from starlette.requests import Request
from starlette.types import Send

from verifine.wire.api_error import ApiError, invalid_request


class BodyLimits(Protocol):
    """How large a body may be, and how long it may take to arrive."""

    @property
    def body_bytes(self) -> int: ...

    @property
    def body_seconds(self) -> float: ...


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """The whole body.

    Raises:
        ApiError: it is larger than allowed, or takes longer.
        ClientDisconnect: the client leaves.
    """
    max_bytes, max_seconds = limits.body_bytes, limits.body_seconds
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    count = 0
    try:
        async with asyncio.timeout(max_seconds):
            async for part in request.stream():
                parts.append(part)
                count += len(part)
                if count > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        message = f"the body did not arrive within {max_seconds:g} s"
        raise invalid_request(message, code="request_timeout", status=408) from None
    return b"".join(parts)


async def send_json(
    send: Send, text: str, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Sends a whole response."""
    body = text.encode()
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _too_large(max_bytes: int) -> ApiError:
    return invalid_request(f"the body is larger than {max_bytes} bytes", code="request_too_large", status=413)

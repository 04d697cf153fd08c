"""A server that belongs to another one, which alone may ask it, and adds adapters while it runs."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from verifine.errors import VerifineError
from verifine.serving.endpoints import ServerParts
from verifine.serving.served_model import ServedModel
from verifine.wire.api_error import failed_request, forbidden
from verifine.wire.api_request import ApiRequest
from verifine.wire.parsing import read_fields, validate_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOwner:
    """The program that a server belongs to."""

    token: str = field(repr=False)
    load_adapter: Callable[[str, str], ServedModel]
    """The model of a name, from a source that the owner knows; it takes a while. Raises VerifineError."""


class AdapterToLoad(ApiRequest):
    """The body of `PUT /adapters/NAME`."""

    source: str


class TokenCheck:
    """Refuses requests that do not have the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode("latin-1", errors="replace")
            if not hmac.compare_digest(given, self._expected):
                raise forbidden("this server answers its owner only")
        await self._app(scope, receive, send)


def owner_routes(owner: ServerOwner, parts: ServerParts) -> list[Route]:
    """`PUT` and `DELETE` of `/adapters/NAME`."""
    one_at_a_time = asyncio.Lock()

    async def put(request: Request) -> Response:
        asked = validate_fields(read_fields(await request.body()), AdapterToLoad)
        name = request.path_params["name"]
        try:
            async with one_at_a_time:
                parts.add_model(await asyncio.to_thread(owner.load_adapter, name, asked.source))
        except VerifineError as error:
            raise failed_request(str(error), retry=False) from error
        return Response(status_code=204)

    async def delete(request: Request) -> Response:
        parts.remove_model(request.path_params["name"])
        return Response(status_code=204)

    return [
        Route("/adapters/{name:path}", put, methods=["PUT"]),
        Route("/adapters/{name:path}", delete, methods=["DELETE"]),
    ]

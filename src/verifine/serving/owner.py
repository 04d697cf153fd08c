"""A server that belongs to another one, which alone may ask it."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from verifine.wire.api_error import invalid_request


class TokenCheck:
    """Refuses requests that do not have the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode("latin-1", errors="replace")
            if not hmac.compare_digest(given, self._expected):
                raise invalid_request("this server answers its owner only", code="invalid_api_key", status=401)
        await self._app(scope, receive, send)

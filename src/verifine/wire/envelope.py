"""What every response has: an id, and errors in OpenAI's form. Pages of other sites are refused."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verifine.wire.api_error import ApiError, failed_request, forbidden, invalid_request
from verifine.wire.body import send_json

logger = logging.getLogger(__name__)

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")

REQUEST_ID = "verifine.request_id"
"""Where the routes find the id of a request, in its scope."""

Observer = Callable[[Scope, int], None]
"""Told the status of each response."""


class Envelope:
    """Around the routes. A failure of the server is logged with the id; the client is told the id alone."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        observe: Observer | None = None,
        *,
        keeps_ids: bool = False,
        is_secure: bool = False,
    ) -> None:
        """How the routes are kept.

        Args:
            app: The routes.
            hosts: The names that the server is asked by; empty: any.
            observe: None: nobody counts.
            keeps_ids: Whether requests come from a server of ours, which has given them ids.
            is_secure: Whether clients ask over TLS, so that a page that came without is of another site.
        """
        self._app, self._hosts, self._observe, self._keeps_ids = app, hosts, observe, keeps_ids
        self._is_secure = is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id") if self._keeps_ids else None
        request_id = scope[REQUEST_ID] = given or f"req_{uuid.uuid4().hex}"
        began = time.monotonic()
        has_begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                milliseconds = round(1000 * (time.monotonic() - began))
                more = [(b"x-request-id", request_id.encode()), (b"openai-processing-ms", b"%d" % milliseconds)]
                message = {**message, "headers": [*message["headers"], *more]}
                if self._observe is not None:
                    self._observe(scope, message["status"])
            await send(message)

        try:
            self._refuse_other_sites(Headers(scope=scope))
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # whatever a route raises, the client gets an envelope
            if has_begun:
                raise
            told = _as_api_error(error, request_id)
            await send_json(send_with_id, told.body.as_json(), told.status, told.headers)

    def _refuse_other_sites(self, headers: Headers) -> None:
        """A page in a browser could otherwise ask this machine's models, or reach them under another name."""
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            asked = urlsplit(f"//{host}").hostname
            is_own = origin is None or self._is_own(urlsplit(origin), host)
        except ValueError:
            raise forbidden("the host or origin of the request is no address") from None
        if self._hosts and asked not in self._hosts:
            raise forbidden(f'this server is not called "{asked}"')
        if not is_own or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise forbidden("pages of other sites may not use this server")

    def _is_own(self, origin: SplitResult, host: str) -> bool:
        return origin.netloc == host and (origin.scheme == "https" or not self._is_secure)


def _as_api_error(error: Exception, request_id: str) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException(status_code=404):
            return invalid_request("there is nothing at this address", code="unknown_url", status=404)
        case HTTPException(status_code=405):
            allowed = dict(error.headers or {})
            told = invalid_request("this address does not take this method", code="method_not_allowed", status=405)
            return ApiError(told.status, told.body, {"allow": allowed.get("Allow", "")})
    logger.error("request %s failed", request_id, exc_info=error)
    return failed_request(f"the server failed; its log has the reason under {request_id}")

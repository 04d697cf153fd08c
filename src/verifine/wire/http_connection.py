"""A connection of a client: uvicorn's, but one that does nothing, or sends what nobody reads, is given up."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from verifine.wire.api_error import ApiError, failed_request, invalid_request


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What a client may take of a server without a request."""

    connections: int
    """At the same time; a further one is closed."""
    head_seconds: float = 30.0
    """How long the first line and the headers of a request may take."""
    linger_seconds: float = 2.0
    """How long a body is read, and dropped, once its request is answered: who is cut off may miss the answer.
    The next part of a body is waited for as long when the server is to stop."""


class HttpConnection(H11Protocol):
    """What is not HTTP gets an error in OpenAI's form, as other errors do."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._body_deadline: asyncio.TimerHandle | None = None
        """Refuses a request whose body does not go on arriving, when the server is to stop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._body_deadline is not None:
            self._await_body()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        if self._body_deadline is not None:
            self._body_deadline.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server is to stop: an answer may end, and a body may arrive that goes on arriving."""
        super().shutdown()
        if self._waits_for_body:
            self._await_body()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._refuse(invalid_request("the request is not HTTP/1.1, or its headers are too long", code="invalid_http"))

    @property
    def _owes_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    @property
    def _owes_body(self) -> bool:
        """Of a request that is answered already, so that no route waits for it."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete

    @property
    def _waits_for_body(self) -> bool:
        """Of a request that is not answered."""
        return self.conn.their_state is h11.SEND_BODY and not self.cycle.response_complete

    def _await_body(self) -> None:
        if self._body_deadline is not None:
            self._body_deadline.cancel()
        self._body_deadline = self.loop.call_later(self._limits.linger_seconds, self._refuse_body)

    def _refuse_body(self) -> None:
        if self._waits_for_body and not self.transport.is_closing():
            self._refuse(failed_request("the server stopped before the whole request had arrived", status=503))

    def _watch(self) -> None:
        """The time runs from when the client begins to owe something, whatever it sends of it meanwhile."""
        if self.transport.is_closing() or not (self._owes_head or self._owes_body):
            self._end_watch()
        elif self._deadline is None:
            seconds = self._limits.head_seconds if self._owes_head else self._limits.linger_seconds
            self._deadline = self.loop.call_later(seconds, self._give_up)

    def _end_watch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        has_begun = self._owes_head and bool(self.conn.trailing_data[0])
        if not has_begun:
            self.transport.abort()
            return
        message = f"the headers of the request did not arrive within {self._limits.head_seconds:g} s"
        self._refuse(invalid_request(message, code="request_timeout", status=408))

    def _refuse(self, error: ApiError) -> None:
        """Sends an error, unless an answer has begun, and closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = error.body.as_json().encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("x-request-id", f"req_{uuid.uuid4().hex}"),
                ("connection", "close"),
            ]
            reason = HTTPStatus(error.status).phrase.encode()
            head = h11.Response(status_code=error.status, headers=headers, reason=reason)
            events = (head, h11.Data(data=body), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

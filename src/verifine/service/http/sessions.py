"""`/session` and `/api/session`: how a browser gets in, and out again."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from verifine.service.access.caller import Caller
from verifine.service.access.key import KeyText, OwnedKey
from verifine.service.access.key_store import SESSION_S, KeyStore
from verifine.service.access.scopes import SCOPES, Scope, show_scopes
from verifine.service.database.owners import LOCAL
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import CurrentCaller
from verifine.service.http.site import Site
from verifine.service.limits import ServiceLimits
from verifine.wire.api_error import forbidden, invalid_request
from verifine.wire.api_request import ApiRequest
from verifine.wire.body import read_body
from verifine.wire.parsing import read_fields, validate_fields

SIGNED_IN = "/api/session"
"""Where a browser is sent that has signed in."""

_UNSEEN = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
"""The token is in the address, and belongs into no cache and no page that comes after."""


class SignIn(ApiRequest):
    """A key, which the browser need not keep: it gets a cookie."""

    key: str


class SessionView(BaseModel):
    """Who asks."""

    owner: str
    scopes: list[Scope]
    kind: Literal["key", "session"]

    @classmethod
    def of(cls, caller: Caller) -> SessionView:
        kind: Literal["key", "session"] = "session" if caller.is_session else "key"
        return cls(owner=caller.owner_id, scopes=show_scopes(caller.scopes), kind=kind)


class SessionRoutes:
    """The routes over keys."""

    def __init__(self, keys: KeyStore, site: Site, limits: ServiceLimits) -> None:
        self._keys, self._site, self._limits = keys, site, limits

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Sessions"])
        found: dict[int | str, dict[str, Any]] = {303: {"description": "Signed in: a cookie, and the way on"}}
        router.add_api_route(
            "/session", self.open, methods=["GET"], response_class=RedirectResponse, status_code=303, responses=found
        )
        router.add_api_route("/session", self.sign_in, methods=["POST"], openapi_extra=json_body(SignIn))
        router.add_api_route("/api/session", self.show, methods=["GET"])
        router.add_api_route("/api/session", self.sign_out, methods=["DELETE"])
        return router

    def open(self, token: str) -> RedirectResponse:
        """Signs a browser in with the token in the address that `verifine serve` prints on this machine."""
        expected = self._site.start_token
        if expected is None or not hmac.compare_digest(token.encode(errors="replace"), expected.encode()):
            raise forbidden("the token is not of this start; take the address that `verifine serve` has printed last")
        answer = RedirectResponse(SIGNED_IN, status_code=303, headers=_UNSEEN)
        self._set_cookie(answer, self._keys.begin_session(LOCAL, SCOPES))
        return answer

    async def sign_in(self, request: Request, response: Response) -> SessionView:
        """Signs a browser in with a key."""
        asked = validate_fields(read_fields(await read_body(request, self._limits)), SignIn)
        parent, session = await asyncio.to_thread(self._begin, asked.key)
        self._set_cookie(response, session)
        response.headers.update(_UNSEEN)
        return SessionView.of(
            Caller(owner_id=parent.owner_id, scopes=parent.scopes, key_id=session.id, is_session=True)
        )

    def show(self, caller: CurrentCaller) -> SessionView:
        """Who asks, and what for."""
        return SessionView.of(caller)

    def sign_out(self, caller: CurrentCaller, response: Response) -> SessionView:
        """Ends the session of a browser."""
        if not caller.is_session:
            raise invalid_request("a key has no session; `verifine keys revoke` ends it", code="no_session")
        self._keys.revoke(caller.key_id, caller)
        response.delete_cookie(self._site.cookie, secure=self._site.is_secure, httponly=True, samesite="strict")
        return SessionView.of(caller)

    def _begin(self, text: str) -> tuple[OwnedKey, KeyText]:
        parent = self._keys.find(text)
        if parent is None:
            raise invalid_request("the key is unknown, expired or revoked", code="invalid_api_key", status=401)
        return parent, self._keys.begin_session(parent.owner_id, parent.scopes, parent)

    def _set_cookie(self, answer: Response, session: KeyText) -> None:
        answer.set_cookie(
            self._site.cookie,
            session.reveal(),
            max_age=SESSION_S,
            secure=self._site.is_secure,
            httponly=True,
            samesite="strict",
        )

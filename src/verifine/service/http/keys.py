"""Who asks: the owner of the key that a request has, or of the session in its cookie."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from verifine.service.access.audit import AuditStore
from verifine.service.access.caller import Caller
from verifine.service.access.key_store import KeyStore
from verifine.service.http.audit import begin_entry
from verifine.service.http.route_access import Need, find_access
from verifine.service.http.site import Site
from verifine.wire.api_error import ApiError, ErrorBody, forbidden, invalid_request

_CALLER = "verifine.caller"

KEYED = ("/v1/", "/api/", "/metrics")
"""A request needs a key where its path begins so, also if there is no such route."""

READING = ("GET", "HEAD")


class KeyCheck:
    """Refuses requests without a key that can be used, and tells the routes whose it is."""

    def __init__(self, app: ASGIApp, keys: KeyStore, site: Site) -> None:
        self._app, self._keys, self._site = app, keys, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._site.is_secure:  # also where a proxy speaks TLS
            scope["scheme"] = "https"
        if scope["type"] == "http" and scope["path"].startswith(KEYED):
            scope[_CALLER] = await self._identify(scope["method"], Headers(scope=scope))
        await self._app(scope, receive, send)

    async def _identify(self, method: str, headers: Headers) -> Caller:
        """Raises ApiError. A request that has a key is judged by that alone."""
        given = headers.get("authorization")
        if given is not None:
            scheme, _, key = given.partition(" ")
            found = None
            if scheme.lower() == "bearer":
                found = await run_in_threadpool(self._keys.identify, key.strip())
        else:
            cookie = cookie_parser(headers.get("cookie", "")).get(self._site.cookie, "")
            found = await run_in_threadpool(self._keys.identify, cookie, is_session=True)
            if found is not None and method not in READING:
                _require_own_page(headers)
        if found is None:
            message = "the API key is missing, unknown, expired or revoked; send it as `Authorization: Bearer KEY`"
            raise invalid_request(message, code="invalid_api_key", status=401)
        return found


def _require_own_page(headers: Headers) -> None:
    """A browser sends a cookie by itself, so the request has to say that it comes from a page of this service.

    The envelope has refused those that say that they come from elsewhere.
    """
    if "origin" not in headers and headers.get("sec-fetch-site") != "same-origin":
        raise forbidden("a request with a cookie must come from a page of this service; programs send a key")


class AccessCheck:
    """Before every route: whether the key is for what it does. An act is written down, also one that is refused."""

    def __init__(self, audit: AuditStore) -> None:
        self._audit = audit

    async def __call__(self, request: Request) -> None:
        """Raises ApiError; KeyError: the route is not in the table."""
        access = find_access(request)
        if access.need == "nothing":
            return
        caller = current_caller(request)
        if access.act is not None:
            await begin_entry(request, self._audit, access.act, caller)
        _require_scope(access.need, caller)


def _require_scope(need: Need, caller: Caller) -> None:
    if need != "key" and need not in caller.scopes:
        message = f'this needs a key with the scope "{need}", which the one that was sent does not have'
        body = ErrorBody(message=message, type="permission_error", param=None, code="insufficient_permissions")
        raise ApiError(403, body)


def current_caller(request: Request) -> Caller:
    """Raises ApiError: nobody is known to ask."""
    caller = request.scope.get(_CALLER)
    if not isinstance(caller, Caller):
        raise invalid_request("this needs an API key", code="invalid_api_key", status=401)
    return caller


def _current_owner(request: Request) -> str:
    return current_caller(request).owner_id


OwnerId = Annotated[str, Depends(_current_owner)]
"""The owner who asks."""

CurrentCaller = Annotated[Caller, Depends(current_caller)]
"""The same, with what the key is for."""

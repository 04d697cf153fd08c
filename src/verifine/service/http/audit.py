"""`/api/audit`, and what writes it: every act that the table of routes names."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verifine.service.access.audit import Act, AuditEntry, AuditStore, OpenEntry
from verifine.service.access.caller import Caller
from verifine.service.database.paging import PageQuery
from verifine.service.http.list_page import ListedObject, ListPage
from verifine.wire.envelope import REQUEST_ID

_ENTRY = "verifine.audit"

_OBJECTS = ("mark_id", "job_id", "file_id", "model")
"""Parameters of paths that name what something is done to, the innermost first."""


class AuditTrail:
    """Completes the entry of an act before its answer goes out."""

    def __init__(self, app: ASGIApp, audit: AuditStore) -> None:
        self._app, self._audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = scope[_ENTRY] = OpenEntry()

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start" and entry.id is not None:
                await run_in_threadpool(self._audit.end, entry, message["status"])
            await send(message)

        await self._app(scope, receive, send_completed)


async def begin_entry(request: Request, audit: AuditStore, act: Act, caller: Caller) -> None:
    """Before an act is done."""
    named = (request.path_params[name] for name in _OBJECTS if name in request.path_params)
    entry: OpenEntry = request.scope[_ENTRY]
    entry.id = await run_in_threadpool(audit.begin, act, caller, next(named, None), request.scope[REQUEST_ID])


def name_object(request: Request, object_id: str) -> None:
    """What an act has made."""
    entry: OpenEntry = request.scope[_ENTRY]
    entry.object_id = object_id


class AuditEntryObject(ListedObject):
    """Something that was done, or refused."""

    created_at: int
    act: Act
    owner: str | None
    """null: whoever runs the service."""
    key_id: str | None
    object_id: str | None
    """What it was done to."""
    request_id: str | None
    status: int | None
    """400 or more: it was refused. null: it was not asked for over HTTP, or the service ended meanwhile."""

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            id=entry.id,
            created_at=entry.created_at,
            act=entry.act,
            owner=entry.owner_id,
            key_id=entry.key_id,
            object_id=entry.object_id,
            request_id=entry.request_id,
            status=entry.status,
        )


class AuditRoutes:
    """The route of a store."""

    def __init__(self, audit: AuditStore) -> None:
        self._audit = audit

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api", tags=["Audit"])
        router.add_api_route("/audit", self.list_entries, methods=["GET"])
        return router

    def list_entries(
        self,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 100,
        owner: str | None = None,
    ) -> ListPage[AuditEntryObject]:
        """What everybody has done, or `owner` alone, newest first."""
        page = self._audit.list(PageQuery(limit=limit, after=after), owner)
        return ListPage[AuditEntryObject].of(page, AuditEntryObject.of)

"""`/api/jobs/{id}/marks`: flags and notes of people on answers, and their export."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints

from verifine.service.access.caller import Caller
from verifine.service.database.paging import PageQuery
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import CurrentCaller
from verifine.service.http.runs import refuse_unreadable
from verifine.service.limits import ServiceLimits
from verifine.service.run_views.answers import UnknownRolloutsError, view_group
from verifine.service.run_views.marks import Mark, MarkPlace, MarkStore
from verifine.service.run_views.sources import RunSources
from verifine.wire.api_request import ApiRequest
from verifine.wire.body import read_body
from verifine.wire.parsing import read_fields, validate_fields

Place = Annotated[int, Field(ge=0, le=10**9)]


class PutMark(ApiRequest):
    """What somebody thinks of an answer; it takes the place of the mark before."""

    step: Place
    group: Place
    sample: Place
    flag: bool = False
    note: Annotated[str, StringConstraints(max_length=10_000)] = ""


class MarkObject(BaseModel):
    """A mark, with the answer that it is on."""

    id: str
    object: Literal["rollout.mark"] = "rollout.mark"
    created_at: int
    """When it was last changed."""
    step: int
    group: int
    sample: int
    flag: bool
    note: str
    prompt_id: str
    prompt: str
    text: str
    score: float | None

    @classmethod
    def of(cls, mark: Mark) -> Self:
        place = mark.place
        return cls(
            id=mark.id,
            created_at=mark.created_at,
            step=place.step,
            group=place.group,
            sample=place.sample,
            flag=mark.is_flagged,
            note=mark.note,
            **mark.answer,
        )


class MarkList(BaseModel):
    """A page of marks, newest first."""

    object: Literal["list"] = "list"
    data: list[MarkObject]
    has_more: bool


class MarkDeleted(BaseModel):
    """A mark that is no longer there."""

    id: str
    object: Literal["rollout.mark"] = "rollout.mark"
    deleted: Literal[True] = True


class MarkRoutes:
    """The routes of a store."""

    def __init__(self, marks: MarkStore, sources: RunSources, limits: ServiceLimits) -> None:
        self._marks, self._sources, self._limits = marks, sources, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/jobs/{job_id}", tags=["Marks"], dependencies=[Depends(refuse_unreadable)])
        router.add_api_route("/marks", self.put, methods=["PUT"], openapi_extra=json_body(PutMark))
        router.add_api_route("/marks", self.list_marks, methods=["GET"])
        router.add_api_route("/marks/{mark_id}", self.delete, methods=["DELETE"])
        router.add_api_route("/marks.jsonl", self.export, methods=["GET"], response_class=MarkExport)
        return router

    async def put(self, request: Request, job_id: str, caller: CurrentCaller) -> MarkObject:
        """Marks an answer."""
        body = await read_body(request, self._limits)
        return await asyncio.to_thread(self._put, caller, job_id, validate_fields(read_fields(body), PutMark))

    def list_marks(
        self,
        job_id: str,
        caller: CurrentCaller,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> MarkList:
        """The marks of a run, newest first."""
        run = self._sources.find(caller, job_id)
        page = self._marks.list(caller.owner_id, run.id, PageQuery(limit=limit, after=after))
        return MarkList(data=[MarkObject.of(mark) for mark in page.items], has_more=page.has_more)

    def delete(self, job_id: str, mark_id: str, caller: CurrentCaller) -> MarkDeleted:
        """Removes a mark."""
        run = self._sources.find(caller, job_id)
        self._marks.delete(caller.owner_id, run.id, mark_id)
        return MarkDeleted(id=mark_id)

    def export(self, job_id: str, caller: CurrentCaller) -> MarkExport:
        """All marks of a run as JSON Lines, oldest first, with prompt and answer."""
        run = self._sources.find(caller, job_id)
        headers = {"content-disposition": f'attachment; filename="marks-{run.id}.jsonl"'}
        return MarkExport(_lines(self._marks.all(caller.owner_id, run.id)), headers=headers)

    def _put(self, caller: Caller, job_id: str, asked: PutMark) -> MarkObject:
        run = self._sources.find(caller, job_id)
        group = view_group(run.directory, asked.step, asked.group, with_tokens=False)
        found = next((each for each in group.answers if each.sample == asked.sample), None)
        if found is None:
            raise UnknownRolloutsError(f"group {asked.group} of step {asked.step} has no answer {asked.sample}")
        answer = {"prompt_id": group.prompt_id, "prompt": group.prompt, "text": found.text, "score": found.score}
        place = MarkPlace(run_id=run.id, step=asked.step, group=asked.group, sample=asked.sample)
        mark = self._marks.put(caller.owner_id, place, is_flagged=asked.flag, note=asked.note, answer=answer)
        return MarkObject.of(mark)


class MarkExport(StreamingResponse):
    """A JSON object a line."""

    media_type = "application/jsonl"


def _lines(marks: Iterator[Mark]) -> Iterator[bytes]:
    for mark in marks:
        yield json.dumps(MarkObject.of(mark).model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"

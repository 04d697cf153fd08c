"""`/v1/files`, in OpenAI's form."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self, cast, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel

from verifine.service.database.paging import PageQuery
from verifine.service.files import FileStore, OwnedFile
from verifine.service.files.record import Purpose, UploadPurpose
from verifine.service.http.audit import name_object
from verifine.service.http.keys import OwnerId
from verifine.service.http.list_page import ListedObject, ListPage
from verifine.service.http.upload import UploadForm, receive_form
from verifine.service.limits import ServiceLimits
from verifine.wire.api_error import ApiError, invalid_request

PURPOSES = get_args(UploadPurpose)

TRAINING_SUFFIXES = (".jsonl", ".csv", ".parquet")
"""The formats of data that a job reads; OpenAI has the first."""

LONGEST_FILENAME = 255

LASTS = re.compile(r"\d{1,9}")
SHORTEST_S, LONGEST_S = 3600, 2_592_000
"""From an hour to thirty days."""

_EXPIRY = ("expires_after[anchor]", "expires_after[seconds]")


class FileObject(ListedObject):
    """A file, as OpenAI's clients read it."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Purpose
    status: Literal["uploaded", "processed", "error"] = "processed"
    """There is nothing to wait for."""
    expires_at: int | None
    status_details: str | None = None

    @classmethod
    def of(cls, file: OwnedFile) -> Self:
        return cls(
            id=file.id,
            bytes=file.bytes,
            created_at=file.created_at,
            filename=file.filename,
            purpose=file.purpose,
            expires_at=file.expires_at,
        )


class FileDeleted(BaseModel):
    """A file that is no longer there."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class FileContent(FileResponse):
    """Bytes that no browser shows."""

    media_type = "application/octet-stream"


class FileRoutes:
    """The routes of a store."""

    def __init__(self, store: FileStore, limits: ServiceLimits) -> None:
        self._store, self._limits = store, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/files", tags=["Files"])
        router.add_api_route("", self.create, methods=["POST"], openapi_extra=_UPLOAD)
        router.add_api_route("", self.list_files, methods=["GET"])
        router.add_api_route("/{file_id}", self.retrieve, methods=["GET"])
        router.add_api_route("/{file_id}", self.delete, methods=["DELETE"])
        router.add_api_route("/{file_id}/content", self.content, methods=["GET"], response_class=FileContent)
        return router

    async def create(self, request: Request, owner_id: OwnerId) -> FileObject:
        """Uploads a file: the parts `file`, `purpose`, and if it is to expire, `expires_after`."""
        limits = self._limits
        form = await receive_form(request, lambda: self._store.begin(limits.file_bytes), limits.upload_seconds)
        try:
            file = FileObject.of(await asyncio.to_thread(self._keep, owner_id, form))
            name_object(request, file.id)
            return file
        finally:
            form.discard()

    def list_files(
        self,
        owner_id: OwnerId,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
        purpose: str | None = None,
    ) -> ListPage[FileObject]:
        """Files of the owner, newest first unless `order` says otherwise."""
        query = PageQuery(limit=limit, after=after, is_ascending=order == "asc")
        page = self._store.list(owner_id, query, purpose)
        return ListPage[FileObject].of(page, FileObject.of)

    def retrieve(self, file_id: str, owner_id: OwnerId) -> FileObject:
        """A file, without its bytes."""
        return FileObject.of(self._store.find(owner_id, file_id))

    def delete(self, file_id: str, owner_id: OwnerId) -> FileDeleted:
        """Removes a file that no unfinished job reads."""
        return FileDeleted(id=self._store.delete(owner_id, file_id).id)

    def content(self, file_id: str, owner_id: OwnerId) -> FileContent:
        """The bytes of a file, as they were uploaded."""
        file = self._store.find(owner_id, file_id)
        headers = {"x-content-type-options": "nosniff"}
        return FileContent(
            self._store.path(file), filename=file.filename, media_type=FileContent.media_type, headers=headers
        )

    def _keep(self, owner_id: str, form: UploadForm) -> OwnedFile:
        if form.draft is None:
            raise _missing("file")
        filename = _short_name(form.filename)
        purpose = _purpose(form.fields)
        lasts_s = _lasts_s(form.fields)
        if not form.draft.bytes:
            raise _invalid_file("the file is empty")
        if purpose == "fine-tune" and PurePosixPath(filename).suffix.lower() not in TRAINING_SUFFIXES:
            raise _invalid_file(
                f"{filename!r} is no data for training; it must end in {' or '.join(TRAINING_SUFFIXES)}"
            )
        return self._store.add(
            owner_id,
            form.draft,
            filename=filename,
            purpose=purpose,
            lasts_s=lasts_s,
            owner_bytes=self._limits.owner_file_bytes,
        )


def _short_name(name: str) -> str:
    """What a client calls a file, without folders and what is not printed."""
    last = re.split(r"[/\\]", name)[-1].replace("%22", '"')  # as forms write it
    return "".join(filter(str.isprintable, last))[-LONGEST_FILENAME:] or "file"


def _purpose(fields: Mapping[str, str]) -> UploadPurpose:
    unknown = sorted(fields.keys() - {"purpose", *_EXPIRY})
    if unknown:
        raise invalid_request(f'"{unknown[0][:80]}" is unknown', param=unknown[0][:80], code="unknown_parameter")
    if "purpose" not in fields:
        raise _missing("purpose")
    if fields["purpose"] not in PURPOSES:
        message = f'"purpose" is {fields["purpose"][:60]!r}; it must be one of {", ".join(PURPOSES)}'
        raise invalid_request(message, param="purpose")
    return cast("UploadPurpose", fields["purpose"])


def _lasts_s(fields: Mapping[str, str]) -> int | None:
    """How long a file is kept; None: until it is deleted."""
    if not fields.keys() & set(_EXPIRY):
        return None
    anchor, seconds = (fields.get(name) for name in _EXPIRY)
    if anchor != "created_at":
        raise invalid_request('"expires_after[anchor]" must be created_at', param=_EXPIRY[0])
    if seconds is None or not LASTS.fullmatch(seconds) or not SHORTEST_S <= int(seconds) <= LONGEST_S:
        message = f'"expires_after[seconds]" must be a whole number from {SHORTEST_S} to {LONGEST_S}'
        raise invalid_request(message, param=_EXPIRY[1])
    return int(seconds)


def _missing(name: str) -> ApiError:
    return invalid_request(f'"{name}" is missing', param=name, code="missing_required_parameter")


def _invalid_file(message: str) -> ApiError:
    return invalid_request(message, param="file", code="invalid_file")


_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(PURPOSES)},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer", "minimum": SHORTEST_S, "maximum": LONGEST_S},
                    },
                }
            }
        },
    }
}
